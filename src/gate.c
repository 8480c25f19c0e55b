/* A frame's joints as they are given, and held against a prediction: vnect_ros/fitting/observe.py
 * and outliers.py. */
#include "native.h"

#include <math.h>
#include <string.h>

#define SHORTEST_M 1e-9
#define NEAREST_M 0.1

static double length(const double *v)
{
    return sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
}

static double bone(const int64_t *parents, const double *joints, int j, double *out)
{
    for (int k = 0; k < 3; k++)
        out[k] = joints[3 * j + k] - joints[3 * parents[j] + k];
    return length(out);
}

int measure(int count, int pelvis, double largest, const double *given_local,
            const double *given_confidence, double *local, double *rays, double *confidence)
{
    int seen = 0;
    double root[3];
    memcpy(root, given_local + 3 * pelvis, sizeof root);
    for (int j = 0; j < count; j++) {
        int placed = 1, looked = 1;
        double *at = local + 3 * j, *ray = rays + 2 * j, sure = given_confidence[j];
        for (int k = 0; k < 3; k++) {
            at[k] = given_local[3 * j + k] - root[k];
            placed &= fabs(at[k]) < largest; /* NaN is not */
        }
        for (int k = 0; k < 2; k++)
            looked &= fabs(ray[k]) < largest;
        confidence[j] = sure > 0.0 ? (sure < 1.0 ? sure : 1.0) : 0.0;
        if (!placed)
            memset(at, 0, 3 * sizeof(double));
        if (!placed || !looked)
            confidence[j] = ray[0] = ray[1] = 0.0;
        seen += confidence[j] > 0.0;
    }
    return seen;
}

void with_lengths(int count, const int64_t *parents, const double *joints, const double *lengths,
                  double *out)
{
    double bones[MAX_POINTS][3];
    for (int j = 0; j < count; j++) {
        double own = bone(parents, joints, j, bones[j]);
        double factor = lengths[j] / (own > SHORTEST_M ? own : SHORTEST_M);
        for (int k = 0; k < 3; k++)
            bones[j][k] *= factor;
    }
    for (int j = 0; j < count; j++) {
        int steps = 0;
        memset(out + 3 * j, 0, 3 * sizeof(double));
        for (int i = j; parents[i] != i && steps < count; i = (int)parents[i], steps++)
            for (int k = 0; k < 3; k++)
                out[3 * j + k] += bones[i][k];
    }
}

void length_along(int count, const int64_t *parents, const double *weight, const double *seen,
                  const double *fitted, const double *lengths, double *along, double *whole)
{
    *along = *whole = 0.0;
    for (int j = 0; j < count; j++) {
        double one[3], other[3];
        if (!(weight[j] > 0.0) || !(weight[parents[j]] > 0.0))
            continue;
        bone(parents, fitted, j, one);
        bone(parents, seen, j, other);
        double product = one[0] * other[0] + one[1] * other[1] + one[2] * other[2];
        *along += product / (lengths[j] > SHORTEST_M ? lengths[j] : SHORTEST_M);
        *whole += lengths[j];
    }
}

/* Distance [m] between a joint's places in space and along the rays, of joints `j` and `i`. */
static void apart(const Expected *expected, double scale, double at_m, const double *local,
                  const double *rays, int j, int i, double *out)
{
    double space[3], plane = 0.0;
    for (int k = 0; k < 3; k++)
        space[k] = scale * local[3 * i + k] - expected->local[3 * j + k];
    for (int k = 0; k < 2; k++) {
        double off = at_m * (rays[2 * i + k] - expected->rays[2 * j + k]);
        plane += off * off;
    }
    out[0] = length(space);
    out[1] = sqrt(plane);
}

/* exchanged [2, 2]: where a limb's joints fit far better with the sides exchanged. */
static int exchanged_sides(const Seen *seen, const Expected *expected, const Limbs *limbs,
                           const Gates *gates, uint8_t *exchanged)
{
    double total[2] = {0.0}, kept[2][2] = {{0.0}}, swapped[2][2] = {{0.0}}, size = 0.0, wanted = 0.0;
    int any = 0;
    for (int j = 0; j < seen->count; j++) {
        double own[3];
        size += limbs->size_weights[j] * bone(limbs->parents, seen->local, j, own);
        wanted += limbs->size_weights[j] * expected->lengths[j];
    }
    double scale = size > 1e-3 ? wanted / size : 1.0;
    for (int j = 0; j < seen->count; j++) {
        int other = (int)limbs->mirror[j];
        double as_told[2], mirrored[2], weight = seen->confidence[j];
        weight = seen->confidence[other] < weight ? seen->confidence[other] : weight;
        apart(expected, scale, expected->distance_m, seen->local, seen->rays, j, j, as_told);
        apart(expected, scale, expected->distance_m, seen->local, seen->rays, j, other, mirrored);
        for (int l = 0; l < 2; l++) {
            double counts = weight * limbs->members[l * seen->count + j];
            total[l] += counts;
            for (int v = 0; v < 2; v++) {
                kept[v][l] += counts * as_told[v];
                swapped[v][l] += counts * mirrored[v];
            }
        }
    }
    for (int v = 0; v < 2; v++)
        for (int l = 0; l < 2; l++) {
            double by = total[l] > 1e-9 ? total[l] : 1e-9;
            double as_told = kept[v][l] / by, mirrored = swapped[v][l] / by;
            exchanged[2 * v + l] = as_told > gates->flip_m && mirrored < gates->flip_gain * as_told;
            any |= exchanged[2 * v + l];
        }
    return any;
}

int gate(const Seen *seen, const double *points, const double *variance, const double *lengths,
         int pelvis, const Limbs *limbs, const Gates *gates, double *local, uint8_t *off,
         uint8_t *exchanged)
{
    double places[MAX_POINTS * 3], rays[MAX_POINTS * 2], depth = points[3 * pelvis + 2];
    Expected expected = {places, rays, lengths, depth > NEAREST_M ? depth : NEAREST_M};
    for (int j = 0; j < seen->count; j++) {
        const double *point = points + 3 * j;
        double z = point[2] > NEAREST_M ? point[2] : NEAREST_M;
        for (int k = 0; k < 3; k++)
            places[3 * j + k] = point[k] - points[3 * pelvis + k];
        for (int k = 0; k < 2; k++)
            rays[2 * j + k] = point[k] / z;
    }
    with_lengths(seen->count, limbs->parents, seen->local, lengths, local);
    for (int j = 0; j < seen->count; j++) {
        const double *v = variance + 3 * j;
        double between[2], gate_m = gates->local_m + gates->sigmas * sqrt(v[0] + v[1] + v[2]);
        apart(&expected, 1.0, expected.distance_m, local, seen->rays, j, j, between);
        int beyond = 0, is_seen = seen->confidence[j] > 0.0;
        for (int k = 0; k < 2; k++) {
            double away = expected.distance_m * fabs(seen->rays[2 * j + k] - rays[2 * j + k]);
            beyond |= away > gates->ray_m + gates->sigmas * sqrt(v[k]);
        }
        off[j] = is_seen && between[0] > gate_m;
        off[seen->count + j] = is_seen && beyond;
    }
    return exchanged_sides(seen, &expected, limbs, gates, exchanged);
}
