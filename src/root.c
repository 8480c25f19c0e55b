/* Where the pelvis must be for joints to be seen along their rays: fitting/observe.py. */
#include "native.h"

#include <math.h>

/* The d of weighted least squares in  dxy - ray dz = across.  Returns 0, or -1 where it is open. */
static int meeting_point(int count, const double *local, const double *rays, const double *weight,
                         double smallest_spread, double *d)
{
    double uu = 0.0, vv = 0.0, ua = 0.0, vb = 0.0, u = 0.0, v = 0.0, a = 0.0, b = 0.0, total = 0.0;
    for (int j = 0; j < count; j++) {
        double w = weight[j], x = rays[2 * j], y = rays[2 * j + 1], z = local[3 * j + 2];
        double along = x * z - local[3 * j], down = y * z - local[3 * j + 1];
        uu += w * x * x;
        vv += w * y * y;
        ua += w * x * along;
        vb += w * y * down;
        u += w * x;
        v += w * y;
        a += w * along;
        b += w * down;
        total += w;
    }
    if (!(total > 0.0))
        return -1;
    /* A straight line: -dz is its slope over the rays, dxy its height at ray 0. */
    double spread = uu + vv - (u * u + v * v) / total;
    if (!(spread > smallest_spread * total))
        return -1;
    double dz = ((u * a + v * b) / total - ua - vb) / spread;
    if (!isfinite(dz))
        return -1;
    d[0] = (a + dz * u) / total;
    d[1] = (b + dz * v) / total;
    d[2] = dz;
    return 0;
}

int root_position(int count, const double *local, const double *rays, const double *weight,
                  const RootLimits *limits, double *out)
{
    double again[MAX_POINTS] = {0.0};
    if (meeting_point(count, local, rays, weight, limits->smallest_spread, out))
        return -1;
    for (int j = 0; j < count; j++) {
        double squared = 0.0;
        for (int k = 0; k < 2; k++) {
            double ray = rays[2 * j + k];
            double off = out[k] - out[2] * ray - (ray * local[3 * j + 2] - local[3 * j + k]);
            squared += off * off;
        }
        double counts = 1.0 + squared / (limits->outlier_m * limits->outlier_m);
        again[j] = weight[j] / (counts * counts);
    }
    if (meeting_point(count, local, rays, again, limits->smallest_spread, out))
        return -1;
    for (int j = 0; j < count; j++)
        if (weight[j] > 0.0 && local[3 * j + 2] + out[2] < limits->nearest_m)
            return -1;
    return out[2] <= limits->farthest_m ? 0 : -1;
}
