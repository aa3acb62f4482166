/* Batch norm in training mode and the activation after it: two passes over the map each way. See norm.h, _native.py. */
#include "norm.h"

/* x, y: (rows, c), those of y `between` floats apart; gain, bias, running mean and variance: (c,), the last two updated; saved: takes mean and 1 / deviation,
 * (2, c); kind: what follows. Returns 0, or 1 if there is no memory. */
EXPORT int pronas_norm(const float *x, const float *gain, const float *bias, float *running_mean, float *running_variance,
                       float *saved, float *y, int64_t between, int64_t rows, int64_t c, int64_t kind, double epsilon,
                       double momentum) {
    Norm norm = norm_of(c);
    if (!norm.sums) return 1;
    memcpy(norm.shift, x, (size_t)c * sizeof(float));
    moments(x, rows, norm);
    settle(norm, rows, gain, bias, running_mean, running_variance, saved, epsilon, momentum);
    apply(x, y, between, rows, norm, kind);
    free(norm.sums);
    return 0;
}

/* The gradients of pronas_norm to x, gain and bias. output: gradient to y, (images, rows, c), whose images and rows begin
 * `image` and `row` floats after one another (0: the same for all). Returns 0, or 1 if there is no memory. */
EXPORT int pronas_norm_backward(const float *output, int64_t images, int64_t image, int64_t rows, int64_t row, const float *x,
                                const float *gain, const float *bias, const float *saved, float *result,
                                float *gain_gradient, float *bias_gradient, int64_t c, int64_t kind) {
    Norm norm = norm_of(c);
    if (!norm.sums) return 1;
    Pair p = {output, x, images, image, rows, row};
    recall(norm, gain, bias, saved);
    gradient_sums(p, saved, norm, kind);
    settle_gradient(norm, images * rows, saved, gain_gradient, bias_gradient);
    gradient_to_x(p, norm, result, c, kind);
    free(norm.sums);
    return 0;
}

/* pronas_norm and its gradients of maps of bfloat16; everything else stays float. */
EXPORT int pronas_norm_16(const uint16_t *x, const float *gain, const float *bias, float *running_mean,
                          float *running_variance, float *saved, uint16_t *y, int64_t between, int64_t rows, int64_t c,
                          int64_t kind, double epsilon, double momentum) {
    Norm norm = norm_of(c);
    if (!norm.sums) return 1;
    for (int64_t channel = 0; channel + LANES <= c; channel += LANES) AT(norm.shift + channel) = widened(x + channel);
    if (c % LANES) AT(norm.shift + c - LANES) = widened(x + c - LANES);
    moments_16(x, rows, norm);
    settle(norm, rows, gain, bias, running_mean, running_variance, saved, epsilon, momentum);
    apply_16(x, y, between, rows, norm, kind);
    free(norm.sums);
    return 0;
}

EXPORT int pronas_norm_backward_16(const uint16_t *output, int64_t images, int64_t image, int64_t rows, int64_t row,
                                   const uint16_t *x, const float *gain, const float *bias, const float *saved,
                                   uint16_t *result, float *gain_gradient, float *bias_gradient, int64_t c, int64_t kind) {
    Norm norm = norm_of(c);
    if (!norm.sums) return 1;
    Pair_16 p = {output, x, images, image, rows, row};
    recall(norm, gain, bias, saved);
    gradient_sums_16(p, saved, norm, kind);
    settle_gradient(norm, images * rows, saved, gain_gradient, bias_gradient);
    gradient_to_x_16(p, norm, result, c, kind);
    free(norm.sums);
    return 0;
}
