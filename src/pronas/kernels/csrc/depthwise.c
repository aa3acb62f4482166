/* Depthwise convolution with an odd square kernel and "same" zero padding: see simd.h, window.h and _depthwise.py. */
#include "window.h"

/* (c, taps) to vectors: lane l of tap t of a block of channels at ((block * taps) + t) * LANES + l. */
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

/* One of several convolutions of a map, whose units are packed once for all of them. */
typedef struct {
    Shape s;
    float *kernels, *sums, *gradients; /* weights spread out; gradients to them so far; a unit's output gradients */
} Job;

#define MOST_JOBS 16

INLINE int widest(const int64_t *kernels, int64_t count) {
    int64_t most = 0;
    for (int64_t i = 0; i < count; i++) most = kernels[i] > most ? kernels[i] : most;
    return (int)most;
}

/* Vectors that a job's buffers take; with `memory`, they are laid out there. */
INLINE int64_t lay_out(Job *job, int backward, float *memory) {
    int64_t spread = weight_vectors(job->s.in.c, job->s.kernel * job->s.kernel), sums = backward ? spread : 0;
    int64_t out = backward ? (job->s.oh + 2 * job->s.margin) * job->s.out_row : 0;
    if (memory) job->kernels = memory, job->sums = memory + spread * LANES, job->gradients = memory + (spread + sums) * LANES;
    return spread + sums + out;
}

/* Buffers: a unit of the map with its border, as many pixels of results as a map has, the jobs' own. NULL: no memory. */
INLINE float *make_jobs(Job *jobs, int64_t count, const int64_t *kernels, const float *const *weights, Map in, int64_t stride,
                        int64_t binary, int backward, float **results) {
    int64_t vectors = 0, largest = widest(kernels, count);
    for (int64_t i = 0; i < count; i++) {
        jobs[i].s = with_border(shape_of(in.n, in.h, in.w, in.c, kernels[i], stride), (int)largest / 2);
        vectors += lay_out(jobs + i, backward, NULL);
    }
    int64_t padded = padded_pixels(jobs[0].s), all = padded + in.h * in.w + vectors;
    float *memory = allocate(all), *at = memory ? memory + (padded + in.h * in.w) * LANES : NULL;
    if (!memory) return NULL;
    fill(memory, all, 0.0f);
    *results = memory + padded * LANES;
    for (int64_t i = 0; i < count; i++) {
        at += lay_out(jobs + i, backward, at) * LANES;
        spread_weights(weights[i], in.c, jobs[i].s.kernel * jobs[i].s.kernel, binary, jobs[i].kernels);
    }
    return memory;
}

/* Where a job keeps what belongs to a unit's block of channels, a vector for each tap. */
INLINE int64_t taps_of(const Job *job, int64_t index) {
    return block_of(job->s.in.c, index) * job->s.kernel * job->s.kernel * LANES;
}

/* `count` convolutions of one map, at most 16. inputs (n, h, w, c), weights (c, kernel, kernel), outputs (n, ceil(h / stride),
 * ceil(w / stride), c); kernels 3, 5 or 7, stride 1 or 2; binary: the weights' signs are used. Returns 0, or 1 if there is
 * no memory. */
EXPORT int pronas_depthwise(const float *inputs, int64_t count, const int64_t *kernels, const float *const *weights,
                            float *const *outputs, int64_t n, int64_t h, int64_t w, int64_t c, int64_t stride,
                            int64_t binary) {
    Job jobs[MOST_JOBS];
    float *results, *buffer = make_jobs(jobs, count, kernels, weights, (Map){n, h, w, c}, stride, binary, 0, &results);
    if (!buffer) return 1;
    int64_t units = units_of(n, c);
    for (int64_t index = 0; index < units; index++) {
        Unit unit = unit_at(n, c, index);
        take_unit(jobs[0].s, inputs, unit, buffer);
        for (int64_t i = 0; i < count; i++)
            window_sums(jobs[i].s, jobs[i].kernels + taps_of(jobs + i, index), buffer, unit, outputs[i], results);
    }
    free(buffer);
    return 0;
}

/* Some rows of a unit's gradient to the kernel: `rows` of them, each of `kernel` taps, from row `first` on. */
INLINE void some_rows(Shape s, const int kernel, const int rows, int first, const float *buffer, const float *gradients,
                      float *sums) {
    vec totals[9];
    for (int tap = 0; tap < rows * kernel; tap++) totals[tap] = (vec){0};
    for (int64_t y = 0; y < s.oh; y++) {
        const float *in = first_taps(s, buffer) + (y * s.stride + first) * s.row * LANES;
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

INLINE void take_output(const Job *job, const float *output, Unit unit) {
    Shape s = job->s;
    float *middle = job->gradients + (s.margin * s.out_row + s.margin) * LANES;
    if (unit.images < LANES / s.in.c) /* the last images of few channels: other lanes are old */
        fill(job->gradients, (s.oh + 2 * s.margin) * s.out_row, 0.0f);
    pack(output, s.oh, s.ow, s.in.c, unit, middle, s.out_row);
}

/* The gradients of pronas_depthwise: outputs, as there, to those to the inputs (NULL: not wanted; with add: on top of what
 * is there) and to the weights. Sums go over images in order. Returns 0, or 1 if there is no memory. */
EXPORT int pronas_depthwise_backward(const float *const *outputs, const float *inputs, int64_t count, const int64_t *kernels,
                                     const float *const *weights, float *input_gradient, float *const *weight_gradients,
                                     int64_t n, int64_t h, int64_t w, int64_t c, int64_t stride, int64_t binary, int64_t add) {
    Job jobs[MOST_JOBS];
    float *results, *buffer = make_jobs(jobs, count, kernels, weights, (Map){n, h, w, c}, stride, binary, 1, &results);
    if (!buffer) return 1;
    int64_t units = units_of(n, c);
    for (int64_t index = 0; index < units; index++) {
        Unit unit = unit_at(n, c, index);
        take_unit(jobs[0].s, inputs, unit, buffer);
        if (input_gradient) ask_for_next(input_gradient, h * w, c, n, unit, 1);
        for (int64_t i = 0; i < count; i++) {
            Job *job = jobs + i;
            int64_t more = add || i > 0;
            take_output(job, outputs[i], unit);
            to_kernel(job->s, buffer, job->gradients, job->sums + taps_of(job, index));
            if (!input_gradient) continue;
            to_inputs(job->s, job->gradients, job->kernels + taps_of(job, index),
                      target_of(input_gradient, h * w, c, unit, results, (int)more));
            if (c < LANES) unpack(results, h * w, c, unit, input_gradient, (int)more);
        }
    }
    for (int64_t i = 0; i < count; i++)
        gather_sums(jobs[i].sums, weights[i], c, jobs[i].s.kernel * jobs[i].s.kernel, binary, weight_gradients[i]);
    free(buffer);
    return 0;
}
