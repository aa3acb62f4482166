/* Batch norm in training mode and the activation after it, forward and backward, on 16 channels or more. A map is rows
 * of channels, one a pixel. */
#ifndef PRONAS_NORM_H
#define PRONAS_NORM_H

#include <math.h>

#include "simd.h"

enum { NOTHING, RELU, SIGN };

#define TILE_FLOATS 16384 /* that stay in the nearest cache while the blocks of channels go over them */

/* What the passes over a map share; the arrays hold a number for each of `c` channels. */
typedef struct {
    int64_t c;
    double *sums, *products;            /* of the first pass */
    float *slope, *offset;              /* of the normalised map: slope * x + offset */
    float *straight, *constant, *shift; /* of the gradient to x; what is taken off before summing */
} Norm;

/* Zeroed; `sums` is NULL if there is no memory. Give back with free(norm.sums). */
INLINE Norm norm_of(int64_t c) {
    double *sums = calloc((size_t)c, 2 * sizeof(double) + 5 * sizeof(float));
    float *numbers = (float *)(sums + 2 * c);
    return (Norm){c, sums, sums + c, numbers, numbers + c, numbers + 2 * c, numbers + 3 * c, numbers + 4 * c};
}

/* The last pass over a map goes backwards, because its end is what the caches hold after the first. */
INLINE int64_t last_tile(int64_t rows, int64_t size) { return (rows - 1) / size * size; }

INLINE int64_t rows_of_tile(int64_t c) { return TILE_FLOATS / c > 8 ? TILE_FLOATS / c : 8; }

/* sums[channel] += lanes, those that belong to the block before left out. */
INLINE void add_lanes(double *sums, vec lanes, int64_t channel, int fresh) {
    for (int lane = fresh; lane < LANES; lane++) sums[channel + lane] += lanes[lane];
}

/* After `moments` of all rows: slope, offset, what is saved (mean and 1 / deviation, (2, c)), the running statistics. */
INLINE void settle(Norm norm, int64_t rows, const float *gain, const float *bias, float *running_mean,
                   float *running_variance, float *saved, double epsilon, double momentum) {
    int64_t c = norm.c;
    for (int64_t k = 0; k < c; k++) {
        double from_shift = norm.sums[k] / (double)rows, mean = norm.shift[k] + from_shift;
        double variance = norm.products[k] / (double)rows - from_shift * from_shift;
        variance = variance < 0 ? 0 : variance;
        double one_over = 1 / sqrt(variance + epsilon);
        saved[k] = (float)mean, saved[c + k] = (float)one_over;
        norm.slope[k] = gain[k] * saved[c + k], norm.offset[k] = bias[k] - saved[k] * norm.slope[k];
        double unbiased = rows > 1 ? variance * ((double)rows / (double)(rows - 1)) : variance;
        running_mean[k] = (float)((1 - momentum) * running_mean[k] + momentum * mean);
        running_variance[k] = (float)((1 - momentum) * running_variance[k] + momentum * unbiased);
    }
}

INLINE vec activate(vec z, const int kind) {
    if (kind == RELU) return (vec)((ivec)z & ~(z < 0.0f)); /* what is not a number stays it */
    if (kind == SIGN) {
        ivec up = z >= 0.0f;
        return (vec)(((ivec)((vec){0} + 1.0f) & up) | ((ivec)((vec){0} - 1.0f) & ~up));
    }
    return z;
}

/* The gradient before the activation, of the value z that went into it. */
INLINE vec before(vec gradient, vec z, const int kind) {
    if (kind == RELU) return (vec)((ivec)gradient & (z > 0.0f));
    if (kind == SIGN) { /* one comparison, of bits: two joined are taken apart lane by lane */
        ivec size = (ivec)z & 0x7fffffff;
        return (vec)((ivec)gradient & (size <= 0x3f800000));
    }
    return gradient;
}

/* slope and offset, from what was saved: before the passes of the gradient. */
INLINE void recall(Norm norm, const float *gain, const float *bias, const float *saved) {
    for (int64_t k = 0; k < norm.c; k++)
        norm.slope[k] = gain[k] * saved[norm.c + k], norm.offset[k] = bias[k] - saved[k] * norm.slope[k];
}

/* After `gradient_sums` of all rows: the gradients to gain and bias, and what the one to x needs. */
INLINE void settle_gradient(Norm norm, int64_t rows, const float *saved, float *gain_gradient, float *bias_gradient) {
    for (int64_t k = 0; k < norm.c; k++) {
        double scale = saved[norm.c + k], normal = norm.products[k] * scale;
        double along = -norm.slope[k] * scale * normal / (double)rows;
        gain_gradient[k] = (float)normal, bias_gradient[k] = (float)norm.sums[k];
        norm.straight[k] = (float)along;
        norm.constant[k] = (float)(-norm.slope[k] * norm.sums[k] / (double)rows - along * saved[k]);
    }
}

/* The passes over maps of floats, and of numbers of 16 bits. */
#define NUMBER float
#define GET READ
#define PUT(place, value) (AT(place) = (value))
#define OF(name) name
#include "norm_passes.h"
#define NUMBER uint16_t
#define GET widened
#define PUT narrowed
#define OF(name) name##_16
#include "norm_passes.h"

#endif
