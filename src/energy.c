/* The energy of a configuration, its derivatives, and the step towards its minimum. */
#include "native.h"

#include <math.h>
#include <string.h>

/* Points nearer than this are projected as if at it [m]. */
#define NEAREST_M 0.05

#define SMALLEST_BOUND 1e-12

/* What a vector looks at, x of its joint. */
static void looked_at(const Body *body, const Vector *vector, const double *points, double *x)
{
    const double *p = points + 3 * (int)vector->joint;
    if (vector->kind == RAY) {
        double depth = p[2] > NEAREST_M ? p[2] : NEAREST_M;
        x[0] = p[0] / depth;
        x[1] = p[1] / depth;
        x[2] = 1.0;
    } else {
        const double *from = points + 3 * body->pelvis;
        for (int k = 0; k < 3; k++)
            x[k] = vector->kind == RELATIVE ? p[k] - from[k] : p[k];
    }
}

static void residual_of(const Body *body, const Vector *vector, const double *points, double *r)
{
    double x[3];
    looked_at(body, vector, points, x);
    for (int d = 0; d < 4; d++) {
        const double *row = vector->matrix[d];
        r[d] = row[0] * x[0] + row[1] * x[1] + row[2] * x[2] - vector->target[d];
    }
}

/* information [NV, NV] times the tangent from the expected configuration, and that [NV]. */
static double of_expected(const Body *body, const double *q, const Priors *priors, double *off,
                          double *slope)
{
    int nv = ROOT_V + body->angles;
    double sum = 0.0;
    difference(body, priors->expected_q, q, off);
    for (int i = 0; i < nv; i++)
        slope[i] = 0.0;
    for (int k = 0; k < nv; k++) /* symmetric: along rows */
        for (int i = 0; i < nv; i++)
            slope[i] += priors->information[k * nv + i] * off[k];
    for (int i = 0; i < nv; i++)
        sum += off[i] * slope[i];
    return 0.5 * sum;
}

void weigh(const Vector *vectors, int count, const double *weight, double scale, double bound,
           const double *target, int width, Vector *out)
{
    for (int v = 0; v < count; v++) {
        double counts = weight ? weight[v] : 1.0, factor = scale * sqrt(counts);
        out[v] = vectors[v];
        /* An outlier is one in metres, however little its joint weighs. */
        out[v].bound = bound > 0.0 ? fmax(bound * counts, SMALLEST_BOUND) : 0.0;
        for (int d = 0; d < 4; d++)
            for (int k = 0; k < 3; k++)
                out[v].matrix[d][k] *= factor;
        for (int d = 0; d < width; d++)
            out[v].target[d] = factor * target[v * width + d];
    }
}

FOR_EVERY_PROCESSOR
double energy(const Body *body, const double *q, const double *points, const Vector *vectors,
              int count, const Priors *priors, double *agreement)
{
    double cost = 0.0, off[MAX_NV], slope[MAX_NV];
    for (int v = 0; v < count; v++) {
        double r[4], squared;
        residual_of(body, vectors + v, points, r);
        squared = r[0] * r[0] + r[1] * r[1] + r[2] * r[2] + r[3] * r[3];
        agreement[v] = vectors[v].bound > 0.0 ? 1.0 / (1.0 + squared / vectors[v].bound) : 1.0;
        cost += 0.5 * squared * agreement[v];
    }
    if (priors->rest_weight)
        for (int i = 0; i < body->angles; i++) {
            double bent = q[ROOT_Q + i] - priors->rest[i];
            cost += 0.5 * priors->rest_weight[i] * bent * bent;
        }
    if (priors->information)
        cost += of_expected(body, q, priors, off, slope);
    return cost;
}

INLINE void add_point(int nv, const int *chain, int length, const double *restrict moves,
                      const double *weight, const double *outer, double *restrict information)
{
    const double *m0 = moves, *m1 = moves + nv, *m2 = m1 + nv;
    for (int a = 0; a < length; a++) {
        int i = chain[a];
        const double *w = i < 3 ? outer : weight;
        double *restrict row = information + i * nv, of[3], by[3];
        for (int k = 0; k < 3; k++) {
            of[k] = outer[3 * k] * m0[i] + outer[3 * k + 1] * m1[i] + outer[3 * k + 2] * m2[i];
            by[k] = w[3 * k] * m0[i] + w[3 * k + 1] * m1[i] + w[3 * k + 2] * m2[i];
        }
        for (int j = 0; j < 3 && j <= i; j++)
            row[j] += of[0] * m0[j] + of[1] * m1[j] + of[2] * m2[j];
        /* Zeros are faster than going along the chain. */
        for (int j = 3; j <= i; j++)
            row[j] += by[0] * m0[j] + by[1] * m1[j] + by[2] * m2[j];
    }
}

FOR_EVERY_PROCESSOR
void add_information(const Body *body, int point, const double *moves, const double *weight,
                     const double *outer, double *information)
{
    int nv = ROOT_V + body->angles;
    add_point(nv, body->chain[point], body->chain_length[point], moves + (size_t)point * 3 * nv,
              weight, outer, information);
}

void mirror(int n, double *matrix)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            matrix[j * n + i] = matrix[i * n + j];
}

/* The derivative of a residual by its joint's place: matrix times that of x. */
static void slope_of(const Vector *vector, const double *p, double rows[4][3])
{
    if (vector->kind != RAY) {
        memcpy(rows, vector->matrix, sizeof vector->matrix);
        return;
    }
    double near = p[2] > NEAREST_M, depth = near ? p[2] : NEAREST_M;
    for (int d = 0; d < 4; d++) {
        const double *row = vector->matrix[d];
        rows[d][0] = row[0] / depth;
        rows[d][1] = row[1] / depth;
        /* Nearer than that, the distance makes no difference. */
        rows[d][2] = -near * (row[0] * p[0] + row[1] * p[1]) / (depth * depth);
    }
}

/* Add half of the vectors' sum of squares: per joint first, then through its derivatives.
 *
 * All joints shift as the pelvis does, and the pelvis moves with nothing else: what looks at
 * places relative to it has no part in the tangent's first three components. */
static void add_vectors(const Body *body, const double *points, const double *moves,
                        const Vector *vectors, int count, const double *agreement,
                        double *information, double *gradient)
{
    int nv = ROOT_V + body->angles;
    double weight[MAX_POINTS][9], outer[MAX_POINTS][9], pull[MAX_POINTS][3], push[MAX_POINTS][3];
    memset(weight, 0, sizeof weight);
    memset(outer, 0, sizeof outer);
    memset(pull, 0, sizeof pull);
    memset(push, 0, sizeof push);
    for (int v = 0; v < count; v++) {
        int j = (int)vectors[v].joint;
        double r[4], rows[4][3], scale = agreement[v] * agreement[v];
        residual_of(body, vectors + v, points, r);
        slope_of(vectors + v, points + 3 * j, rows);
        for (int d = 0; d < 4; d++)
            for (int a = 0; a < 3; a++) {
                double scaled = scale * rows[d][a];
                pull[j][a] += scaled * r[d];
                if (vectors[v].kind != RELATIVE)
                    push[j][a] += scaled * r[d];
                for (int b = 0; b < 3; b++) {
                    weight[j][3 * a + b] += scaled * rows[d][b];
                    if (vectors[v].kind != RELATIVE)
                        outer[j][3 * a + b] += scaled * rows[d][b];
                }
            }
    }
    for (int j = 0; j < body->points; j++) {
        const double *rows = moves + (size_t)j * 3 * nv;
        add_information(body, j, moves, weight[j], outer[j], information);
        for (int c = 0; c < body->chain_length[j]; c++) {
            int i = body->chain[j][c];
            const double *by = c < 3 ? push[j] : pull[j];
            gradient[i] += by[0] * rows[i] + by[1] * rows[nv + i] + by[2] * rows[2 * nv + i];
        }
    }
}

/* Add E_smooth's: its information is given in the tangent of the expected configuration. */
static void add_expected(const Body *body, const double *q, const Priors *priors,
                         double *information, double *gradient)
{
    int nv = ROOT_V + body->angles;
    double off[MAX_NV], slope[MAX_NV], by[36], rows[ROOT_V * MAX_NV];
    const double *given = priors->information;
    of_expected(body, q, priors, off, slope);
    difference_jacobian(priors->expected_q, q, by);
    for (int i = 0; i < nv; i++) {
        double sum = slope[i];
        if (i < ROOT_V) {
            sum = 0.0;
            for (int k = 0; k < ROOT_V; k++)
                sum += by[6 * k + i] * slope[k];
        }
        gradient[i] += sum;
    }
    /* rows = by^T given[:6];  their first six columns are turned by `by` once more. */
    for (int i = 0; i < ROOT_V; i++)
        for (int j = 0; j < nv; j++) {
            double sum = 0.0;
            for (int k = 0; k < ROOT_V; k++)
                sum += by[6 * k + i] * given[k * nv + j];
            rows[i * nv + j] = sum;
        }
    for (int i = 0; i < nv; i++)
        for (int j = 0; j <= i; j++) {
            double value = given[i * nv + j];
            if (i < ROOT_V) {
                value = 0.0;
                for (int k = 0; k < ROOT_V; k++)
                    value += rows[i * nv + k] * by[6 * k + j];
            } else if (j < ROOT_V) {
                value = rows[j * nv + i];
            }
            information[i * nv + j] += value;
        }
}

FOR_EVERY_PROCESSOR
void normal_equations(const Body *body, const double *q, const double *points,
                      const double *moves, const Vector *vectors, int count,
                      const Priors *priors, const double *agreement, double *information,
                      double *gradient)
{
    int nv = ROOT_V + body->angles;
    memset(information, 0, (size_t)(nv * nv) * sizeof(double));
    memset(gradient, 0, (size_t)nv * sizeof(double));
    add_vectors(body, points, moves, vectors, count, agreement, information, gradient);
    if (priors->rest_weight)
        for (int i = 0; i < body->angles; i++) {
            double weight = priors->rest_weight[i];
            gradient[ROOT_V + i] += weight * (q[ROOT_Q + i] - priors->rest[i]);
            information[(ROOT_V + i) * (nv + 1)] += weight;
        }
    if (priors->information)
        add_expected(body, q, priors, information, gradient);
    mirror(nv, information);
}

FOR_EVERY_PROCESSOR
int newton_step(const Body *body, const double *q, const double *information,
                const double *gradient, double damping, double *step, double *moved)
{
    int nv = ROOT_V + body->angles;
    double matrix[MAX_NV * MAX_NV], right[MAX_NV];
    memcpy(matrix, information, (size_t)(nv * nv) * sizeof(double));
    for (int i = 0; i < nv; i++) {
        double *diagonal = matrix + i * (nv + 1);
        *diagonal += damping * (*diagonal > 1e-6 ? *diagonal : 1e-6);
        right[i] = -gradient[i];
    }
    for (int a = 0; a < body->angles; a++) {
        double angle = q[ROOT_Q + a], slope = gradient[ROOT_V + a];
        int pushed = (angle <= body->low[a] && slope > 0.0) || (angle >= body->high[a] && slope < 0.0);
        int i = ROOT_V + a;
        if (body->observed[a] && !pushed)
            continue;
        for (int k = 0; k < nv; k++)
            matrix[i * nv + k] = matrix[k * nv + i] = 0.0;
        matrix[i * (nv + 1)] = 1.0;
        right[i] = 0.0;
    }
    if (solve(nv, matrix, right, step))
        return -1;
    integrate(body, q, step, 1, moved);
    return 0;
}
