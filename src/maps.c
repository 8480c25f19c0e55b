/* The maxima of heatmaps: vnect_ros/perception/decode.py and grouping.py. */
#include "native.h"

#include <math.h>

static int clamp(int value, int most)
{
    return value < 0 ? 0 : value > most ? most : value;
}

/* A row of a map, weighted by the prior. */
INLINE void row_of(const Heat *heat, const Prior *prior, int map, int y, float *restrict out)
{
    int width = heat->width;
    const float *restrict values = heat->values + ((size_t)map * heat->height + y) * width;
    if (!prior->across) {
        for (int x = 0; x < width; x++)
            out[x] = values[x];
        return;
    }
    const float *restrict across = prior->across + (size_t)map * width;
    float down = prior->down[(size_t)map * heat->height + y];
    float most = (float)prior->hysteresis, least = (float)(1.0 - prior->hysteresis);
    for (int x = 0; x < width; x++)
        out[x] = values[x] * (least + most * (down * across[x]));
}

/* The first of a map's highest cells, but for those about `but` unless that is -1. */
INLINE int highest(const Heat *heat, const Prior *prior, int map, int but, float *height)
{
    int width = heat->width, best = 0;
    float row[MAX_CELLS], top[MAX_CELLS];
    int32_t at[MAX_CELLS];
    top[0] = -INFINITY;
    at[0] = 0;
    for (int x = 1; x < width; x++) {
        top[x] = -INFINITY;
        at[x] = 0;
    }
    /* Column by column, so that compilers make vector instructions of it. */
    for (int y = 0; y < heat->height; y++) {
        row_of(heat, prior, map, y, row);
        if (but >= 0 && abs(y - but / width) <= 1)
            for (int x = clamp(but % width - 1, width - 1); x <= clamp(but % width + 1, width - 1); x++)
                row[x] = -INFINITY;
        for (int x = 0; x < width; x++) {
            at[x] = row[x] > top[x] ? y : at[x];
            top[x] = row[x] > top[x] ? row[x] : top[x];
        }
    }
    for (int x = 1; x < width; x++)
        if (top[x] > top[best] || (top[x] == top[best] && at[x] < at[best]))
            best = x;
    *height = top[best];
    return at[best] * width + best;
}

static double squared_distance(int a, int b, int width)
{
    double x = a % width - b % width, y = a / width - b / width;
    return x * x + y * y;
}

FOR_EVERY_PROCESSOR
void maxima(const Heat *heat, const Prior *prior, int pairs, const int64_t *pair, double cost,
            double radius, int64_t *cells)
{
    float heights[MAX_POINTS];
    int width = heat->width;
    for (int j = 0; j < heat->maps; j++)
        cells[j] = highest(heat, prior, j, -1, heights + j);
    for (int p = 0; p < pairs; p++) {
        int of[2] = {(int)pair[2 * p], (int)pair[2 * p + 1]}, choice[2][2], best = 0;
        float height[2][2];
        double most = -INFINITY;
        if (squared_distance((int)cells[of[0]], (int)cells[of[1]], width) > 4.0 * radius * radius)
            continue;
        /* Each is in its first or its second maximum: four ways. */
        for (int side = 0; side < 2; side++) {
            choice[side][0] = (int)cells[of[side]];
            height[side][0] = heights[of[side]];
            choice[side][1] = highest(heat, prior, of[side], choice[side][0], height[side] + 1);
        }
        for (int way = 0; way < 4; way++) {
            double squared = squared_distance(choice[0][way / 2], choice[1][way % 2], width);
            double score = height[0][way / 2] + height[1][way % 2];
            score -= cost * exp(-squared / (2.0 * radius * radius));
            if (score > most) {
                most = score;
                best = way;
            }
        }
        cells[of[0]] = choice[0][best / 2];
        cells[of[1]] = choice[1][best % 2];
    }
}

void tops(const Heat *heat, int count, const int64_t *maps, const int64_t *cells, double lowest,
          double largest_gain, double *places, double *heights)
{
    int height = heat->height, width = heat->width;
    for (int i = 0; i < count; i++) {
        int x = (int)(cells[i] % width), y = (int)(cells[i] / width);
        const float *map = heat->values + (size_t)maps[i] * height * width;
        double patch[3][3], middle = map[cells[i]], gain = 1.0, off[2] = {0.0, 0.0};
        double highest = middle > 1e-6 ? middle : 1e-6;
        for (int d = 0; d < 3; d++)
            for (int r = 0; r < 3; r++) {
                double value = map[clamp(y + d - 1, height - 1) * width + clamp(x + r - 1, width - 1)];
                patch[d][r] = log(value > lowest * highest ? value : lowest * highest);
            }
        double slope_x = (patch[1][2] - patch[1][0]) / 2.0, slope_y = (patch[2][1] - patch[0][1]) / 2.0;
        double xx = patch[1][2] - 2.0 * patch[1][1] + patch[1][0];
        double yy = patch[2][1] - 2.0 * patch[1][1] + patch[0][1];
        double xy = (patch[2][2] - patch[2][0] - patch[0][2] + patch[0][0]) / 4.0;
        double determinant = xx * yy - xy * xy;
        int inner = x > 0 && x < width - 1 && y > 0 && y < height - 1;
        if (inner && xx < 0.0 && determinant > 1e-9) {
            off[0] = fmax(-0.5, fmin(0.5, (xy * slope_y - yy * slope_x) / determinant));
            off[1] = fmax(-0.5, fmin(0.5, (xy * slope_x - xx * slope_y) / determinant));
            gain = exp((slope_x * off[0] + slope_y * off[1]) / 2.0);
            gain = fmax(1.0, fmin(largest_gain, gain));
        }
        places[2 * i] = x + off[0];
        places[2 * i + 1] = y + off[1];
        heights[i] = middle > 0.0 ? middle * gain : 0.0;
    }
}

/* Whether a cell is higher than those before it about it, and not lower than those behind. */
static int is_peak(const float *map, int height, int width, int y, int x)
{
    float value = map[y * width + x];
    for (int d = -1; d <= 1; d++)
        for (int r = -1; r <= 1; r++) {
            int down = y + d, right = x + r, before = d < 0 || (d == 0 && r < 0);
            if ((!d && !r) || down < 0 || down >= height || right < 0 || right >= width)
                continue;
            float other = map[down * width + right];
            if (before ? !(value > other) : !(value >= other))
                return 0;
        }
    return 1;
}

int peaks(const Heat *heat, double lowest, int most, int64_t *maps, int64_t *cells)
{
    int count = 0, size = heat->height * heat->width;
    for (int j = 0; j < heat->maps; j++) {
        const float *map = heat->values + (size_t)j * size;
        for (int cell = 0; cell < size; cell++) {
            if (!(map[cell] >= (float)lowest) ||
                !is_peak(map, heat->height, heat->width, cell / heat->width, cell % heat->width))
                continue;
            if (count == most)
                return count;
            maps[count] = j;
            cells[count++] = cell;
        }
    }
    return count;
}
