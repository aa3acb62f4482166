/* Calls every training kernel with random shapes on buffers that are exactly as large as they must be, each with a block
 * of its own, so that AddressSanitizer sees what lies beyond. Values are checked elsewhere, against PyTorch. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int pronas_level(void);
int pronas_lanes(void);
int pronas_convolution(const float *, const float *, const float *, const float *, float *, float *, float *, float *,
                       float *, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                       int64_t, int64_t, double, double);
int pronas_convolution_backward(const float *, int64_t, int64_t, const float *, const float *, const float *, const float *,
                                const float *, const float *, float *, float *, float *, float *, int64_t, int64_t, int64_t,
                                int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);
int pronas_depthwise(const float *, int64_t, const int64_t *, const float *const *, float *const *, int64_t, int64_t, int64_t,
                     int64_t, int64_t, int64_t);
int pronas_depthwise_backward(const float *const *, const float *, int64_t, const int64_t *, const float *const *, float *,
                              float *const *, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);
int pronas_norm(const float *, const float *, const float *, float *, float *, float *, float *, int64_t, int64_t, int64_t,
                int64_t, double, double);
int pronas_norm_backward(const float *, int64_t, int64_t, int64_t, int64_t, const float *, const float *, const float *,
                         const float *, float *, float *, float *, int64_t, int64_t);
int pronas_max_pool(const float *, float *, int8_t *, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);
int pronas_max_pool_backward(const float *, int64_t, int64_t, const int8_t *, float *, int64_t, int64_t, int64_t, int64_t,
                             int64_t, int64_t, int64_t);
int pronas_average_pool(const float *, float *, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);
int pronas_average_pool_backward(const float *, int64_t, int64_t, float *, int64_t, int64_t, int64_t, int64_t, int64_t,
                                 int64_t, int64_t, int64_t);
int pronas_scale(const uint8_t *, const float *, const float *, float *, int64_t, int64_t, int64_t);

#define MOST 64
static void *blocks[MOST];
static int count_of_blocks;
static uint64_t state = 88172645463325252u;

static int64_t any(int64_t from, int64_t to) { /* both included */
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return from + (int64_t)(state % (uint64_t)(to - from + 1));
}

static void *block(int64_t bytes) {
    void *made = malloc((size_t)bytes);
    if (!made || count_of_blocks == MOST) abort();
    return blocks[count_of_blocks++] = made;
}

static float *numbers(int64_t count, int signs) {
    float *made = block(count * 4);
    for (int64_t i = 0; i < count; i++) made[i] = signs ? (any(0, 1) ? 1.0f : -1.0f) : (float)any(-2000, 2000) / 1000.0f;
    return made;
}

static void done(int failed, const char *name) {
    if (failed) {
        fprintf(stderr, "%s had no memory\n", name);
        exit(2);
    }
}

static void free_all(void) {
    while (count_of_blocks) free(blocks[--count_of_blocks]);
}

static void dense(void) {
    int64_t n = any(1, 5), h = any(1, 13), w = any(1, 13), c = any(1, 40), normed = any(0, 1), f = any(normed ? 16 : 1, 70);
    int64_t tall = 2 * any(0, 3) + 1, wide = 2 * any(0, 3) + 1, stride = any(1, 2), binary = any(0, 1), last = any(0, 1);
    int64_t oh = (h + stride - 1) / stride, ow = (w + stride - 1) / stride, out = n * oh * ow, kind = any(0, 2);
    int64_t afresh = normed && tall * wide == 1 && c <= 12, between = f + (any(0, 1) ? 0 : any(1, 20));
    float *x = numbers(n * h * w * c, any(0, 2) > 0), *weights = numbers(f * c * tall * wide, 0);
    float *gain = normed ? numbers(f, 0) : 0, *bias = normed ? numbers(f, 0) : 0, *mean = normed ? numbers(f, 0) : 0;
    float *variance = normed ? numbers(f, 0) : 0, *saved = normed ? numbers(2 * f, 0) : 0;
    float *y = afresh ? 0 : numbers(out * f, 0), *result = normed ? numbers((out - 1) * between + f, 0) : 0;
    done(pronas_convolution(x, weights, gain, bias, mean, variance, saved, y, result, normed ? between : 0, n, h, w, c, f,
                            tall, wide, stride, binary, last, normed ? kind : 0, 1e-5, 0.1),
         "pronas_convolution");
    int64_t row = any(0, 1) ? between : any(0, 1) ? 0 : f, image = row ? oh * ow * row : any(0, 1) * f;
    float *output = numbers((n - 1) * image + (oh * ow - 1) * row + f, 0), *to_x = any(0, 3) ? numbers(n * h * w * c, 0) : 0;
    float *to_weights = any(0, 3) ? numbers(f * c * tall * wide, 0) : 0;
    float *to_gain = normed ? numbers(f, 0) : 0, *to_bias = normed ? numbers(f, 0) : 0;
    done(pronas_convolution_backward(output, image, row, x, weights, normed ? y : 0, gain, bias, saved, to_x, to_weights,
                                     to_gain, to_bias, n, h, w, c, f, tall, wide, stride, binary, last, normed ? kind : 0,
                                     any(0, 1)),
         "pronas_convolution_backward");
}

static void depthwise(void) {
    int64_t n = any(1, 9), h = any(1, 13), w = any(1, 13), c = any(1, 40), stride = any(1, 2), binary = any(0, 1), kernels[16];
    int64_t count = any(0, 3) ? any(1, 4) : any(1, 16), out = n * ((h + stride - 1) / stride) * ((w + stride - 1) / stride) * c;
    float *inputs = numbers(n * h * w * c, 0), *weights[16], *outputs[16], *gradients[16];
    for (int64_t k = 0; k < count; k++) {
        kernels[k] = 2 * any(1, 3) + 1;
        weights[k] = numbers(c * kernels[k] * kernels[k], 0), gradients[k] = numbers(c * kernels[k] * kernels[k], 0);
        outputs[k] = numbers(out, 0);
    }
    done(pronas_depthwise(inputs, count, kernels, (const float *const *)weights, outputs, n, h, w, c, stride, binary),
         "pronas_depthwise");
    float *to_inputs = any(0, 3) ? numbers(n * h * w * c, 0) : 0;
    done(pronas_depthwise_backward((const float *const *)outputs, inputs, count, kernels, (const float *const *)weights,
                                   to_inputs, gradients, n, h, w, c, stride, binary, any(0, 1)),
         "pronas_depthwise_backward");
}

static int64_t units(int64_t n, int64_t c) {
    int64_t width = pronas_lanes(), together = c >= width ? 1 : width / c;
    return width * (c >= width ? n * ((c + width - 1) / width) : (n + together - 1) / together);
}

static void pools(void) {
    int64_t n = any(1, 20), h = any(1, 13), w = any(1, 13), c = any(1, 40), kernel = 2 * any(1, 3) + 1, stride = any(1, 2);
    int64_t oh = (h + stride - 1) / stride, ow = (w + stride - 1) / stride, pixel = any(0, 1) ? c : any(0, 1) ? 0 : c + any(1, 9);
    int64_t image = pixel ? oh * ow * pixel : any(0, 1) * c;
    float *inputs = numbers(n * h * w * c, any(0, 1)), *outputs = numbers(n * oh * ow * c, 0);
    float *upstream = numbers((n - 1) * image + (oh * ow - 1) * pixel + c, 0), *gradient = numbers(n * h * w * c, 0);
    int8_t *which = block(units(n, c) * oh * ow);
    done(pronas_max_pool(inputs, outputs, which, n, h, w, c, kernel, stride), "pronas_max_pool");
    done(pronas_max_pool_backward(upstream, image, pixel, which, gradient, n, h, w, c, kernel, stride, any(0, 1)),
         "pronas_max_pool_backward");
    done(pronas_average_pool(inputs, outputs, n, h, w, c, kernel, stride, any(0, 1)), "pronas_average_pool");
    done(pronas_average_pool_backward(upstream, image, pixel, gradient, n, h, w, c, kernel, stride, any(0, 1), any(0, 1)),
         "pronas_average_pool_backward");
}

static void norms(void) {
    int64_t images = any(1, 6), rows = any(1, 60), c = any(16, 70), all = images * rows, kind = any(0, 2);
    int64_t between = c + any(0, 1) * any(0, 20), row = any(0, 1) ? c : c + any(1, 9), image = rows * row;
    float *x = numbers(all * c, 0), *gain = numbers(c, 0), *bias = numbers(c, 0), *mean = numbers(c, 0), *variance = numbers(c, 0);
    float *saved = numbers(2 * c, 0), *y = numbers((all - 1) * between + c, 0);
    done(pronas_norm(x, gain, bias, mean, variance, saved, y, between, all, c, kind, 1e-5, 0.1), "pronas_norm");
    float *output = numbers((images - 1) * image + (rows - 1) * row + c, 0), *result = numbers(all * c, 0);
    done(pronas_norm_backward(output, images, image, rows, row, x, gain, bias, saved, result, numbers(c, 0), numbers(c, 0), c, kind),
         "pronas_norm_backward");
}

static void scales(void) {
    int64_t n = any(1, 4), pixels = any(1, 50), c = any(1, 4);
    uint8_t *images = block(n * pixels * c);
    for (int64_t i = 0; i < n * pixels * c; i++) images[i] = (uint8_t)any(0, 255);
    done(pronas_scale(images, numbers(c, 0), numbers(c, 0), numbers(n * pixels * c, 0), n, pixels, c), "pronas_scale");
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    int level = atoi(arguments[1]);
    if (pronas_level() < level) {
        puts("this processor cannot run them");
        return 0;
    }
    void (*const kernels[])(void) = {dense, dense, dense, depthwise, depthwise, pools, norms, scales};
    for (int64_t round = 0; round < atoi(arguments[2]); round++) {
        kernels[any(0, sizeof kernels / sizeof *kernels - 1)]();
        free_all();
    }
    puts("done");
    return 0;
}
