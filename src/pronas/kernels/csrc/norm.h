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

/* Sums and sums of squares of some rows, less the shift. */
INLINE void moments(const float *x, int64_t rows, Norm norm) {
    int64_t c = norm.c;
    for (int64_t start = 0, size = rows_of_tile(c); start < rows; start += size) {
        int64_t count = rows - start < size ? rows - start : size;
        for (int64_t index = 0; index < (c + LANES - 1) / LANES; index++) {
            Unit unit = unit_at(1, c, index);
            const float *at = x + start * c + unit.channel;
            vec from = READ(norm.shift + unit.channel), sum = {0}, square = {0}, sum2 = {0}, square2 = {0};
            int64_t row = 0;
            for (; row + 1 < count; row += 2, at += 2 * c) {
                vec one = READ(at) - from, two = READ(at + c) - from;
                sum += one, square += one * one;
                sum2 += two, square2 += two * two;
            }
            if (row < count) {
                vec one = READ(at) - from;
                sum += one, square += one * one;
            }
            add_lanes(norm.sums, sum + sum2, unit.channel, unit.fresh);
            add_lanes(norm.products, square + square2, unit.channel, unit.fresh);
        }
    }
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

INLINE void apply_as(const float *x, float *y, int64_t between, int64_t rows, Norm norm, const int kind) {
    int64_t c = norm.c;
    for (int64_t size = rows_of_tile(c), start = last_tile(rows, size); start >= 0; start -= size) {
        int64_t count = rows - start < size ? rows - start : size;
        for (int64_t index = 0; index < (c + LANES - 1) / LANES; index++) {
            int64_t at = unit_at(1, c, index).channel;
            vec a = READ(norm.slope + at), b = READ(norm.offset + at);
            const float *from = x + start * c + at;
            float *to = y + start * between + at;
            for (int64_t row = 0; row < count; row++, from += c, to += between) AT(to) = activate(READ(from) * a + b, kind);
        }
    }
}

/* y: the normalised map after its activation, in rows `between` floats apart. */
INLINE void apply(const float *x, float *y, int64_t between, int64_t rows, Norm norm, int64_t kind) {
    if (kind == RELU) apply_as(x, y, between, rows, norm, RELU);
    else if (kind == SIGN) apply_as(x, y, between, rows, norm, SIGN);
    else apply_as(x, y, between, rows, norm, NOTHING);
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

/* A gradient (images, rows, c) whose images and rows begin `image` and `row` floats after one another (0: the same for
 * all), with its input x. */
typedef struct {
    const float *gradient, *x;
    int64_t images, image, rows, row;
} Pair;

/* saved: the mean, then 1 / deviation. */
INLINE void gradient_sums_as(Pair p, const float *saved, Norm norm, const int kind) {
    for (int64_t image = 0; image < p.images; image++)
        for (int64_t start = 0, size = rows_of_tile(norm.c); start < p.rows; start += size) {
            int64_t count = p.rows - start < size ? p.rows - start : size;
            for (int64_t index = 0; index < (norm.c + LANES - 1) / LANES; index++) {
                Unit unit = unit_at(1, norm.c, index);
                const float *from = p.gradient + image * p.image + start * p.row + unit.channel;
                const float *at = p.x + (image * p.rows + start) * norm.c + unit.channel;
                vec a = READ(norm.slope + unit.channel), b = READ(norm.offset + unit.channel);
                vec mean = READ(saved + unit.channel), sum = {0}, product = {0};
                for (int64_t row = 0; row < count; row++, from += p.row, at += norm.c) {
                    vec value = READ(at), gradient = before(READ(from), value * a + b, kind);
                    sum += gradient, product += gradient * (value - mean);
                }
                add_lanes(norm.sums, sum, unit.channel, unit.fresh);
                add_lanes(norm.products, product, unit.channel, unit.fresh);
            }
        }
}

/* slope and offset, from what was saved: before the passes of the gradient. */
INLINE void recall(Norm norm, const float *gain, const float *bias, const float *saved) {
    for (int64_t k = 0; k < norm.c; k++)
        norm.slope[k] = gain[k] * saved[norm.c + k], norm.offset[k] = bias[k] - saved[k] * norm.slope[k];
}

/* The first pass of the gradient, over all images or some of them. */
INLINE void gradient_sums(Pair p, const float *saved, Norm norm, int64_t kind) {
    if (kind == RELU) gradient_sums_as(p, saved, norm, RELU);
    else if (kind == SIGN) gradient_sums_as(p, saved, norm, SIGN);
    else gradient_sums_as(p, saved, norm, NOTHING);
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

INLINE void gradient_to_x_as(Pair p, Norm norm, float *result, int64_t between, const int kind) {
    for (int64_t image = p.images - 1; image >= 0; image--)
        for (int64_t size = rows_of_tile(norm.c), start = last_tile(p.rows, size); start >= 0; start -= size) {
            int64_t count = p.rows - start < size ? p.rows - start : size;
            for (int64_t index = 0; index < (norm.c + LANES - 1) / LANES; index++) {
                int64_t channel = unit_at(1, norm.c, index).channel, row = image * p.rows + start;
                const float *from = p.gradient + image * p.image + start * p.row + channel, *at = p.x + row * norm.c + channel;
                float *to = result + row * between + channel;
                vec a = READ(norm.slope + channel), b = READ(norm.offset + channel);
                vec s = READ(norm.straight + channel), t = READ(norm.constant + channel);
                for (int64_t left = count; left > 0; left--, from += p.row, at += norm.c, to += between) {
                    vec value = READ(at);
                    AT(to) = a * before(READ(from), value * a + b, kind) + (value * s + t);
                }
            }
        }
}

/* After `settle_gradient`: the gradient to x, of any images, in rows `between` floats apart. */
INLINE void gradient_to_x(Pair p, Norm norm, float *result, int64_t between, int64_t kind) {
    if (kind == RELU) gradient_to_x_as(p, norm, result, between, RELU);
    else if (kind == SIGN) gradient_to_x_as(p, norm, result, between, SIGN);
    else gradient_to_x_as(p, norm, result, between, NOTHING);
}

#endif
