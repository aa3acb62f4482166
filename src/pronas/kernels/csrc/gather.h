/* Where a dense convolution's taps read and write: the tables that products over pixels go by, and the weights in the order
 * in which these read them. */
#ifndef PRONAS_GATHER_H
#define PRONAS_GATHER_H

#include "gemm.h"

#define MOST_STRIDE 2
#define LARGEST_TAPS 49
#define MOST_UNFOLDED 32 /* numbers in a result of few channels and several taps: these are laid out side by side first */

typedef struct {
    int64_t n, h, w, c, f, tall, wide, stride; /* tall, wide: of the kernel */
    int64_t oh, ow, taps, lanes;               /* lanes: f, rounded up to vectors */
    int64_t unfolded;                          /* numbers in a result, where they are laid out side by side, or 0 */
    int64_t binary;                            /* whether the weights' signs are used */
    int64_t channel, tap;                      /* floats from one of a filter's weights to the next of these */
} Shape;

static Shape shape_of(int64_t n, int64_t h, int64_t w, int64_t c, int64_t f, int64_t tall, int64_t wide, int64_t stride,
                      int64_t binary, int64_t last) {
    int64_t lanes = (f + LANES - 1) / LANES * LANES, taps = tall * wide, unfolded = taps > 1 && taps * c <= MOST_UNFOLDED;
    return (Shape){n, h, w, c, f, tall, wide, stride, (h + stride - 1) / stride, (w + stride - 1) / stride, taps, lanes,
                   unfolded ? taps * c : 0, binary, last ? 1 : taps, last ? c : 1};
}

/* Results at every `to`-th pixel of a map from one on, which read every `from`-th pixel of another. */
typedef struct {
    int64_t rows, columns, from, to, to_y, to_x;
} Grid;

/* Room for a table of `rows` results of `taps` taps, and its weights. Returns whether there was memory; free_gather then. */
static int make_gather(Gather *g, int64_t rows, int64_t taps, int64_t depth, int64_t width) {
    int64_t numbers = (width + STEP - 1) / STEP * STEP * taps * depth;
    *g = (Gather){rows, taps, depth, width, malloc((size_t)(rows * (taps + 1)) * sizeof(int32_t)), NULL, NULL};
    if (!g->from || !(g->weights = allocate(numbers / LANES))) return 0;
    memset(g->weights, 0, (size_t)numbers * sizeof(float));
    g->to = g->from + rows * taps;
    return 1;
}

static void free_gather(Gather *g) {
    free(g->from);
    free(g->weights);
}

/* down, across: where a tap reads, from the first pixel that a result's grid reads on; h, w, between: the map read, and
 * the floats between its pixels. */
static void place_tap(Gather *g, Grid grid, int64_t tap, int64_t down, int64_t across, int64_t h, int64_t w, int64_t between) {
    int32_t *from = g->from + tap * g->rows;
    for (int64_t p = 0; p < grid.rows; p++)
        for (int64_t q = 0; q < grid.columns; q++) {
            int64_t y = p * grid.from + down, x = q * grid.from + across;
            *from++ = y < 0 || x < 0 || y >= h || x >= w ? -1 : (int32_t)((y * w + x) * between);
        }
}

static void place_results(Gather *g, Grid grid, int64_t w, int64_t between) {
    int32_t *to = g->to;
    for (int64_t p = 0; p < grid.rows; p++)
        for (int64_t q = 0; q < grid.columns; q++)
            *to++ = (int32_t)(((p * grid.to + grid.to_y) * w + q * grid.to + grid.to_x) * between);
}

/* A tap's matrix (rows, width), the two `down` and `across` floats apart in `from`, into the panels from row `first` on. */
static void place_weights(Gather *g, int64_t first, int64_t rows, const float *from, int64_t down, int64_t across, int64_t binary) {
    int64_t panel = g->taps * g->depth * STEP;
    float *to = g->weights + first * STEP;
    if (across < down) { /* what lies side by side first */
        for (int64_t k = 0; k < rows; k++)
            for (int64_t lane = 0; lane < g->width; lane++)
                to[lane / STEP * panel + k * STEP + lane % STEP] = used_weight(from[k * down + lane * across], binary);
        return;
    }
    for (int64_t lane = 0; lane < g->width; lane++)
        for (int64_t k = 0; k < rows; k++)
            to[lane / STEP * panel + k * STEP + lane % STEP] = used_weight(from[k * down + lane * across], binary);
}

/* Where a tap reads the input, whose pixels are `between` floats apart. */
static void place_input(Shape s, Gather *g, int64_t tap, int64_t between) {
    Grid grid = {s.oh, s.ow, s.stride, 1, 0, 0};
    place_tap(g, grid, tap, tap / s.wide - s.tall / 2, tap % s.wide - s.wide / 2, s.h, s.w, between);
}

static int gather_inputs(Shape s, const float *weights, Gather *g) {
    Grid same = {s.oh, s.ow, 1, 1, 0, 0};
    if (!make_gather(g, s.oh * s.ow, s.unfolded ? 1 : s.taps, s.unfolded ? s.unfolded : s.c, s.f)) return 0;
    place_results(g, same, s.ow, s.f);
    if (s.unfolded) place_tap(g, same, 0, 0, 0, s.oh, s.ow, s.unfolded);
    for (int64_t tap = 0; tap < s.taps; tap++) {
        if (!s.unfolded) place_input(s, g, tap, s.c);
        place_weights(g, tap * s.c, s.c, weights + tap * s.tap, s.channel, s.c * s.taps, s.binary);
    }
    return 1;
}

/* How many taps of one side reach the pixels whose padded row or column leaves a remainder. */
INLINE int64_t taps_left(int64_t side, int64_t remainder, int64_t stride) { return (side - remainder + stride - 1) / stride; }

/* The number that a phase's tap has among all. */
INLINE int64_t whole_tap(Shape s, int64_t down, int64_t across, int64_t tap) {
    int64_t wide = taps_left(s.wide, across, s.stride);
    return (tap / wide * s.stride + down) * s.wide + tap % wide * s.stride + across;
}

/* A phase of the gradient to the input, the pixels whose padded row and column leave these remainders: its table, without
 * weights. A result's row is `between` floats long, `depth` of them are the numbers that a tap reads. */
static int place_phase(Shape s, int64_t down, int64_t across, int64_t depth, int64_t between, Gather *g) {
    int64_t first = taps_left(s.tall / 2, down, s.stride), left = taps_left(s.wide / 2, across, s.stride);
    int64_t y = first * s.stride + down - s.tall / 2, x = left * s.stride + across - s.wide / 2;
    Grid grid = {(s.h - y + s.stride - 1) / s.stride, (s.w - x + s.stride - 1) / s.stride, 1, s.stride, y, x};
    int64_t tall = taps_left(s.tall, down, s.stride), wide = taps_left(s.wide, across, s.stride);
    if (!make_gather(g, grid.rows * grid.columns, tall * wide, depth, s.c)) return 0;
    place_results(g, grid, s.w, s.c);
    for (int64_t tap = 0; tap < g->taps; tap++) place_tap(g, grid, tap, first - tap / wide, left - tap % wide, s.oh, s.ow, between);
    return 1;
}

static int gather_gradients(Shape s, const float *weights, int64_t down, int64_t across, Gather *g) {
    if (!place_phase(s, down, across, s.f, s.lanes, g)) return 0;
    for (int64_t tap = 0; tap < g->taps; tap++)
        place_weights(g, tap * s.f, s.f, weights + whole_tap(s, down, across, tap) * s.tap, s.c * s.taps, s.channel, s.binary);
    return 1;
}

#endif
