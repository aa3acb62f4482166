/* One step of the LSTM forwards and backwards for many cells, while it is fitted: see _lstm_fit.py.
 *
 * Everything between the matrix products of a step is done in one pass over the gates. Rows are (4, cells): input, forget,
 * output, candidate. A row whose cell has not started yet (padding at the start) keeps a state of zero and has no gradient.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "clones.h"

/* exp(-|x|) of any x, by 2^t = 2^n 2^f, |f| <= 1/2, a polynomial for 2^f (relative error 8e-8). Plain code, for the compiler to
 * make vectors of. */
static inline __attribute__((always_inline)) float decay(float x) {
    const float magic = 12582912.0f;
    float t = x > 0 ? x * -1.442695041f : x * 1.442695041f;
    t = t < -100.0f ? -100.0f : t;
    float shifted = t + magic, f = t - (shifted - magic);
    float p = 1.3276460e-3f * f + 9.6755417e-3f;
    p = p * f + 5.5507133e-2f;
    p = p * f + 2.4022120e-1f;
    p = p * f + 6.9314697e-1f;
    p = p * f + 1.0f;
    int32_t n, bits;
    memcpy(&n, &shifted, 4);
    memcpy(&bits, &p, 4);
    bits += (int32_t)((uint32_t)n << 23);
    memcpy(&p, &bits, 4);
    return p;
}

static inline __attribute__((always_inline)) float sigmoid(float x) {
    float e = decay(x);
    return (x > 0 ? 1.0f : e) / (1.0f + e);
}

static inline __attribute__((always_inline)) float tangent(float x) {
    float e = decay(2 * x), y = (1.0f - e) / (1.0f + e);
    return x > 0 ? y : -y;
}

/* gates (count, 4, cells) become their activations; memory (count, cells) and its tanh follow from the memory before; state is
 * the new h. started (count) says which rows count. */
EXPORT void pronas_forward(float *gates, const float *before, const uint8_t *started, int64_t count, int64_t cells,
                           float *restrict memory, float *restrict bent, float *restrict state) {
    for (int64_t n = 0; n < count; n++) {
        float *restrict i = gates + 4 * n * cells, *restrict f = i + cells, *restrict o = f + cells, *restrict g = o + cells;
        const float *c = before + n * cells;
        const float on = started[n];
        for (int64_t k = 0; k < cells; k++) {
            float fresh = on * ((f[k] = sigmoid(f[k])) * c[k] + (i[k] = sigmoid(i[k])) * (g[k] = tangent(g[k])));
            memory[n * cells + k] = fresh;
            bent[n * cells + k] = fresh = tangent(fresh);
            state[n * cells + k] = (o[k] = sigmoid(o[k])) * fresh;
        }
    }
}

/* Gradients of the gates before activation (count, 4, cells) from those of h and of the memory; the latter (count, cells) becomes
 * that of the memory before. gates are activations. */
EXPORT void pronas_backward(const float *gates, const float *before, const float *bent, const uint8_t *started, int64_t count,
                            int64_t cells, const float *of_state, float *restrict of_memory, float *restrict of_gates) {
    for (int64_t n = 0; n < count; n++) {
        const float *i = gates + 4 * n * cells, *f = i + cells, *o = f + cells, *g = o + cells;
        const float *c = before + n * cells, *t = bent + n * cells, *dh = of_state + n * cells;
        float *restrict dc = of_memory + n * cells, *restrict di = of_gates + 4 * n * cells;
        float *restrict df = di + cells, *restrict d_o = df + cells, *restrict dg = d_o + cells;
        const float on = started[n];
        for (int64_t k = 0; k < cells; k++) {
            float h = on * dh[k], m = on * dc[k] + h * o[k] * (1.0f - t[k] * t[k]);
            di[k] = m * g[k] * i[k] * (1.0f - i[k]);
            df[k] = m * c[k] * f[k] * (1.0f - f[k]);
            d_o[k] = h * t[k] * o[k] * (1.0f - o[k]);
            dg[k] = m * i[k] * (1.0f - g[k] * g[k]);
            dc[k] = m * f[k];
        }
    }
}

/* One step of Adam (arXiv 1412.6980): rate and root already hold the corrections of the first steps; the gradient becomes zero. */
EXPORT void pronas_adam(float *restrict values, float *restrict gradient, float *restrict first, float *restrict second,
                        int64_t count, float decay_first, float decay_second, float rate, float root, float epsilon) {
    for (int64_t k = 0; k < count; k++) {
        const float g = gradient[k];
        float m = first[k] + (1.0f - decay_first) * (g - first[k]);
        float v = decay_second * second[k] + (1.0f - decay_second) * g * g;
        first[k] = m;
        second[k] = v;
        gradient[k] = 0.0f;
        values[k] -= rate * m / (sqrtf(v) * root + epsilon);
    }
}
