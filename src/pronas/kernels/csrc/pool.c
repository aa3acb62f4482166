/* Max and average pooling with "same" padding; taps outside the image do not count. See simd.h, window.h and _native.py. */
#include <float.h>

#include "window.h"

/* Where a window's taps lie, in pixels of a buffer. */
INLINE void window_taps(Shape s, int32_t *offsets) {
    for (int tap = 0; tap < s.kernel * s.kernel; tap++)
        offsets[tap] = (int32_t)(tap / s.kernel * s.row + tap % s.kernel);
}

/* What is not a number fails every comparison, so it is carried along in a sum of zeros. */
INLINE void max_row(Shape s, const int32_t *offsets, const float *source, float *place, Target to, int8_t *which) {
    for (int64_t x = 0; x < s.ow; x++, source += s.stride * LANES, place += to.pixel, which += LANES) {
        vec best = READ(source), spoiled = best * 0.0f;
        ivec found = {0};
        for (int tap = 1; tap < s.kernel * s.kernel; tap++) {
            vec value = READ(source + offsets[tap] * LANES);
            ivec better = value > best;
            spoiled += value * 0.0f;
            best = (vec)(((ivec)value & better) | ((ivec)best & ~better));
            found = (((ivec){0} + tap) & better) | (found & ~better);
        }
        *(bytes *)which = __builtin_convertvector(found, bytes);
        put(best + spoiled, place, to);
    }
}

INLINE void max_forward(Shape s, const float *inputs, float *outputs, int8_t *which, float *buffer, float *results) {
    int64_t units = units_of(s.in.n, s.in.c), c = s.in.c;
    int32_t offsets[LARGEST * LARGEST];
    window_taps(s, offsets);
    for (int64_t index = 0; index < units; index++, which += s.oh * s.ow * LANES) {
        Unit unit = unit_at(s.in.n, c, index);
        take_unit(s, inputs, unit, buffer);
        Target to = target_of(outputs, s.oh * s.ow, c, unit, results, 0);
        for (int64_t y = 0; y < s.oh; y++)
            max_row(s, offsets, buffer + y * s.stride * s.row * LANES, to.first + y * s.ow * to.pixel, to,
                    which + y * s.ow * LANES);
        if (c < LANES) unpack(results, s.oh * s.ow, c, unit, outputs, 0);
    }
}

/* inputs (n, h, w, c) to outputs (n, ceil(h / stride), ceil(w / stride), c) and, for the gradient, which tap each came from:
 * as many bytes a unit and pixel as a unit has lanes. Kernel 3, 5 or 7. Returns 0, or 1 if there is no memory. */
EXPORT int pronas_max_pool(const float *inputs, float *outputs, int8_t *which, int64_t n, int64_t h, int64_t w, int64_t c,
                           int64_t kernel, int64_t stride) {
    Shape s = shape_of(n, h, w, c, kernel, stride);
    int64_t padded = padded_pixels(s);
    float *buffer = allocate(padded + s.oh * s.ow);
    if (!buffer) return 1;
    fill(buffer, padded, -FLT_MAX);
    max_forward(s, inputs, outputs, which, buffer, buffer + padded * LANES);
    free(buffer);
    return 0;
}

INLINE void scatter(Shape s, const int32_t *offsets, const float *gradients, const int8_t *which, float *buffer) {
    for (int64_t y = 0; y < s.oh; y++)
        for (int64_t x = 0; x < s.ow; x++, which += LANES) {
            vec gradient = READ(gradients + (y * s.ow + x) * LANES);
            ivec from = __builtin_convertvector(*(const bytes *)which, ivec);
            float *window = buffer + (y * s.row + x) * s.stride * LANES;
            for (int tap = 0; tap < s.kernel * s.kernel; tap++)
                AT(window + offsets[tap] * LANES) += (vec)((ivec)gradient & (from == tap));
        }
}

INLINE void write_middle(Shape s, const float *buffer, Target to) {
    for (int64_t y = 0; y < s.in.h; y++)
        for (int64_t x = 0; x < s.in.w; x++)
            put(READ(buffer + ((y + s.pad) * s.row + x + s.pad) * LANES), to.first + (y * s.in.w + x) * to.pixel, to);
}

/* output: gradient to the outputs, whose images and pixels begin `image` and `pixel` floats after one another; to the
 * gradient to the inputs (with add: on top of what is there). */
EXPORT int pronas_max_pool_backward(const float *output, int64_t image, int64_t pixel, const int8_t *which, float *gradient,
                                    int64_t n, int64_t h, int64_t w, int64_t c, int64_t kernel, int64_t stride,
                                    int64_t add) {
    Shape s = shape_of(n, h, w, c, kernel, stride);
    int64_t padded = padded_pixels(s), units = units_of(n, c);
    float *buffer = allocate(padded + s.oh * s.ow + h * w);
    if (!buffer) return 1;
    float *gradients = buffer + padded * LANES, *results = gradients + s.oh * s.ow * LANES;
    int32_t offsets[LARGEST * LARGEST];
    window_taps(s, offsets);
    fill(gradients, s.oh * s.ow, 0.0f);
    for (int64_t index = 0; index < units; index++, which += s.oh * s.ow * LANES) {
        Unit unit = unit_at(n, c, index);
        ask_for_next(gradient, h * w, c, n, unit, 1);
        fill(buffer, padded, 0.0f);
        pack_from(output, image, pixel, s.oh, s.ow, c, unit, gradients, s.ow);
        scatter(s, offsets, gradients, which, buffer);
        write_middle(s, buffer, target_of(gradient, h * w, c, unit, results, (int)add));
        if (c < LANES) unpack(results, h * w, c, unit, gradient, (int)add);
    }
    free(buffer);
    return 0;
}

/* One over the number of taps inside the image, for each output pixel; 1 for sums. */
INLINE void shares(Shape s, int mean, float *share) {
    for (int64_t y = 0; y < s.oh; y++)
        for (int64_t x = 0; x < s.ow; x++) {
            int64_t top = y * s.stride - s.pad, left = x * s.stride - s.pad;
            int64_t high = (top + s.kernel < s.in.h ? top + s.kernel : s.in.h) - (top > 0 ? top : 0);
            int64_t wide = (left + s.kernel < s.in.w ? left + s.kernel : s.in.w) - (left > 0 ? left : 0);
            share[y * s.ow + x] = mean ? 1.0f / (float)(high * wide) : 1.0f;
        }
}

/* Sum (mean: 0) or mean (1) of the taps inside the image; shapes and results as in pronas_max_pool, kernel up to 7. */
EXPORT int pronas_average_pool(const float *inputs, float *outputs, int64_t n, int64_t h, int64_t w, int64_t c,
                               int64_t kernel, int64_t stride, int64_t mean) {
    Shape s = shape_of(n, h, w, c, kernel, stride);
    const int taps = s.kernel * s.kernel;
    int64_t padded = padded_pixels(s), out = s.oh * s.ow;
    float *buffer = allocate(padded + out + taps + out);
    if (!buffer) return 1;
    float *results = buffer + padded * LANES, *ones = results + out * LANES, *share = ones + taps * LANES;
    fill(buffer, padded, 0.0f);
    fill(ones, taps, 1.0f);
    int64_t units = units_of(n, c);
    for (int64_t index = 0; index < units; index++) {
        Unit unit = unit_at(n, c, index);
        take_unit(s, inputs, unit, buffer);
        window_sums(s, ones, buffer, unit, outputs, results);
    }
    shares(s, (int)mean, share);
    for (int64_t p = 0; mean && p < n * out; p++)
        for (int64_t k = 0; k < c; k++) outputs[p * c + k] *= share[p % out];
    free(buffer);
    return 0;
}

/* As pronas_max_pool_backward. */
EXPORT int pronas_average_pool_backward(const float *output, int64_t image, int64_t pixel, float *gradient, int64_t n,
                                        int64_t h, int64_t w, int64_t c, int64_t kernel, int64_t stride, int64_t mean,
                                        int64_t add) {
    Shape s = shape_of(n, h, w, c, kernel, stride);
    int64_t padded = (s.oh + 2 * s.margin) * s.out_row, taps = s.kernel * s.kernel, units = units_of(n, c);
    float *buffer = allocate(padded + taps + h * w + s.oh * s.ow);
    if (!buffer) return 1;
    float *ones = buffer + padded * LANES, *results = ones + taps * LANES, *share = results + h * w * LANES;
    float *middle = buffer + (s.margin * s.out_row + s.margin) * LANES;
    fill(buffer, padded, 0.0f);
    fill(ones, taps, 1.0f);
    shares(s, (int)mean, share);
    for (int64_t index = 0; index < units; index++) {
        Unit unit = unit_at(n, c, index);
        ask_for_next(gradient, h * w, c, n, unit, 1);
        pack_from(output, image, pixel, s.oh, s.ow, c, unit, middle, s.out_row);
        for (int64_t p = 0; mean && p < s.oh * s.ow; p++)
            AT(middle + (p / s.ow * s.out_row + p % s.ow) * LANES) *= share[p];
        to_inputs(s, buffer, ones, target_of(gradient, h * w, c, unit, results, (int)add));
        if (c < LANES) unpack(results, h * w, c, unit, gradient, (int)add);
    }
    free(buffer);
    return 0;
}
