/* Batch norm in training mode and the activation after it, forward and backward, on maps of 16 channels or more whose
 * pixels stand one after the other: two passes over the map each way. See _native.py. */
#include <math.h>

#include "lanes.h"

enum { NOTHING, RELU, SIGN };

#define TILE 16384 /* floats that stay in the nearest cache while the blocks of channels go over them */

/* The second pass goes backwards, because the end of the map is what the caches hold after the first. */
INLINE int64_t last_tile(int64_t rows, int64_t size) { return (rows - 1) / size * size; }

INLINE int64_t rows_of_tile(int64_t c) { return TILE / c > 8 ? TILE / c : 8; }

/* sums[channel] += lanes, those that belong to the block before left out. */
INLINE void add_lanes(double *sums, vec lanes, int64_t channel, int fresh) {
    for (int lane = fresh; lane < LANES; lane++) sums[channel + lane] += lanes[lane];
}

INLINE void moments(const float *x, int64_t rows, int64_t c, double *sums, double *squares, const float *shift) {
    for (int64_t start = 0, size = rows_of_tile(c); start < rows; start += size) {
        int64_t count = rows - start < size ? rows - start : size;
        for (int64_t index = 0; index < (c + LANES - 1) / LANES; index++) {
            Unit unit = unit_at(1, c, index);
            const float *at = x + start * c + unit.channel;
            vec from = READ(shift + unit.channel), sum = {0}, square = {0}, sum2 = {0}, square2 = {0};
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
            add_lanes(sums, sum + sum2, unit.channel, unit.fresh);
            add_lanes(squares, square + square2, unit.channel, unit.fresh);
        }
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

INLINE void apply(const float *x, float *y, int64_t rows, int64_t c, const float *slope, const float *offset, const int kind) {
    for (int64_t size = rows_of_tile(c), start = last_tile(rows, size); start >= 0; start -= size) {
        int64_t count = rows - start < size ? rows - start : size;
        for (int64_t index = 0; index < (c + LANES - 1) / LANES; index++) {
            int64_t at = unit_at(1, c, index).channel;
            vec a = READ(slope + at), b = READ(offset + at);
            for (int64_t place = start * c + at, row = 0; row < count; row++, place += c)
                AT(y + place) = activate(READ(x + place) * a + b, kind);
        }
    }
}

/* x, y: (rows, c); gain, bias, running mean and variance: (c,), the last two updated; saved: takes mean and 1 / deviation,
 * (2, c); kind: what follows. Returns 0, or 1 if there is no memory. */
EXPORT int pronas_norm(const float *x, const float *gain, const float *bias, float *running_mean, float *running_variance,
                       float *saved, float *y, int64_t rows, int64_t c, int64_t kind, double epsilon, double momentum) {
    double *sums = calloc((size_t)c, 2 * sizeof(double) + 2 * sizeof(float));
    if (!sums) return 1;
    double *squares = sums + c;
    float *slope = (float *)(squares + c), *offset = slope + c;
    moments(x, rows, c, sums, squares, x);
    for (int64_t k = 0; k < c; k++) {
        double from_first = sums[k] / (double)rows, mean = x[k] + from_first;
        double variance = squares[k] / (double)rows - from_first * from_first;
        variance = variance < 0 ? 0 : variance;
        double one_over = 1 / sqrt(variance + epsilon);
        saved[k] = (float)mean, saved[c + k] = (float)one_over;
        slope[k] = gain[k] * saved[c + k], offset[k] = bias[k] - saved[k] * slope[k];
        double unbiased = rows > 1 ? variance * ((double)rows / (double)(rows - 1)) : variance;
        running_mean[k] = (float)((1 - momentum) * running_mean[k] + momentum * mean);
        running_variance[k] = (float)((1 - momentum) * running_variance[k] + momentum * unbiased);
    }
    if (kind == RELU) apply(x, y, rows, c, slope, offset, RELU);
    else if (kind == SIGN) apply(x, y, rows, c, slope, offset, SIGN);
    else apply(x, y, rows, c, slope, offset, NOTHING);
    free(sums);
    return 0;
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

/* A gradient (images, rows, c) whose images and rows begin `image` and `row` floats after one another, with its input x. */
typedef struct {
    const float *gradient, *x;
    int64_t images, image, rows, row, c;
} Pair;

/* slope, offset: of z; mean, scale: of the normalised x. */
INLINE void gradient_sums(Pair p, const float *slope, const float *offset, const float *saved, double *sums,
                          double *products, const int kind) {
    for (int64_t image = 0; image < p.images; image++)
        for (int64_t start = 0, size = rows_of_tile(p.c); start < p.rows; start += size) {
            int64_t count = p.rows - start < size ? p.rows - start : size;
            for (int64_t index = 0; index < (p.c + LANES - 1) / LANES; index++) {
                Unit unit = unit_at(1, p.c, index);
                const float *from = p.gradient + image * p.image + start * p.row + unit.channel;
                const float *at = p.x + (image * p.rows + start) * p.c + unit.channel;
                vec a = READ(slope + unit.channel), b = READ(offset + unit.channel);
                vec mean = READ(saved + unit.channel), sum = {0}, product = {0};
                for (int64_t row = 0; row < count; row++, from += p.row, at += p.c) {
                    vec value = READ(at), gradient = before(READ(from), value * a + b, kind);
                    sum += gradient, product += gradient * (value - mean);
                }
                add_lanes(sums, sum, unit.channel, unit.fresh);
                add_lanes(products, product, unit.channel, unit.fresh);
            }
        }
}

/* The gradient to x: slope * gradient + straight * x + constant. */
INLINE void gradient_to_x(Pair p, const float *slope, const float *offset, const float *straight, const float *constant,
                          float *result, const int kind) {
    for (int64_t image = p.images - 1; image >= 0; image--)
        for (int64_t size = rows_of_tile(p.c), start = last_tile(p.rows, size); start >= 0; start -= size) {
            int64_t count = p.rows - start < size ? p.rows - start : size;
            for (int64_t index = 0; index < (p.c + LANES - 1) / LANES; index++) {
                int64_t channel = unit_at(1, p.c, index).channel;
                const float *from = p.gradient + image * p.image + start * p.row + channel;
                int64_t place = (image * p.rows + start) * p.c + channel;
                vec a = READ(slope + channel), b = READ(offset + channel);
                vec s = READ(straight + channel), t = READ(constant + channel);
                for (int64_t row = 0; row < count; row++, from += p.row, place += p.c) {
                    vec value = READ(p.x + place);
                    AT(result + place) = a * before(READ(from), value * a + b, kind) + (value * s + t);
                }
            }
        }
}

INLINE void backward(Pair p, const float *gain, const float *bias, const float *saved, float *result, float *gain_gradient,
                     float *bias_gradient, double *sums, const int kind) {
    double *products = sums + p.c, count = (double)(p.images * p.rows);
    float *slope = (float *)(products + p.c), *offset = slope + p.c, *straight = offset + p.c, *constant = straight + p.c;
    for (int64_t k = 0; k < p.c; k++)
        slope[k] = gain[k] * saved[p.c + k], offset[k] = bias[k] - saved[k] * slope[k];
    gradient_sums(p, slope, offset, saved, sums, products, kind);
    for (int64_t k = 0; k < p.c; k++) {
        double scale = saved[p.c + k], normal = products[k] * scale, along = -slope[k] * scale * normal / count;
        gain_gradient[k] = (float)normal, bias_gradient[k] = (float)sums[k];
        straight[k] = (float)along, constant[k] = (float)(-slope[k] * sums[k] / count - along * saved[k]);
    }
    gradient_to_x(p, slope, offset, straight, constant, result, kind);
}

/* The gradients of pronas_norm to x, gain and bias. output: gradient to y, (images, rows, c), whose images and rows begin
 * `image` and `row` floats after one another (0: the same for all). Returns 0, or 1 if there is no memory. */
EXPORT int pronas_norm_backward(const float *output, int64_t images, int64_t image, int64_t rows, int64_t row, const float *x,
                                const float *gain, const float *bias, const float *saved, float *result,
                                float *gain_gradient, float *bias_gradient, int64_t c, int64_t kind) {
    double *sums = calloc((size_t)c, 2 * sizeof(double) + 4 * sizeof(float));
    if (!sums) return 1;
    Pair p = {output, x, images, image, rows, row, c};
    if (kind == RELU) backward(p, gain, bias, saved, result, gain_gradient, bias_gradient, sums, RELU);
    else if (kind == SIGN) backward(p, gain, bias, saved, result, gain_gradient, bias_gradient, sums, SIGN);
    else backward(p, gain, bias, saved, result, gain_gradient, bias_gradient, sums, NOTHING);
    free(sums);
    return 0;
}
