/* Symmetric positive definite matrices by Cholesky's decomposition, on the caller's thread.
 *
 * BLAS would share matrices this small out among threads, which wait for each other on a busy
 * machine for longer than the fit takes.
 */
#include "native.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define ROWS 4
#define COLUMNS 8

/* Four numbers anywhere in memory; compilers split them where registers are narrower. */
typedef double Four __attribute__((vector_size(32), aligned(8), may_alias));

typedef struct {
    Four row[ROWS][2];
} Block;

#define NAME(function) function##_anywhere
#include "blocks.h"
#undef NAME

/* target_clones would split the vectors of four before it clones. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define NAME(function) function##_avx2
#include "blocks.h"
#undef NAME
#pragma GCC pop_options
#define BEST(function) \
    (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? function##_avx2 \
                                                                     : function##_anywhere)
#else
#define BEST(function) function##_anywhere
#endif

int inverse(int n, const double *matrix, double jitter, double *out)
{
    return BEST(inverse)(n, matrix, jitter, out);
}

int solve(int n, const double *matrix, const double *right, double *x)
{
    return BEST(solve)(n, matrix, right, x);
}

void product_of_transposed(int n, const double *a, const double *b, double *out)
{
    BEST(product_of_transposed)(n, a, b, out);
}
