/* From a fit to what is published: vnect_ros/fitting/fitter.py and limiter.py. */
#include "native.h"

#include <math.h>

int describe(const Body *body, const double *q, const double *velocity, const double *covariance,
             const double *unseen_s, const Stated *stated, const Description *out)
{
    double moves[MAX_POINTS * 3 * MAX_NV], sum = 0.0;
    forward(body, q, out->points, moves, out->quaternions);
    root_transform(q, out->transform);
    point_velocity(body, moves, velocity, out->velocities);
    point_variance(body, moves, covariance, out->deviations);
    for (int j = 0; j < body->points; j++) {
        double *speed = out->velocities + 3 * j, *deviation = out->deviations + 3 * j;
        double depth_m = stated->lasting_depth * out->points[3 * j + 2], mean = 0.0;
        double fast = sqrt(speed[0] * speed[0] + speed[1] * speed[1] + speed[2] * speed[2]);
        double unseen = stated->unseen_m2 * (1.0 - exp(-unseen_s[j] / stated->unseen_s));
        for (int k = 0; k < 3; k++) {
            double variance = deviation[k] * stated->factor + stated->lasting_m2[k] + unseen;
            if (k == 2)
                variance += depth_m * depth_m;
            if (fast > stated->max_speed)
                speed[k] *= stated->max_speed / fast;
            mean += variance / 3.0;
            sum += variance + out->points[3 * j + k];
            deviation[k] = sqrt(variance);
        }
        out->mean_deviation[j] = sqrt(mean);
    }
    return isfinite(sum);
}

double residual(int count, const double *projected, const double *pixels, const double *confidence,
                const uint8_t *rejected, double *shown)
{
    double sum = 0.0;
    int counted = 0;
    for (int j = 0; j < count; j++) {
        int seen = confidence[j] > 0.0;
        for (int k = 2 * j; k < 2 * j + 2; k++)
            shown[k] = seen ? pixels[k] : projected[k];
        if (!seen || rejected[j])
            continue;
        counted++;
        for (int k = 2 * j; k < 2 * j + 2; k++)
            sum += (projected[k] - pixels[k]) * (projected[k] - pixels[k]);
    }
    return counted ? sqrt(sum / counted) : NAN;
}

double beyond(int count, const double *points, const double *last, const double *velocity,
              const Bounds *bounds, double *out)
{
    double most = 0.0;
    for (int j = 0; j < count; j++) {
        double speed = 0.0, acceleration = 0.0;
        for (int k = 3 * j; k < 3 * j + 3; k++) {
            double now = (points[k] - last[k]) / bounds->dt_s;
            double change = (now - velocity[k]) / bounds->dt_s;
            speed += now * now;
            acceleration += change * change;
        }
        speed = sqrt(speed) / bounds->max_speed;
        acceleration = sqrt(acceleration) / bounds->max_acceleration;
        out[j] = speed > acceleration ? speed : acceleration;
        most = out[j] > most ? out[j] : most;
    }
    return most;
}
