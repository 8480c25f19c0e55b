/* Symmetric positive definite matrices by Cholesky's decomposition, on the caller's thread.
 *
 * BLAS would share matrices this small out among threads, which wait for each other on a busy
 * machine for longer than the fit takes.  The inner loops go along rows, so that compilers
 * make vector instructions of them without reordering sums.
 */
#include "native.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* matrix = U^T U; the upper triangle of u [n, n] gets U.  Returns 0 or -1. */
INLINE int decompose(int n, double *u)
{
    for (int k = 0; k < n; k++) {
        double *row = u + k * n;
        double pivot = row[k];
        if (!(pivot > 0.0 && pivot <= DBL_MAX))
            return -1;
        double root = sqrt(pivot), scale = 1.0 / root;
        row[k] = root;
        for (int j = k + 1; j < n; j++)
            row[j] *= scale;
        for (int i = k + 1; i < n; i++) {
            double factor = row[i], *other = u + i * n;
            for (int j = i; j < n; j++)
                other[j] -= factor * row[j];
        }
    }
    return 0;
}

FOR_EVERY_PROCESSOR
int inverse(int n, const double *matrix, double jitter, double *out)
{
    double u[MAX_NV * MAX_NV], w[MAX_NV * MAX_NV];
    for (int i = 0; i < n; i++) {
        for (int j = i; j < n; j++)
            u[i * n + j] = matrix[j * n + i];
        u[i * n + i] += jitter;
    }
    if (decompose(n, u))
        return -1;
    /* w is the inverse of U^T, lower triangular. */
    for (int i = 0; i < n; i++) {
        double *row = w + i * n, scale = 1.0 / u[i * n + i];
        memset(row, 0, (size_t)n * sizeof(double));
        for (int k = 0; k < i; k++) {
            double factor = -scale * u[k * n + i], *other = w + k * n;
            for (int j = 0; j <= k; j++)
                row[j] += factor * other[j];
        }
        row[i] = scale;
    }
    /* The inverse is w^T w. */
    memset(out, 0, (size_t)(n * n) * sizeof(double));
    for (int k = 0; k < n; k++) {
        const double *row = w + k * n;
        for (int i = 0; i <= k; i++) {
            double factor = row[i], *sum = out + i * n;
            for (int j = i; j <= k; j++)
                sum[j] += factor * row[j];
        }
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            out[i * n + j] = out[j * n + i];
    return isfinite(out[n * n - 1]) ? 0 : -1;
}

FOR_EVERY_PROCESSOR
int solve(int n, double *matrix, const double *right, double *x)
{
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++)
            matrix[i * n + j] = matrix[j * n + i];
    if (decompose(n, matrix))
        return -1;
    memcpy(x, right, (size_t)n * sizeof(double));
    for (int i = 0; i < n; i++) {
        const double *row = matrix + i * n;
        double value = x[i] /= row[i];
        for (int j = i + 1; j < n; j++)
            x[j] -= value * row[j];
    }
    for (int i = n - 1; i >= 0; i--) {
        const double *row = matrix + i * n;
        double sum = x[i];
        for (int j = i + 1; j < n; j++)
            sum -= row[j] * x[j];
        x[i] = sum / row[i];
    }
    return isfinite(x[0]) && isfinite(x[n - 1]) ? 0 : -1;
}

/* row += a0 b0 + ... + a3 b3, four rows at a time so that `row` stays in registers. */
INLINE void add_rows(int n, const double *factors, int stride, const double *b, double *row)
{
    int k = 0;
    for (; k + 4 <= n; k += 4) {
        double f0 = factors[k * stride], f1 = factors[(k + 1) * stride];
        double f2 = factors[(k + 2) * stride], f3 = factors[(k + 3) * stride];
        const double *b0 = b + k * n, *b1 = b0 + n, *b2 = b1 + n, *b3 = b2 + n;
        for (int j = 0; j < n; j++)
            row[j] += f0 * b0[j] + f1 * b1[j] + f2 * b2[j] + f3 * b3[j];
    }
    for (; k < n; k++)
        for (int j = 0; j < n; j++)
            row[j] += factors[k * stride] * b[k * n + j];
}

FOR_EVERY_PROCESSOR
void product(int n, const double *a, const double *b, double *restrict out)
{
    memset(out, 0, (size_t)(n * n) * sizeof(double));
    for (int i = 0; i < n; i++)
        add_rows(n, a + i * n, 1, b, out + i * n);
}

FOR_EVERY_PROCESSOR
void product_of_transposed(int n, const double *a, const double *b, double *restrict out)
{
    memset(out, 0, (size_t)(n * n) * sizeof(double));
    for (int i = 0; i < n; i++)
        add_rows(n, a + i, n, b, out + i * n);
}
