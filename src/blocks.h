/* The functions of linear.c, which compiles them for several kinds of processors as NAME(...).
 *
 * Everything here is a sum of products of rows, taken for a block of 4 rows by 8 columns at a
 * time, which stays in the processor's registers.  The rows of the working copies are `width`
 * apart, so that every block is whole.
 */
INLINE int NAME(up_to)(int n, int multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* The sum over k of a[k][0..3]^T b[k][0..7], from <= k < to. */
INLINE Block NAME(products)(int from, int to, int width, const double *a, const double *b)
{
    const Four none = {0.0, 0.0, 0.0, 0.0};
    Four s00 = none, s01 = none, s10 = none, s11 = none;
    Four s20 = none, s21 = none, s30 = none, s31 = none;
    for (int k = from; k < to; k++) {
        const double *left = a + k * width;
        const Four *right = (const Four *)(b + k * width), low = right[0], high = right[1];
        s00 += left[0] * low;
        s01 += left[0] * high;
        s10 += left[1] * low;
        s11 += left[1] * high;
        s20 += left[2] * low;
        s21 += left[2] * high;
        s30 += left[3] * low;
        s31 += left[3] * high;
    }
    return (Block){{{s00, s01}, {s10, s11}, {s20, s21}, {s30, s31}}};
}

/* row += factor * other, from <= j < to in steps of four. */
INLINE void NAME(add_row)(int from, int to, double factor, const double *other, double *row)
{
    for (int j = from; j < to; j += 4)
        *(Four *)(row + j) += factor * *(const Four *)(other + j);
}

/* matrix = U^T U; u, whose upper triangle holds the matrix, gets U there.  Below it may be
 * anything.  Its size is a multiple of ROWS.  Returns 0 or -1. */
INLINE int NAME(decompose)(int size, int width, double *u)
{
    for (int i = 0; i < size; i += ROWS) {
        int from = i / COLUMNS * COLUMNS;
        for (int j = from; j < width; j += COLUMNS) {
            Block done = NAME(products)(0, i, width, u + i, u + j);
            for (int r = 0; r < ROWS; r++) {
                Four *row = (Four *)(u + (i + r) * width + j);
                row[0] -= done.row[r][0];
                row[1] -= done.row[r][1];
            }
        }
        for (int k = i; k < i + ROWS; k++) {
            double *row = u + k * width, pivot = row[k];
            if (!(pivot > 0.0 && pivot <= DBL_MAX))
                return -1;
            double scale = 1.0 / sqrt(pivot);
            for (int j = from; j < width; j++)
                row[j] *= scale;
            for (int t = k + 1; t < i + ROWS; t++)
                NAME(add_row)(from, width, -row[t], row, u + t * width);
        }
    }
    return 0;
}

/* A working copy of matrix [n, n], its upper triangle from the lower one; 1 on the diagonal
 * of the rows that make its size whole. */
INLINE void NAME(copy_symmetric)(int n, int size, int width, const double *matrix, double *out)
{
    memset(out, 0, (size_t)(size * width) * sizeof(double));
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++)
            out[j * width + i] = matrix[i * n + j];
    for (int i = n; i < size; i++)
        out[i * (width + 1)] = 1.0;
}

static int NAME(inverse)(int n, const double *matrix, double jitter, double *out)
{
    double u[MAX_NV * MAX_NV], w[MAX_NV * MAX_NV];
    int size = NAME(up_to)(n, ROWS), width = NAME(up_to)(n, COLUMNS);
    NAME(copy_symmetric)(n, size, width, matrix, u);
    for (int i = 0; i < n; i++)
        u[i * (width + 1)] += jitter;
    if (NAME(decompose)(size, width, u))
        return -1;
    /* w is the inverse of U^T, lower triangular. */
    for (int i = 0; i < size; i += ROWS) {
        int to = NAME(up_to)(i + ROWS, COLUMNS);
        for (int j = 0; j < to; j += COLUMNS) {
            Block done = NAME(products)(j, i, width, u + i, w + j); /* rows before j do not reach j */
            for (int r = 0; r < ROWS; r++) {
                Four *row = (Four *)(w + (i + r) * width + j);
                row[0] = -done.row[r][0];
                row[1] = -done.row[r][1];
            }
        }
        for (int k = i; k < i + ROWS; k++) {
            double *row = w + k * width, scale = 1.0 / u[k * (width + 1)];
            row[k] += 1.0;
            for (int j = 0; j < to; j++)
                row[j] *= scale;
            for (int t = k + 1; t < i + ROWS; t++)
                NAME(add_row)(0, to, -u[k * width + t], row, w + t * width);
        }
    }
    /* The inverse is w^T w. */
    for (int i = 0; i < size; i += ROWS)
        for (int j = 0; j < i + ROWS; j += COLUMNS) {
            Block sum = NAME(products)(i, size, width, w + i, w + j);
            const double *values = (const double *)&sum;
            for (int r = 0; r < ROWS && i + r < n; r++)
                for (int c = 0; c < COLUMNS && j + c <= i + r; c++)
                    out[(i + r) * n + j + c] = out[(j + c) * n + i + r] = values[COLUMNS * r + c];
        }
    return isfinite(out[n * n - 1]) ? 0 : -1;
}

static int NAME(solve)(int n, const double *matrix, const double *right, double *x)
{
    double u[MAX_NV * MAX_NV];
    int size = NAME(up_to)(n, ROWS), width = NAME(up_to)(n, COLUMNS);
    NAME(copy_symmetric)(n, size, width, matrix, u);
    if (NAME(decompose)(size, width, u))
        return -1;
    memcpy(x, right, (size_t)n * sizeof(double));
    for (int i = 0; i < n; i++) {
        const double *row = u + i * width;
        double value = x[i] /= row[i];
        for (int j = i + 1; j < n; j++)
            x[j] -= value * row[j];
    }
    for (int i = n - 1; i >= 0; i--) {
        const double *row = u + i * width;
        double sum = x[i];
        for (int j = i + 1; j < n; j++)
            sum -= row[j] * x[j];
        x[i] = sum / row[i];
    }
    return isfinite(x[0]) && isfinite(x[n - 1]) ? 0 : -1;
}

static void NAME(product_of_transposed)(int n, const double *a, const double *b, double *out)
{
    double left[MAX_NV * MAX_NV], right[MAX_NV * MAX_NV];
    int width = NAME(up_to)(n, COLUMNS);
    size_t row = (size_t)n * sizeof(double);
    for (int k = 0; k < n; k++) {
        memcpy(left + k * width, a + k * n, row);
        memcpy(right + k * width, b + k * n, row);
        for (int j = n; j < width; j++)
            left[k * width + j] = right[k * width + j] = 0.0;
    }
    for (int i = 0; i < n; i += ROWS)
        for (int j = 0; j < n; j += COLUMNS) {
            Block sum = NAME(products)(0, n, width, left + i, right + j);
            const double *values = (const double *)&sum;
            for (int r = 0; r < ROWS && i + r < n; r++)
                for (int c = 0; c < COLUMNS && j + c < n; c++)
                    out[(i + r) * n + j + c] = values[COLUMNS * r + c];
        }
}
