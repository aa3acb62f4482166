/* Convolutions of maps of -1 and +1 with kernels of -1 and +1: sums of whole numbers, which products of bytes give four
 * at a time, the same to the bit as those of floats. A value x is stored as x + 1, so that a tap outside the image, 0,
 * is a byte like any other; what is too much in a sum, the weights' sum, is what it begins with. */
#ifndef PRONAS_INT8_CONV_H
#define PRONAS_INT8_CONV_H

#include "gather.h"

#if defined(__AVX2__)
#define HAVE_SIGNS 1
#else
#define HAVE_SIGNS 0
#endif

#define BYTES 4 /* in a lane */
#define LARGEST_SUM 32767

INLINE int64_t words_of(int64_t c) { return (c + BYTES - 1) / BYTES; }

#define FEWEST_TAPS (LANES >= 16 ? 1 : 2) /* narrow vectors take long to make bytes */

/* Whether its sums cannot grow too large, and it reads enough channels and pixels to gain anything. */
INLINE int fits_signs(Shape s) {
    int64_t products = s.taps * words_of(s.c) * BYTES;
    int reads_enough = s.c >= BYTES && !s.unfolded && s.tall >= s.stride && s.taps >= FEWEST_TAPS;
    return HAVE_SIGNS && s.binary && reads_enough && products <= LARGEST_SUM;
}

/* What a convolution of maps and kernels of -1 and +1 by bytes needs; without a table it is not possible. */
typedef struct {
    Gather table;
    float *starts, *ones, *map; /* see signs_tile; a pixel outside; an image */
} Signs;

static void free_signs(Signs *signs) {
    free_gather(&signs->table);
    free(signs->starts);
    *signs = (Signs){0};
}

#if HAVE_SIGNS

#if defined(__AVX512F__)
typedef __m512i words;
#define ALL_WORDS(value) _mm512_set1_epi32(value)
#define ADD16(one, two) _mm512_add_epi16(one, two)
#define PRODUCTS(one, two) _mm512_maddubs_epi16(one, two)
#define PAIRS(one) _mm512_madd_epi16(one, _mm512_set1_epi16(1))
#define ADD32(one, two) _mm512_add_epi32(one, two)
#else
typedef __m256i words;
#define ALL_WORDS(value) _mm256_set1_epi32(value)
#define ADD16(one, two) _mm256_add_epi16(one, two)
#define PRODUCTS(one, two) _mm256_maddubs_epi16(one, two)
#define PAIRS(one) _mm256_madd_epi16(one, _mm256_set1_epi16(1))
#define ADD32(one, two) _mm256_add_epi32(one, two)
#endif

/* sum += the products of four bytes a lane: with VNNI in one operation, else in halves of 16 bits until the end. */
INLINE words add_products(words sum, words values, words weights) {
#if defined(__AVX512VNNI__)
    return _mm512_dpbusd_epi32(sum, values, weights);
#else
    return ADD16(sum, PRODUCTS(values, weights));
#endif
}

INLINE vec sum_of(words sum, const float *start) {
#if !defined(__AVX512VNNI__)
    sum = PAIRS(sum);
#endif
    return __builtin_convertvector((ivec)ADD32(sum, (words)READ(start)), vec);
}

/* gather_tile for bytes; `depth` counts lanes of four. starts: (width), minus the sums of each filter's weights. */
INLINE void signs_tile(const int count, const int vectors, const Gather *g, int64_t row, const float *source, const float *ones,
                       const float *weights, const float *starts, float *result, int64_t lanes) {
    words sums[VECTORS * ROWS];
    UNROLL for (int i = 0; i < count * vectors; i++) sums[i] = ALL_WORDS(0);
    for (int64_t tap = 0; tap < g->taps; tap++) {
        const int32_t *from = g->from + tap * g->rows + row;
        const int32_t *at[ROWS];
        UNROLL for (int i = 0; i < count; i++) at[i] = (const int32_t *)(from[i] < 0 ? ones : source + from[i]);
        for (int64_t k = 0; k < g->depth; k++, weights += STEP) {
            words one = (words)READ(weights), two = vectors > 1 ? (words)READ(weights + LANES) : one;
            UNROLL for (int i = 0; i < count; i++) {
                words values = ALL_WORDS(at[i][k]);
                sums[i * vectors] = add_products(sums[i * vectors], values, one);
                if (vectors > 1) sums[i * vectors + 1] = add_products(sums[i * vectors + 1], values, two);
            }
        }
    }
    UNROLL for (int i = 0; i < count; i++)
        UNROLL for (int v = 0; v < vectors; v++)
            put_lanes(sum_of(sums[i * vectors + v], starts + v * LANES), result + g->to[row + i] + v * LANES, lanes - v * LANES, 0);
}

/* Some channels of a pixel as bytes; returns bits that are zero where all are -1 or +1. */
INLINE ivec store_signs(const float *from, uint8_t *to, const int32_t plus) {
    ivec bits = *(const ivec *)from;
    *(bytes *)to = __builtin_convertvector(~(bits >> 31) & plus, bytes);
    return (bits & 0x7fffffff) ^ 0x3f800000;
}

/* A map as bytes, 0 for -1 and `plus` for +1, in pixels of `pitch` floats, of which what is beyond c stays as it is. Returns
 * whether all of it was -1 or +1. */
INLINE int take_signs(const float *x, int64_t pixels, int64_t c, float *place, int64_t pitch, const int32_t plus) {
    ivec wrong = {0};
    int32_t other = 0;
    uint8_t *to = (uint8_t *)place;
    for (int64_t p = 0; p < pixels; p++, x += c, to += pitch * BYTES) {
        for (int64_t k = 0; k + LANES <= c; k += LANES) wrong |= store_signs(x + k, to + k, plus);
        if (c >= LANES) wrong |= store_signs(x + c - LANES, to + c - LANES, plus);
        for (int64_t k = 0; k < c && c < LANES; k++) {
            int32_t bits;
            memcpy(&bits, x + k, sizeof bits);
            to[k] = (uint8_t)(~(bits >> 31) & plus), other |= (bits & 0x7fffffff) ^ 0x3f800000;
        }
    }
    for (int lane = 0; lane < LANES; lane++) other |= wrong[lane];
    return other == 0;
}

/* All signs, four channels a lane, and minus their sums; returns whether all weights are numbers. */
static int place_signs(Shape s, const Gather *g, const float *weights, int32_t *starts) {
    int64_t panel = g->taps * g->depth * STEP, numbers = 1;
    for (int64_t f = 0; f < s.f; f++, weights += s.c * s.taps) {
        int8_t *to = (int8_t *)(g->weights + f / STEP * panel + f % STEP);
        int32_t sum = 0;
        for (int64_t k = 0; k < s.c; k++)
            for (int64_t tap = 0; tap < s.taps; tap++) {
                float weight = weights[k * s.channel + tap * s.tap];
                int sign = 2 * (weight >= 0) - 1;
                to[(tap * g->depth + k / BYTES) * STEP * BYTES + k % BYTES] = (int8_t)sign;
                sum += sign, numbers &= weight == weight;
            }
        starts[f] = -sum;
    }
    return (int)numbers;
}

/* Leaves no table where there is no need, no memory, or a weight that is not a number. */
static void make_signs(Shape s, const float *weights, Signs *signs) {
    int64_t depth = words_of(s.c), starts = (s.f + STEP - 1) / STEP * STEP, pixels = s.h * s.w;
    int64_t ones = (depth + LANES - 1) / LANES * LANES, vectors = (starts + ones + pixels * depth) / LANES + 1;
    Grid grid = {s.oh, s.ow, 1, 1, 0, 0};
    int ready = make_gather(&signs->table, s.oh * s.ow, s.taps, depth, s.f) && (signs->starts = allocate(vectors));
    if (ready) {
        fill(signs->starts, vectors, 0.0f);
        signs->ones = signs->starts + starts, signs->map = signs->ones + ones;
        memset(signs->ones, 1, (size_t)ones * sizeof(float));
        place_results(&signs->table, grid, s.ow, s.f);
    }
    for (int64_t tap = 0; tap < s.taps && ready; tap++) place_input(s, &signs->table, tap, depth);
    if (!ready || !place_signs(s, &signs->table, weights, (int32_t *)signs->starts)) free_signs(signs);
}

/* One image's results. Returns whether it was possible: whether all of it was -1 or +1. */
static int compute_signs(Shape s, const Signs *signs, const float *x, float *results) {
    const Gather *g = &signs->table;
    if (!take_signs(x, s.h * s.w, s.c, signs->map, g->depth, 2)) return 0;
#define TILE(n, v) signs_tile(n, v, g, row, signs->map, signs->ones, weights, signs->starts + first, results + first, lanes)
    FOR_TILES(g)
#undef TILE
    return 1;
}

#else

INLINE void make_signs(Shape s, const float *weights, Signs *signs) { (void)s, (void)weights, (void)signs; }

INLINE int compute_signs(Shape s, const Signs *signs, const float *x, float *results) {
    (void)s, (void)signs, (void)x, (void)results;
    return 0;
}

#endif
#endif
