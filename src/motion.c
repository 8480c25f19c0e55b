/* The Kalman filter of vnect_ros/fitting/motion.py: pose, velocity and how sure they are. */
#include "native.h"

#include <math.h>
#include <string.h>

/* out [NV, NV]: of the tangent's acceleration, from what is allowed to the points. */
static int acceleration_covariance(const Body *body, const double *moves, const double *velocity,
                                   const Advance *by, double *out)
{
    int nv = ROOT_V + body->angles;
    double information[MAX_NV * MAX_NV], speeds[MAX_POINTS * 3];
    memset(information, 0, (size_t)(nv * nv) * sizeof(double));
    point_velocity(body, moves, velocity, speeds);
    for (int j = 0; j < body->points; j++) {
        const double *speed = speeds + 3 * j;
        double weight[9] = {0.0};
        double squared = speed[0] * speed[0] + speed[1] * speed[1] + speed[2] * speed[2];
        double allowed = by->acceleration + by->acceleration_per_speed * sqrt(squared);
        weight[0] = weight[4] = weight[8] = 1.0 / (allowed * allowed);
        add_information(body, j, moves, weight, weight, information);
    }
    double of_angle = 1.0 / (by->angle_acceleration * by->angle_acceleration);
    return inverse(nv, information, of_angle, out);
}

/* Keep the covariance finite however long nothing is seen. */
static void bound(int nv, double max_variance, State *state)
{
    double shrink[MAX_NV];
    int any = 0;
    for (int i = 0; i < nv; i++) {
        double variance = state->covariance[i * (nv + 1)];
        any |= variance > max_variance;
        shrink[i] = variance > max_variance ? sqrt(max_variance / variance) : 1.0;
    }
    if (!any)
        return;
    for (int i = 0; i < nv; i++)
        for (int j = 0; j < nv; j++) {
            state->covariance[i * nv + j] *= shrink[i] * shrink[j];
            state->cross[i * nv + j] *= shrink[i];
        }
}

FOR_EVERY_PROCESSOR
int predict(const Body *body, const double *q, const Advance *by, State *state)
{
    int nv = ROOT_V + body->angles;
    double noise[MAX_NV * MAX_NV], moved[MAX_NV * MAX_NV];
    double points[MAX_POINTS * 3], moves[MAX_POINTS * 3 * MAX_NV];
    double dt = by->dt_s, ahead = by->ahead_s, kept = by->kept;
    forward(body, q, points, moves, NULL);
    if (acceleration_covariance(body, moves, state->velocity, by, noise))
        return -1;
    for (int i = 0; i < nv * nv; i++) {
        noise[i] *= by->frame_s * dt;
        moved[i] = state->speed[i] * ahead + state->cross[i];
    }
    for (int i = 0; i < nv; i++)
        for (int j = 0; j < nv; j++)
            state->covariance[i * nv + j] += (moved[i * nv + j] + state->cross[j * nv + i]) * ahead +
                                             noise[i * nv + j] * (dt * dt / 3.0);
    for (int i = 0; i < nv * nv; i++) {
        state->cross[i] = moved[i] * kept + noise[i] * (dt / 2.0);
        state->speed[i] = noise[i] + state->speed[i] * (kept * kept);
    }
    for (int i = 0; i < nv; i++)
        state->velocity[i] *= kept;
    bound(nv, by->max_variance, state);
    return 0;
}

FOR_EVERY_PROCESSOR
int correct(const Body *body, const double *q, const double *moved, const double *information,
            const double *prior, double jitter, State *state)
{
    int nv = ROOT_V + body->angles;
    double gain[MAX_NV * MAX_NV], cross[MAX_NV * MAX_NV], lost[MAX_NV * MAX_NV];
    if (inverse(nv, information, jitter, state->covariance))
        return -1;
    product_of_transposed(nv, prior, state->cross, gain); /* both are symmetric */
    product_of_transposed(nv, state->covariance, gain, cross);
    for (int k = 0; k < nv; k++)
        for (int i = 0; i < nv; i++)
            state->velocity[i] += moved[k] * gain[k * nv + i];
    for (int i = 0; i < nv * nv; i++) {
        double was = state->cross[i];
        state->cross[i] = cross[i];
        cross[i] = was - cross[i];
    }
    product_of_transposed(nv, gain, cross, lost);
    for (int i = 0; i < nv; i++)
        for (int j = 0; j <= i; j++) {
            double *speed = state->speed;
            double value = 0.5 * (speed[i * nv + j] - lost[i * nv + j] + speed[j * nv + i] -
                                  lost[j * nv + i]);
            speed[i * nv + j] = speed[j * nv + i] = value;
        }
    for (int a = 0; a < body->angles; a++) {
        double angle = q[ROOT_Q + a], *rate = state->velocity + ROOT_V + a;
        int outward = (angle <= body->low[a] && *rate < 0.0) || (angle >= body->high[a] && *rate > 0.0);
        if (outward || !body->observed[a])
            *rate = 0.0;
    }
    return 0;
}

void point_variance(const Body *body, const double *moves, const double *covariance, double *out)
{
    int nv = ROOT_V + body->angles;
    for (int j = 0; j < body->points; j++) {
        const int *chain = body->chain[j];
        int length = body->chain_length[j];
        for (int k = 0; k < 3; k++) {
            const double *row = moves + ((size_t)j * 3 + k) * nv;
            double sum = 0.0;
            for (int a = 0; a < length; a++) {
                const double *line = covariance + chain[a] * nv;
                double along = 0.5 * line[chain[a]] * row[chain[a]];
                for (int b = 0; b < a; b++)
                    along += line[chain[b]] * row[chain[b]];
                sum += 2.0 * along * row[chain[a]];
            }
            out[3 * j + k] = sum < 0.0 ? 0.0 : sum; /* NaN stays */
        }
    }
}

void point_velocity(const Body *body, const double *moves, const double *velocity, double *out)
{
    int nv = ROOT_V + body->angles;
    for (int r = 0; r < 3 * body->points; r++) {
        out[r] = 0.0;
        for (int c = 0; c < body->chain_length[r / 3]; c++) {
            int i = body->chain[r / 3][c];
            out[r] += moves[(size_t)r * nv + i] * velocity[i];
        }
    }
}
