/* Depthwise convolution with an odd square kernel and "same" zero padding: see lanes.h, window.h and _depthwise.py. */
#include "window.h"

/* (c, taps) to vectors: lane l of tap t of a block of channels at ((block * taps) + t) * 16 + l. */
INLINE void spread_weights(const float *weights, int64_t c, int taps, int64_t binary, float *spread) {
    int64_t blocks = c < LANES ? 1 : (c + LANES - 1) / LANES;
    for (int64_t block = 0; block < blocks; block++) {
        int64_t first = c < LANES ? 0 : unit_at(1, c, block).channel;
        for (int lane = 0; lane < LANES; lane++) {
            int64_t channel = c < LANES ? lane % c : first + lane;
            for (int tap = 0; tap < taps; tap++)
                spread[(block * taps + tap) * LANES + lane] = used_weight(weights[channel * taps + tap], binary);
        }
    }
}

INLINE int64_t weight_vectors(int64_t c, int taps) { return (c + LANES - 1) / LANES * taps; }

/* inputs (n, h, w, c), weights (c, kernel, kernel), outputs (n, ceil(h / stride), ceil(w / stride), c); kernel 3, 5 or 7,
 * stride 1 or 2; binary: the weights' signs are used. Returns 0, or 1 if there is no memory. */
EXPORT int pronas_depthwise(const float *inputs, const float *weights, float *outputs, int64_t n, int64_t h, int64_t w,
                            int64_t c, int64_t kernel, int64_t stride, int64_t binary) {
    Shape s = shape_of(n, h, w, c, kernel, stride);
    const int taps = s.kernel * s.kernel;
    int64_t padded = (h + 2 * s.pad) * s.row, spread = weight_vectors(c, taps);
    float *memory = room(padded + spread + s.oh * s.ow);
    if (!memory) return 1;
    float *kernels = memory + padded * LANES;
    fill(memory, padded, 0.0f);
    spread_weights(weights, c, taps, binary, kernels);
    forward(s, inputs, kernels, outputs, memory, kernels + spread * LANES);
    free(memory);
    return 0;
}

/* Some rows of a unit's gradient to the kernel: `rows` of them, each of `kernel` taps, from row `first` on. */
INLINE void some_rows(Shape s, const int kernel, const int rows, int first, const float *buffer, const float *gradients,
                      float *sums) {
    vec totals[9];
    for (int tap = 0; tap < rows * kernel; tap++) totals[tap] = (vec){0};
    for (int64_t y = 0; y < s.oh; y++) {
        const float *in = buffer + (y * s.stride + first) * s.row * LANES;
        const float *out = gradients + ((y + s.margin) * s.out_row + s.margin) * LANES;
        for (int64_t x = 0; x < s.ow; x++, in += s.stride * LANES, out += LANES) {
            vec gradient = READ(out);
            for (int r = 0; r < rows; r++)
                for (int k = 0; k < kernel; k++) totals[r * kernel + k] += gradient * READ(in + (r * s.row + k) * LANES);
        }
    }
    for (int tap = 0; tap < rows * kernel; tap++) AT(sums + (first * kernel + tap) * LANES) += totals[tap];
}

INLINE void to_kernel(Shape s, const float *buffer, const float *gradients, float *sums) {
    if (s.kernel == 3) some_rows(s, 3, 3, 0, buffer, gradients, sums);
    for (int row = 0; row < 5 && s.kernel == 5; row++) some_rows(s, 5, 1, row, buffer, gradients, sums);
    for (int row = 0; row < 7 && s.kernel == 7; row++) some_rows(s, 7, 1, row, buffer, gradients, sums);
}

/* Sums by lane to (c, taps): one lane a channel, or as many as there are images together. */
INLINE void gather_sums(const float *sums, const float *weights, int64_t c, int taps, int64_t binary, float *gradient) {
    for (int64_t channel = 0; channel < c; channel++)
        for (int tap = 0; tap < taps; tap++) {
            int64_t block = c < LANES ? 0 : channel / LANES, first = c < LANES ? 0 : unit_at(1, c, block).channel;
            const float *lanes = sums + (block * taps + tap) * LANES;
            float total = lanes[channel - first];
            for (int64_t lane = channel + c; c < LANES && lane < LANES / c * c; lane += c) total += lanes[lane];
            gradient[channel * taps + tap] = through_weight(total, weights[channel * taps + tap], binary);
        }
}

/* output (as outputs of pronas_depthwise) to the gradients to the inputs (NULL: not wanted; with add: on top of what is
 * there) and to the weights (NULL: not wanted). Sums go over images in order. Returns 0, or 1 if there is no memory. */
EXPORT int pronas_depthwise_backward(const float *output, const float *inputs, const float *weights, float *input_gradient,
                                     float *weight_gradient, int64_t n, int64_t h, int64_t w, int64_t c, int64_t kernel,
                                     int64_t stride, int64_t binary, int64_t add) {
    Shape s = shape_of(n, h, w, c, kernel, stride);
    const int taps = s.kernel * s.kernel;
    int64_t padded = (h + 2 * s.pad) * s.row, out = (s.oh + 2 * s.margin) * s.out_row, spread = weight_vectors(c, taps);
    float *buffer = room(padded + out + 2 * spread + h * w);
    if (!buffer) return 1;
    float *gradients = buffer + padded * LANES, *kernels = gradients + out * LANES, *sums = kernels + spread * LANES;
    float *results = sums + spread * LANES;
    fill(buffer, padded + out, 0.0f);
    fill(sums, spread, 0.0f);
    spread_weights(weights, c, taps, binary, kernels);
    int64_t units = units_of(n, c);
    for (int64_t index = 0; index < units; index++) {
        Unit unit = unit_at(n, c, index);
        int64_t block = block_of(c, index) * taps * LANES;
        if (unit.images < LANES / c) fill(gradients, out, 0.0f); /* the last images of few channels: other lanes are old */
        pack(output, s.oh, s.ow, c, unit, gradients + (s.margin * s.out_row + s.margin) * LANES, s.out_row);
        if (weight_gradient) {
            ask_for_next(inputs, h * w, c, n, unit, 0);
            pack(inputs, h, w, c, unit, buffer + (s.pad * s.row + s.pad) * LANES, s.row);
            to_kernel(s, buffer, gradients, sums + block);
        }
        if (input_gradient) {
            ask_for_next(input_gradient, h * w, c, n, unit, 1);
            to_inputs(s, gradients, kernels + block, target_of(input_gradient, h * w, c, unit, results, (int)add));
            if (c < LANES) unpack(results, h * w, c, unit, input_gradient, (int)add);
        }
    }
    if (weight_gradient) gather_sums(sums, weights, c, taps, binary, weight_gradient);
    free(buffer);
    return 0;
}
