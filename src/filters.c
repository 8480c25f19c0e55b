/* The 1-Euro filter, of numbers and of configurations: vnect_ros/perception/filters.py. */
#include "native.h"

#include <math.h>

#define PI 3.14159265358979323846

/* The share of the new value in a first-order low-pass. */
static double smoothing(double cutoff_hz, double dt_s)
{
    double passed = cutoff_hz * (2.0 * PI * dt_s);
    return passed / (1.0 + passed);
}

void smooth(const Body *body, const double *q, const double *wanted, const Smoothing *by,
            double *speed, double *out)
{
    int nv = ROOT_V + body->angles;
    double step[MAX_NV], cutoff[MAX_NV], share = smoothing(by->speed_cutoff_hz, by->dt_s);
    difference(body, q, wanted, step);
    for (int i = 0; i < nv; i++) {
        double lever_m = i < 3 ? 1.0 : by->lever_m;
        speed[i] += share * (fabs(step[i]) * lever_m / by->dt_s - speed[i]);
        cutoff[i] = by->min_cutoff_hz + by->beta * speed[i];
    }
    for (int part = 0; part < ROOT_V; part += 3) {
        double most = fmax(fmax(cutoff[part], cutoff[part + 1]), cutoff[part + 2]);
        cutoff[part] = cutoff[part + 1] = cutoff[part + 2] = most;
    }
    for (int i = 0; i < nv; i++)
        step[i] *= smoothing(cutoff[i], by->dt_s);
    integrate(body, q, step, 1, out);
}

void one_euro(int count, const double *values, const Smoothing *by, double *value, double *speed)
{
    double share = smoothing(by->speed_cutoff_hz, by->dt_s);
    for (int i = 0; i < count; i++) {
        double change = values[i] - value[i];
        if (!isfinite(change)) { /* starts afresh */
            value[i] = values[i];
            change = speed[i] = 0.0;
        }
        speed[i] += share * (change / by->dt_s - speed[i]);
        value[i] += smoothing(by->min_cutoff_hz + by->beta * fabs(speed[i]), by->dt_s) * change;
    }
}
