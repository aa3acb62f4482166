/* Gradients of convolutions of -1 and +1: products with signs by looking them up. Of four numbers there are sixteen sums with
 * signs, a register full; four signs of each lane choose one of them, in one permutation for what were four products (the
 * method of the four Russians: Arlazarov et al. 1970). Only with AVX-512. */
#ifndef PRONAS_LUT_GRAD_H
#define PRONAS_LUT_GRAD_H

#include "int8_conv.h"

#if defined(__AVX512F__)
#define HAVE_LOOKUP 1
#else
#define HAVE_LOOKUP 0
#endif

#define FOUR 4
#define LOOKUP_PIXELS 192  /* whose signs and sums stay in near caches: images are taken together */
#define FEWEST_PRODUCTS 160 /* for each number in a table, below which making the tables costs more than it saves */

INLINE int64_t fours_of(int64_t count) { return (count + FOUR - 1) / FOUR; }

INLINE int fits_lookup(Shape s) { return HAVE_LOOKUP && fits_signs(s) && s.taps * s.c >= FEWEST_PRODUCTS; }

/* The tables of a backward pass; where `memory` is NULL it is not possible. `phases`: as those of gather_gradients, but four
 * signs a lane instead of weights. A group of images is `pixels` results at most, rounded up to fours. */
typedef struct {
    Gather phases[MOST_STRIDE * MOST_STRIDE], places;
    int64_t pixels, panels, pitch;            /* panels of STEP channels; floats a pixel of a map of bits */
    float *memory, *maps, *nothing, *indexes; /* maps: a bit for each channel and pixel; indexes: (taps, panels, fours, STEP) bytes */
    float *tables, *outside;                  /* (f, fours, LANES) or (pixels, fours of f, LANES), and one pixel's zeros */
    float *sums, *totals;                     /* (taps, panels, f, STEP); (pixels of a result, lanes): of all images */
} Lookup;

static void free_lookup(Lookup *lookup) {
    for (int phase = 0; phase < MOST_STRIDE * MOST_STRIDE; phase++) free_gather(lookup->phases + phase);
    free_gather(&lookup->places);
    free(lookup->memory);
    *lookup = (Lookup){0};
}

#if HAVE_LOOKUP

/* All sums with signs of four numbers `between` floats apart: bit i of a lane's number says whether number i is added. */
INLINE vec signed_sums(const float *at, int64_t between) {
    const vec one = {-1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1};
    const vec two = {-1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1};
    const vec three = {-1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1};
    const vec four = {-1, -1, -1, -1, -1, -1, -1, -1, 1, 1, 1, 1, 1, 1, 1, 1};
    return at[0] * one + at[between] * two + at[2 * between] * three + at[3 * between] * four;
}

INLINE vec chosen(vec table, __m512i which) { return (vec)_mm512_permutexvar_ps(which, (__m512)table); }

/* gather_tile for tables of sums; `depth` counts fours. */
INLINE void lookup_tile(const int count, const int vectors, const Gather *g, int64_t row, const float *source,
                        const float *outside, const float *weights, float *result, int64_t lanes, int add) {
    vec sums[VECTORS * ROWS];
    UNROLL for (int i = 0; i < count * vectors; i++) sums[i] = (vec){0};
    for (int64_t tap = 0; tap < g->taps; tap++) {
        const int32_t *from = g->from + tap * g->rows + row;
        const float *at[ROWS];
        UNROLL for (int i = 0; i < count; i++) at[i] = from[i] < 0 ? outside : source + from[i];
        for (int64_t k = 0; k < g->depth; k++, weights += STEP) {
            __m512i one = (__m512i)READ(weights), two = vectors > 1 ? (__m512i)READ(weights + LANES) : one;
            UNROLL for (int i = 0; i < count; i++) {
                vec table = READ(at[i] + k * LANES);
                sums[i * vectors] += chosen(table, one);
                if (vectors > 1) sums[i * vectors + 1] += chosen(table, two);
            }
        }
    }
    UNROLL for (int i = 0; i < count; i++)
        UNROLL for (int v = 0; v < vectors; v++)
            put_lanes(sums[i * vectors + v], result + g->to[row + i] + v * LANES, lanes - v * LANES, add);
}

/* One image's gradient to the inputs, from `rows`, its gradient to the results. */
static void lookup_to_x(Shape s, const Lookup *lookup, const float *rows, float *to_x, int add) {
    int64_t depth = fours_of(s.f);
    for (int64_t p = 0; p < s.oh * s.ow; p++)
        for (int64_t k = 0; k < depth; k++)
            AT(lookup->tables + (p * depth + k) * LANES) = signed_sums(rows + p * s.lanes + k * FOUR, 1);
    for (int64_t phase = 0; phase < s.stride * s.stride; phase++) {
        const Gather *g = lookup->phases + phase;
#define TILE(n, v) lookup_tile(n, v, g, row, lookup->tables, lookup->outside, weights, to_x + first, lanes, add)
        FOR_TILES(g)
#undef TILE
    }
}

/* A tile of sums (filters, channels) over fours of pixels. */
INLINE void lookup_outer(const int count, const int vectors, const float *tables, int64_t fours, const uint8_t *indexes, float *place) {
    vec sums[VECTORS * ROWS];
    UNROLL for (int i = 0; i < count; i++)
        UNROLL for (int v = 0; v < vectors; v++) sums[i * vectors + v] = READ(place + i * STEP + v * LANES);
    for (int64_t q = 0; q < fours; q++, indexes += STEP) {
        __m512i one = _mm512_cvtepu8_epi32(*(const __m128i_u *)indexes), two = one;
        if (vectors > 1) two = _mm512_cvtepu8_epi32(*(const __m128i_u *)(indexes + LANES));
        UNROLL for (int i = 0; i < count; i++) {
            vec table = READ(tables + (i * fours + q) * LANES);
            sums[i * vectors] += chosen(table, one);
            if (vectors > 1) sums[i * vectors + 1] += chosen(table, two);
        }
    }
    UNROLL for (int i = 0; i < count; i++)
        UNROLL for (int v = 0; v < vectors; v++) AT(place + i * STEP + v * LANES) = sums[i * vectors + v];
}

typedef uint8_t panel_bytes __attribute__((vector_size(STEP), aligned(1), may_alias));

/* One after the other, the bits of the pixels that a tap reads in some images; nothing beyond the last. */
typedef struct {
    const int32_t *from;
    const float *map;
    int64_t pixel, images;
} Reader;

INLINE const uint8_t *next_pixel(Shape s, const Lookup *lookup, Reader *reader) {
    if (reader->images == 0) return (const uint8_t *)lookup->nothing;
    int32_t place = reader->from[reader->pixel];
    const float *at = place < 0 ? lookup->nothing : reader->map + place;
    if (++reader->pixel == s.oh * s.ow) reader->pixel = 0, reader->images--, reader->map += s.h * s.w * lookup->pitch;
    return (const uint8_t *)at;
}

/* For each tap, channel and four pixels the number of the sum that their signs choose. */
static void take_indexes(Shape s, const Lookup *lookup, int64_t images) {
    int64_t pixels = s.oh * s.ow, fours = fours_of(images * pixels);
    uint8_t *to = (uint8_t *)lookup->indexes;
    for (int64_t tap = 0; tap < s.taps; tap++, to += lookup->panels * fours * STEP) {
        Reader reader = {lookup->places.from + tap * pixels, lookup->maps, 0, images};
        for (int64_t q = 0; q < fours; q++) {
            const uint8_t *at[FOUR];
            for (int i = 0; i < FOUR; i++) at[i] = next_pixel(s, lookup, &reader);
            for (int64_t panel = 0; panel < lookup->panels; panel++) {
                panel_bytes which = *(const panel_bytes *)(at[FOUR - 1] + panel * STEP);
                for (int i = FOUR - 2; i >= 0; i--) which = which + which + *(const panel_bytes *)(at[i] + panel * STEP);
                *(panel_bytes *)(to + (panel * fours + q) * STEP) = which;
            }
        }
    }
}

/* The sums of `count` filters from one on, over fours of pixels. */
static void sum_filters(Shape s, const Lookup *lookup, const float *rows, int64_t count, int64_t fours) {
    for (int64_t i = 0; i < count; i++)
        for (int64_t q = 0; q < fours; q++)
            AT(lookup->tables + (i * fours + q) * LANES) = signed_sums(rows + q * FOUR * s.lanes + i, s.lanes);
}

static void add_totals(Shape s, const Lookup *lookup, const float *rows, int64_t images) {
    for (int64_t image = 0; image < images; image++)
        for (int64_t k = 0; k < s.oh * s.ow * s.lanes; k += LANES, rows += LANES) AT(lookup->totals + k) += READ(rows);
}

/* lookup->sums += some images' gradient to the weights; taps outside an image count as -1 (`finish_lookup` mends it). `rows`
 * has room for three pixels more. Returns whether it was possible: whether x is all -1 and +1. */
static int lookup_to_weights(Shape s, const Lookup *lookup, const float *x, float *rows, int64_t images) {
    int64_t in = s.h * s.w, count = images * s.oh * s.ow, fours = fours_of(count), size = even_share(s.f, ROWS);
    for (int64_t image = 0; image < images; image++)
        if (!take_signs(x + image * in * s.c, in, s.c, lookup->maps + image * in * lookup->pitch, lookup->pitch, 1)) return 0;
    take_indexes(s, lookup, images);
    add_totals(s, lookup, rows, images);
    memset(rows + count * s.lanes, 0, (size_t)((fours * FOUR - count) * s.lanes) * sizeof(float));
    for (int64_t f = 0; f < s.f; f += size) {
        int64_t some = least(size, s.f - f);
        sum_filters(s, lookup, rows + f, some, fours);
        for (int64_t panel = 0; panel < s.taps * lookup->panels; panel++) {
            const uint8_t *indexes = (const uint8_t *)lookup->indexes + panel * fours * STEP;
            float *place = lookup->sums + (panel * s.f + f) * STEP;
#define TILE(n, v) lookup_outer(n, v, lookup->tables, fours, indexes, place)
            FOR_TILE(some, s.c - panel % lookup->panels * STEP > LANES)
#undef TILE
        }
    }
    return 1;
}

/* Into sums (taps, c, lanes), those of the images that were not looked up. */
static void finish_lookup(Shape s, const Lookup *lookup, float *sums) {
    for (int64_t tap = 0; tap < s.taps; tap++) {
        float *to = sums + tap * s.c * s.lanes;
        const float *from = lookup->sums + tap * lookup->panels * s.f * STEP;
        for (int64_t k = 0; k < s.c; k++)
            for (int64_t f = 0; f < s.f; f++) to[k * s.lanes + f] += from[(k / STEP * s.f + f) * STEP + k % STEP];
        for (int64_t p = 0; p < s.oh * s.ow; p++) /* what was taken off outside comes back */
            for (int64_t k = 0; k < s.c && lookup->places.from[tap * s.oh * s.ow + p] < 0; k++)
                for (int64_t f = 0; f < s.f; f++) to[k * s.lanes + f] += lookup->totals[p * s.lanes + f];
    }
}

/* The signs of four filters a lane, for each phase's taps; returns whether all weights are numbers. */
static int place_indexes(Shape s, const Lookup *lookup, const float *weights) {
    int32_t *places[LARGEST_TAPS], numbers = 1;
    int64_t panels[LARGEST_TAPS], depth = fours_of(s.f);
    for (int64_t phase = 0; phase < s.stride * s.stride; phase++)
        for (int64_t tap = 0; tap < lookup->phases[phase].taps; tap++) {
            int64_t whole = whole_tap(s, phase / s.stride, phase % s.stride, tap);
            places[whole] = (int32_t *)lookup->phases[phase].weights + tap * depth * STEP;
            panels[whole] = lookup->phases[phase].taps * depth * STEP;
        }
    for (int64_t f = 0; f < s.f; f++)
        for (int64_t k = 0; k < s.c; k++)
            for (int64_t tap = 0; tap < s.taps; tap++) {
                float weight = weights[f * s.c * s.taps + k * s.channel + tap * s.tap];
                places[tap][k / STEP * panels[tap] + f / FOUR * STEP + k % STEP] |= (weight >= 0) << f % FOUR;
                numbers &= weight == weight;
            }
    return numbers;
}

/* Memory for all buffers, zero at first. Returns whether there was some. */
static int make_rooms(Shape s, Lookup *l) {
    int64_t pixels = s.oh * s.ow, images = l->pixels / pixels, fours = fours_of(l->pixels), depth = fours_of(s.f);
    int64_t of_x = pixels * depth, of_weights = ROWS * fours, bytes = STEP / (int64_t)sizeof(float);
    int64_t sizes[] = {images * s.h * s.w * l->pitch, l->pitch, s.taps * l->panels * fours * bytes,
                       (of_x > of_weights ? of_x : of_weights) * LANES, depth * LANES, s.taps * l->panels * s.f * STEP, pixels * s.lanes};
    float **rooms[] = {&l->maps, &l->nothing, &l->indexes, &l->tables, &l->outside, &l->sums, &l->totals};
    int64_t total = 0;
    for (int i = 0; i < 7; i++) total += (sizes[i] + LANES - 1) / LANES;
    if (!(l->memory = allocate(total))) return 0;
    fill(l->memory, total, 0.0f);
    float *at = l->memory;
    for (int i = 0; i < 7; at += (sizes[i++] + LANES - 1) / LANES * LANES) *rooms[i] = at;
    return 1;
}

/* Leaves no memory where there is none, or a weight that is not a number. */
static void make_lookup(Shape s, const float *weights, Lookup *lookup) {
    int64_t pixels = s.oh * s.ow, panels = (s.c + STEP - 1) / STEP, depth = fours_of(s.f);
    lookup->pixels = ((LOOKUP_PIXELS - 1) / pixels + 1) * pixels;
    lookup->panels = panels, lookup->pitch = panels * STEP / (int64_t)sizeof(float);
    int ready = make_rooms(s, lookup) && make_gather(&lookup->places, pixels, s.taps, 0, 0);
    for (int64_t tap = 0; tap < s.taps && ready; tap++) place_input(s, &lookup->places, tap, lookup->pitch);
    for (int64_t phase = 0; phase < s.stride * s.stride && ready; phase++)
        ready = place_phase(s, phase / s.stride, phase % s.stride, depth, depth * LANES, lookup->phases + phase);
    if (!ready || !place_indexes(s, lookup, weights)) free_lookup(lookup);
}

#else

INLINE void make_lookup(Shape s, const float *weights, Lookup *lookup) { (void)s, (void)weights, (void)lookup; }

INLINE void lookup_to_x(Shape s, const Lookup *lookup, const float *rows, float *to_x, int add) {
    (void)s, (void)lookup, (void)rows, (void)to_x, (void)add;
}

INLINE int lookup_to_weights(Shape s, const Lookup *lookup, const float *x, float *rows, int64_t images) {
    (void)s, (void)lookup, (void)x, (void)rows, (void)images;
    return 0;
}

INLINE void finish_lookup(Shape s, const Lookup *lookup, float *sums) { (void)s, (void)lookup, (void)sums; }

#endif
#endif
