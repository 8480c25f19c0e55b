/* Levenberg-Marquardt on the body's manifold: vnect_ros/fitting/solver.py. */
#include "native.h"

#include <math.h>
#include <string.h>

#define FIRST_DAMPING 1e-4
#define LEAST_DAMPING 1e-9
#define ATTEMPTS 6

static double largest(int count, const double *values)
{
    double most = 0.0;
    for (int i = 0; i < count; i++)
        most = fabs(values[i]) > most ? fabs(values[i]) : most;
    return most;
}

int minimise(const Body *body, const Vector *vectors, int count, const Priors *priors,
             const Search *search, Fit *fit)
{
    int nq = ROOT_Q + body->angles, nv = ROOT_V + body->angles;
    double moves[MAX_POINTS * 3 * MAX_NV], gradient[MAX_NV], step[MAX_NV], moved[ROOT_Q + MAX_NV];
    double points[MAX_POINTS * 3], damping = FIRST_DAMPING;
    double *agreement = fit->agreement, *tried = agreement + count;
    size_t of_vectors = (size_t)count * sizeof(double);
    put_within_limits(body, fit->q);
    forward(body, fit->q, fit->points, NULL, NULL);
    fit->cost = energy(body, fit->q, fit->points, vectors, count, priors, agreement);
    for (int i = 0; i < search->iterations; i++) {
        double cost = INFINITY;
        forward(body, fit->q, fit->points, moves, NULL);
        normal_equations(body, fit->q, fit->points, moves, vectors, count, priors, agreement,
                         fit->information, gradient);
        for (int attempt = 0; attempt < ATTEMPTS && !(cost < fit->cost); attempt++) {
            if (newton_step(body, fit->q, fit->information, gradient, damping, step, moved))
                return -1;
            forward(body, moved, points, NULL, NULL);
            cost = energy(body, moved, points, vectors, count, priors, tried);
            if (!(cost < fit->cost))
                damping *= 10.0;
        }
        if (!(cost < fit->cost))
            break;
        double gain = fit->cost - cost;
        damping = damping / 10.0 > LEAST_DAMPING ? damping / 10.0 : LEAST_DAMPING;
        memcpy(fit->q, moved, (size_t)nq * sizeof(double));
        memcpy(fit->points, points, (size_t)body->points * 3 * sizeof(double));
        memcpy(agreement, tried, of_vectors);
        fit->cost = cost;
        if (gain < search->small_gain * cost || largest(nv, step) < search->small_step)
            break;
    }
    return 0;
}
