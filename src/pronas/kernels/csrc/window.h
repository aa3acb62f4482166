/* Sums over square windows with "same" padding, and their gradients to the inputs: of depthwise convolutions and pools. */
#ifndef PRONAS_WINDOW_H
#define PRONAS_WINDOW_H

#include "simd.h"

#define LARGEST 7

typedef struct {
    Map in;
    int64_t oh, ow;
    int kernel, stride, pad, margin; /* margin: border of a buffer of output gradients */
    int border;                      /* of a buffer of inputs: pad, or more where a larger window reads it too */
    int64_t row, out_row;            /* pixels in a row of a buffer of inputs, of output gradients */
} Shape;

/* Where a window's first taps lie in a buffer. */
INLINE const float *first_taps(Shape s, const float *buffer) {
    return buffer + (s.border - s.pad) * (s.row + 1) * LANES;
}

/* The largest window of several decides about the border that they share. */
INLINE Shape with_border(Shape s, int pad) {
    s.border = pad, s.row = s.in.w + 2 * pad;
    return s;
}

INLINE Shape shape_of(int64_t n, int64_t h, int64_t w, int64_t c, int64_t kernel, int64_t stride) {
    int pad = (int)kernel / 2, margin = (int)((kernel - 1) / stride + 1);
    int64_t oh = (h + stride - 1) / stride, ow = (w + stride - 1) / stride;
    return (Shape){{n, h, w, c}, oh, ow, (int)kernel, (int)stride, pad, margin, pad, w + 2 * pad, ow + 2 * margin};
}

INLINE int64_t padded_pixels(Shape s) { return (s.in.h + 2 * s.border) * s.row; }

INLINE float *middle_of(Shape s, float *buffer) { return buffer + (s.border * s.row + s.border) * LANES; }

/* A unit of the inputs into a buffer, inside its border. */
INLINE void take_unit(Shape s, const float *inputs, Unit unit, float *buffer) {
    ask_for_next(inputs, s.in.h * s.in.w, s.in.c, s.in.n, unit, 0);
    pack(inputs, s.in.h, s.in.w, s.in.c, unit, middle_of(s, buffer), s.row);
}

/* A unit's sums over windows. `weights`: a vector for each tap. */
INLINE void window_sums(Shape s, const float *weights, const float *buffer, Unit unit, float *outputs, float *results) {
    const int taps = s.kernel * s.kernel;
    int32_t offsets[LARGEST * LARGEST];
    for (int tap = 0; tap < taps; tap++) offsets[tap] = (int32_t)(tap / s.kernel * s.row + tap % s.kernel);
    Target to = target_of(outputs, s.oh * s.ow, s.in.c, unit, results, 0);
    for (int64_t y = 0; y < s.oh; y++) {
        const float *source = first_taps(s, buffer) + y * s.stride * s.row * LANES;
        float *place = to.first + y * s.ow * to.pixel;
        if (s.stride == 1)
            sum_row(1, source, weights, offsets, taps, s.ow, place, to.pixel, to);
        else
            sum_row(2, source, weights, offsets, taps, s.ow, place, to.pixel, to);
    }
    if (s.in.c < LANES) unpack(results, s.oh * s.ow, s.in.c, unit, outputs, 0);
}

/* The taps that reach input pixels whose padded row and column leave the remainders `down` and `across`. */
INLINE int phase_taps(Shape s, int down, int across, const float *weights, float *chosen, int32_t *offsets) {
    int count = 0;
    for (int y = down; y < s.kernel; y += s.stride)
        for (int x = across; x < s.kernel; x += s.stride) {
            AT(chosen + count * LANES) = READ(weights + (y * s.kernel + x) * LANES);
            offsets[count++] = (int32_t)(-((y - down) / s.stride) * s.out_row - (x - across) / s.stride);
        }
    return count;
}

/* A unit's gradient to the inputs, one remainder of rows and columns after the other. */
INLINE void to_inputs(Shape s, const float *gradients, const float *weights, Target to) {
    float chosen[LARGEST * LARGEST * LANES] __attribute__((aligned(64)));
    int32_t offsets[LARGEST * LARGEST];
    for (int down = 0; down < s.stride; down++)
        for (int across = 0; across < s.stride; across++) {
            int taps = phase_taps(s, down, across, weights, chosen, offsets);
            /* input row y is padded row y + pad = stride * a + down */
            int64_t a = (s.pad - down + s.stride - 1) / s.stride, b = (s.pad - across + s.stride - 1) / s.stride;
            int64_t x = b * s.stride + across - s.pad, count = (s.in.w - x + s.stride - 1) / s.stride;
            for (int64_t y = a * s.stride + down - s.pad; y < s.in.h; y += s.stride, a++)
                sum_row(1, gradients + ((a + s.margin) * s.out_row + b + s.margin) * LANES, chosen, offsets, taps, count,
                        to.first + (y * s.in.w + x) * to.pixel, s.stride * to.pixel, to);
        }
}

#endif
