/* Batch norm in training mode and the activation after it: two passes over the map each way. See norm.h, _native.py. */
#include "norm.h"

/* x, y: (rows, c), those of y `between` numbers apart; gain, bias, running mean and variance: (c,), the last two updated;
 * saved: takes mean and 1 / deviation, (2, c); kind: what follows. Returns 0, or 1 if there is no memory. */
EXPORT int pronas_norm(const float *x, const float *gain, const float *bias, float *running_mean, float *running_variance,
                       float *saved, float *y, int64_t between, int64_t rows, int64_t c, int64_t kind, double epsilon,
                       double momentum) {
    return norm_forward(x, gain, bias, running_mean, running_variance, saved, y, between, rows, c, kind, epsilon, momentum);
}

/* The gradients of pronas_norm to x, gain and bias. output: gradient to y, (images, rows, c), whose images and rows begin
 * `image` and `row` numbers after one another (0: the same for all). Returns 0, or 1 if there is no memory. */
EXPORT int pronas_norm_backward(const float *output, int64_t images, int64_t image, int64_t rows, int64_t row, const float *x,
                                const float *gain, const float *bias, const float *saved, float *result,
                                float *gain_gradient, float *bias_gradient, int64_t c, int64_t kind) {
    Pair p = {output, x, images, image, rows, row};
    return norm_backward(p, gain, bias, saved, result, gain_gradient, bias_gradient, c, kind);
}

/* Both for maps of bfloat16; everything else stays float. */
EXPORT int pronas_norm_16(const uint16_t *x, const float *gain, const float *bias, float *running_mean,
                          float *running_variance, float *saved, uint16_t *y, int64_t between, int64_t rows, int64_t c,
                          int64_t kind, double epsilon, double momentum) {
    return norm_forward_16(x, gain, bias, running_mean, running_variance, saved, y, between, rows, c, kind, epsilon, momentum);
}

EXPORT int pronas_norm_backward_16(const uint16_t *output, int64_t images, int64_t image, int64_t rows, int64_t row,
                                   const uint16_t *x, const float *gain, const float *bias, const float *saved,
                                   uint16_t *result, float *gain_gradient, float *bias_gradient, int64_t c, int64_t kind) {
    Pair_16 p = {output, x, images, image, rows, row};
    return norm_backward_16(p, gain, bias, saved, result, gain_gradient, bias_gradient, c, kind);
}
