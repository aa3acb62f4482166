/* Matrix products over pixels, the arithmetic of dense convolutions: rows of channels read where they lie, without
 * unfolding. A table of places takes the part of a convolution's geometry, as in XNNPACK's indirect convolutions
 * (Dukhan 2019, "The Indirect Convolution Algorithm"): a tap outside the image reads a row of zeros. */
#ifndef PRONAS_GEMM_H
#define PRONAS_GEMM_H

#include "simd.h"

#if defined(__AVX2__)
#include <immintrin.h> /* for masks, which GCC makes of vectors lane by lane */
#endif

#define UNROLL _Pragma("GCC unroll 16")

/* A tile of results that fits into the registers beside what it is computed from. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define ROWS 8
#else
#define ROWS 6
#endif
#define VECTORS 2
#define STEP (VECTORS * LANES)

/* result[to[r]] = sum over taps of source[from[tap][r]] times the tap's matrix, `depth` rows of it a tap. */
typedef struct {
    int64_t rows, taps, depth, width;
    int32_t *from, *to; /* (taps, rows), -1 outside; (rows,): places in floats */
    float *weights;     /* (panels, taps, depth, STEP), zeros beyond `width` */
} Gather;

/* The first `lanes` of a vector, with `add` on top of what is there. */
INLINE void put_lanes(vec value, float *place, int64_t lanes, int add) {
    if (lanes >= LANES) {
        if (add) value += READ(place);
        AT(place) = value;
        return;
    }
#if defined(__AVX512F__)
    __mmask16 some = (__mmask16)((1u << lanes) - 1);
    if (add) value += (vec)_mm512_maskz_loadu_ps(some, place);
    _mm512_mask_storeu_ps(place, some, (__m512)value);
#elif defined(__AVX2__)
    __m256i some = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    if (add) value += (vec)_mm256_maskload_ps(place, some);
    _mm256_maskstore_ps(place, some, (__m256)value);
#else
    for (int64_t lane = 0; lane < lanes; lane++) place[lane] = add ? place[lane] + value[lane] : value[lane];
#endif
}

INLINE void gather_tile(const int count, const int vectors, const Gather *g, int64_t row, const float *source,
                        const float *zeros, const float *weights, float *result, int64_t lanes, int add) {
    vec sums[VECTORS * ROWS];
    UNROLL for (int i = 0; i < count * vectors; i++) sums[i] = (vec){0};
    for (int64_t tap = 0; tap < g->taps; tap++) {
        const int32_t *from = g->from + tap * g->rows + row;
        const float *at[ROWS];
        UNROLL for (int i = 0; i < count; i++) at[i] = from[i] < 0 ? zeros : source + from[i];
        for (int64_t k = 0; k < g->depth; k++, weights += STEP) {
            vec one = READ(weights), two = vectors > 1 ? READ(weights + LANES) : one;
            UNROLL for (int i = 0; i < count; i++) {
                sums[i * vectors] += at[i][k] * one;
                if (vectors > 1) sums[i * vectors + 1] += at[i][k] * two;
            }
        }
    }
    UNROLL for (int i = 0; i < count; i++)
        UNROLL for (int v = 0; v < vectors; v++)
            put_lanes(sums[i * vectors + v], result + g->to[row + i] + v * LANES, lanes - v * LANES, add);
}

/* Calls TILE(count, vectors) with constants. Rows are shared out evenly, so that no tile is left with one of them. */
#define FOR_TILE(count, wide)                                                                                          \
    switch (count) {                                                                                                   \
        ONE_TILE(1, wide)                                                                                              \
        ONE_TILE(2, wide)                                                                                              \
        ONE_TILE(3, wide)                                                                                              \
        ONE_TILE(4, wide)                                                                                              \
        ONE_TILE(5, wide)                                                                                              \
        ONE_TILE(6, wide)                                                                                              \
        ONE_TILE(7, wide)                                                                                              \
        ONE_TILE(8, wide)                                                                                              \
    }
#define ONE_TILE(n, wide)                                                                                              \
    case n:                                                                                                            \
        if (n > ROWS) break;                                                                                           \
        if (wide) TILE(n, 2);                                                                                          \
        else TILE(n, 1);                                                                                               \
        break;

INLINE int64_t even_share(int64_t all, int64_t most) {
    int64_t tiles = all > 0 ? (all + most - 1) / most : 1;
    return (all + tiles - 1) / tiles;
}

INLINE int64_t least(int64_t one, int64_t two) { return one < two ? one : two; }

/* Calls TILE(count, vectors) for all tiles of a table's results, from `row` and lane `first` on, of which there are `lanes`;
 * their weights are `weights`. */
#define FOR_TILES(g)                                                                                                   \
    const float *weights = (g)->weights;                                                                               \
    for (int64_t first = 0; first < (g)->width; first += STEP, weights += (g)->taps * (g)->depth * STEP)               \
        for (int64_t row = 0, size = even_share((g)->rows, ROWS); row < (g)->rows; row += size) {                      \
            int64_t lanes = (g)->width - first;                                                                        \
            FOR_TILE(least(size, (g)->rows - row), lanes > LANES)                                                      \
        }

/* One image. */
static void gathered(const Gather *g, const float *source, const float *zeros, float *result, int add) {
    if (add && g->taps == 0) return;
#define TILE(n, v) gather_tile(n, v, g, row, source, zeros, weights, result + first, lanes, add)
    FOR_TILES(g)
#undef TILE
}

/* Two sets of rows of channels that lie evenly: images x rows x columns of them, distances in floats. */
typedef struct {
    const float *first;
    int64_t image, row, column;
} Field;

typedef struct {
    int64_t images, rows, columns;
} Extent;

/* place[i] += sum over the rows of channels of a's i-th channel times b's vectors. */
INLINE void outer_tile(const int count, const int vectors, Field a, Field b, Extent extent, float *place, int64_t step) {
    vec sums[VECTORS * ROWS];
    UNROLL for (int i = 0; i < count; i++)
        UNROLL for (int v = 0; v < vectors; v++) sums[i * vectors + v] = READ(place + i * step + v * LANES);
    for (int64_t image = 0; image < extent.images; image++)
        for (int64_t y = 0; y < extent.rows; y++) {
            const float *in = a.first + image * a.image + y * a.row, *out = b.first + image * b.image + y * b.row;
            for (int64_t x = 0; x < extent.columns; x++, in += a.column, out += b.column) {
                vec one = READ(out), two = vectors > 1 ? READ(out + LANES) : one;
                UNROLL for (int i = 0; i < count; i++) {
                    sums[i * vectors] += in[i] * one;
                    if (vectors > 1) sums[i * vectors + 1] += in[i] * two;
                }
            }
        }
    UNROLL for (int i = 0; i < count; i++)
        UNROLL for (int v = 0; v < vectors; v++) AT(place + i * step + v * LANES) = sums[i * vectors + v];
}

/* One row of tiles of an outer product: `count` channels of a with all `width` (whole vectors) of b. */
static void outer_row(int64_t count, int64_t width, Field a, Field b, Extent extent, float *place) {
    for (int64_t first = 0; first < width; first += STEP) {
        Field some = {b.first + first, b.image, b.row, b.column};
#define TILE(n, v) outer_tile(n, v, a, some, extent, place + first, width)
        FOR_TILE(count, width - first > LANES)
#undef TILE
    }
}

#endif
