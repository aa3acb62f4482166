/* What the training kernels share. Maps are float32, channels last: (n, h, w, c).
 *
 * A vector is as wide as the processor's that this file is compiled for: GCC keeps wider ones in memory between operations.
 * So the library is compiled once for each generation, and _native.py loads the newest that this processor can run.
 *
 * Window kernels work on units of as many lanes as a vector has: channels of one image or, where a map has fewer, the
 * channels of several images. A unit is packed into a small buffer with a border, so that the arithmetic knows neither
 * borders nor how many channels there are. The last channels of an image may overlap the ones before: what is stored twice
 * is the same, and what is summed counts only the lanes that are new (`fresh`).
 */
#ifndef PRONAS_SIMD_H
#define PRONAS_SIMD_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif
typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int8_t bytes __attribute__((vector_size(LANES), aligned(1), may_alias));
typedef uint16_t halves __attribute__((vector_size(2 * LANES), aligned(2), may_alias)); /* bfloat16: a float's upper half */
typedef uint32_t uvec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors cross no call: everything is inlined */

#define INLINE static inline __attribute__((always_inline))

#define AT(place) (*(vec *)(place))
#define READ(place) (*(const vec *)(place))

/* LANES numbers of 16 bits as floats, and back, rounded to the nearest, halves to even. */
INLINE vec widened(const uint16_t *place) { return (vec)(__builtin_convertvector(*(const halves *)place, uvec) << 16); }

INLINE void narrowed(uint16_t *place, vec value) {
    uvec bits = (uvec)value;
    *(halves *)place = __builtin_convertvector((bits + 0x7fff + (bits >> 16 & 1)) >> 16, halves);
}

/* One map: n images of h x w pixels of c channels. */
typedef struct {
    int64_t n, h, w, c;
} Map;

/* Lanes of a map. */
typedef struct {
    int64_t image, channel; /* the first of each */
    int64_t images;         /* more than one only where a map has fewer channels than lanes */
    int fresh;              /* lanes below this belong to the unit before as well */
} Unit;

INLINE int64_t units_of(int64_t n, int64_t c) {
    int64_t together = LANES / c;
    return c >= LANES ? n * ((c + LANES - 1) / LANES) : (n + together - 1) / together;
}

INLINE Unit unit_at(int64_t n, int64_t c, int64_t index) {
    if (c < LANES) {
        int64_t together = LANES / c, first = index * together;
        return (Unit){first, 0, n - first < together ? n - first : together, 0};
    }
    int64_t blocks = (c + LANES - 1) / LANES, channel = index % blocks * LANES;
    int64_t over = channel + LANES > c ? channel + LANES - c : 0;
    return (Unit){index / blocks, channel - over, 1, (int)over};
}

/* Which of a block's sums a unit adds to: blocks of channels keep their own. */
INLINE int64_t block_of(int64_t c, int64_t index) { return c < LANES ? 0 : index % ((c + LANES - 1) / LANES); }

/* All bits of the lanes that are new. */
INLINE ivec fresh_lanes(int fresh) {
    ivec keep = {0};
    for (int lane = 0; lane < LANES; lane++) keep[lane] = lane >= fresh ? -1 : 0;
    return keep;
}

INLINE float *allocate(int64_t vectors) {
    size_t bytes = (size_t)(vectors > 0 ? vectors : 1) * LANES * sizeof(float);
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

INLINE void fill(float *place, int64_t vectors, float value) {
    for (int64_t i = 0; i < vectors; i++) AT(place + i * LANES) = (vec){0} + value;
}

/* Ask for a unit's share of the next image's memory: units read and write scattered lines, which the processor does not
 * foresee. `write` is 1 for memory that will be written. */
INLINE void ask_for_next(const float *map, int64_t pixels, int64_t c, int64_t n, Unit unit, const int write) {
    int64_t size = pixels * c, width = c < LANES ? c : LANES;
    if (c < LANES || unit.image + 1 >= n) return;
    const float *next = map + (unit.image + 1) * size + unit.channel * pixels;
    for (int64_t at = 0; at < width * pixels; at += LANES) __builtin_prefetch(next + at, write, 2);
}

INLINE void pack_images(const int64_t images, const int64_t c, const float *from, int64_t image, int64_t pixel, int64_t h,
                        int64_t w, float *buffer, int64_t row) {
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++, from += pixel) {
            float *place = buffer + (y * row + x) * LANES;
            for (int64_t i = 0; i < images; i++)
                for (int64_t k = 0; k < c; k++) place[i * c + k] = from[i * image + k];
        }
}

/* Fewer channels than lanes; those of pictures apart, because loops of constant length cost a third. */
INLINE void pack_few(const float *from, int64_t image, int64_t pixel, int64_t h, int64_t w, int64_t c, Unit unit, float *buffer,
                     int64_t row) {
    if (c == 1 && unit.images == LANES) pack_images(LANES, 1, from, image, pixel, h, w, buffer, row);
    else if (c == 3 && unit.images == LANES / 3) pack_images(LANES / 3, 3, from, image, pixel, h, w, buffer, row);
    else pack_images(unit.images, c, from, image, pixel, h, w, buffer, row);
}

/* A unit of a map into the middle of a buffer of `row` pixels a row; the border is left as it is. Images and pixels of the
 * map begin `image` and `pixel` floats after one another (both may be 0: one value for all). */
INLINE void pack_from(const float *map, int64_t image, int64_t pixel, int64_t h, int64_t w, int64_t c, Unit unit,
                      float *buffer, int64_t row) {
    const float *from = map + unit.image * image + unit.channel;
    if (c < LANES) {
        pack_few(from, image, pixel, h, w, c, unit, buffer, row);
        return;
    }
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++, from += pixel) AT(buffer + (y * row + x) * LANES) = READ(from);
}

INLINE void pack(const float *map, int64_t h, int64_t w, int64_t c, Unit unit, float *buffer, int64_t row) {
    pack_from(map, h * w * c, c, h, w, c, unit, buffer, row);
}

INLINE void unpack_images(const int64_t images, const int64_t c, const float *buffer, int64_t pixels, float *to, const int add) {
    for (int64_t p = 0; p < pixels; p++, buffer += LANES)
        for (int64_t i = 0; i < images; i++)
            for (int64_t k = 0; k < c; k++) {
                float *place = to + (i * pixels + p) * c + k;
                *place = add ? *place + buffer[i * c + k] : buffer[i * c + k];
            }
}

/* The reverse for maps of few channels; with `add`, on top of what is there. */
INLINE void unpack(const float *buffer, int64_t pixels, int64_t c, Unit unit, float *map, int add) {
    float *to = map + unit.image * pixels * c;
    if (add) unpack_images(unit.images, c, buffer, pixels, to, 1);
    else if (c == 1 && unit.images == LANES) unpack_images(LANES, 1, buffer, pixels, to, 0);
    else if (c == 3 && unit.images == LANES / 3) unpack_images(LANES / 3, 3, buffer, pixels, to, 0);
    else unpack_images(unit.images, c, buffer, pixels, to, 0);
}

/* Where a window kernel writes a unit's pixels: straight into the map, or into a buffer that is unpacked afterwards. */
typedef struct {
    float *first;
    int64_t pixel; /* floats from one pixel to the next */
    int add, fresh;
    ivec keep; /* fresh_lanes(fresh) */
} Target;

INLINE Target target_of(float *map, int64_t pixels, int64_t c, Unit unit, float *buffer, int add) {
    if (c < LANES) return (Target){buffer, LANES, 0, 0, fresh_lanes(0)};
    return (Target){map + unit.image * pixels * c + unit.channel, c, add, unit.fresh, fresh_lanes(unit.fresh)};
}

INLINE void put(vec value, float *place, Target target) {
    if (target.add) value = READ(place) + (vec)((ivec)value & target.keep);
    else if (target.fresh) /* other lanes may already hold more than this sum */
        value = (vec)(((ivec)value & target.keep) | ((ivec)READ(place) & ~target.keep));
    AT(place) = value;
}

/* `count` neighbouring results of a sum over taps; `step` is how many source pixels lie between two of them. */
INLINE void tile(const int count, const int step, const float *source, const float *weights, const int32_t *offsets,
                 int taps, float *place, int64_t between, Target target) {
    vec sums[8];
    for (int i = 0; i < count; i++) sums[i] = (vec){0};
    for (int tap = 0; tap < taps; tap++) {
        vec weight = READ(weights + tap * LANES);
        const float *from = source + offsets[tap] * LANES;
        for (int i = 0; i < count; i++) sums[i] += weight * READ(from + i * step * LANES);
    }
    for (int i = 0; i < count; i++) put(sums[i], place + i * between, target);
}

/* A row of results. */
INLINE void sum_row(const int step, const float *source, const float *weights, const int32_t *offsets, int taps,
                    int64_t count, float *place, int64_t between, Target target) {
    for (; count >= 8; count -= 8, source += 8 * step * LANES, place += 8 * between)
        tile(8, step, source, weights, offsets, taps, place, between, target);
    if (count >= 4) {
        tile(4, step, source, weights, offsets, taps, place, between, target);
        count -= 4, source += 4 * step * LANES, place += 4 * between;
    }
    if (count == 3) tile(3, step, source, weights, offsets, taps, place, between, target);
    if (count == 2) tile(2, step, source, weights, offsets, taps, place, between, target);
    if (count == 1) tile(1, step, source, weights, offsets, taps, place, between, target);
}

/* A weight as it is used: itself or, where kernels are binary, its sign, with +1 for zeros (ste_sign). Signs are chance, so
 * they are found without a branch. */
INLINE float used_weight(float weight, int64_t binary) {
    if (!binary || weight != weight) return weight;
    return (float)(2 * (weight >= 0) - 1);
}

/* The gradient to a weight: straight through the sign, but not beyond 1. */
INLINE float through_weight(float gradient, float weight, int64_t binary) {
    return binary && (weight < -1 || weight > 1) ? 0.0f : gradient;
}

#endif
