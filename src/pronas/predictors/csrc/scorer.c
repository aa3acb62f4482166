/* The last step of the LSTM predictor for many candidates: see _lstm_scorer.py.
 *
 * Every candidate is a start (recurrent state) and a last token. With a = r + x, r of the start and x of the token,
 * exp(-a) = exp(-r) exp(-x): the callers give these exponentials, so the gates cost a product and a share of a division
 * here, and only tanh of the new memory needs an exponential of its own.
 */
#include <stdint.h>

#include "clones.h"

#define LANES 16
#define AT(array, gate) (*(const vec *)((array) + (gate) * width + at))
typedef float vec __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES), aligned(4)));

#pragma GCC diagnostic ignored "-Wpsabi" /* vectors cross no call: everything is inlined */

/* Products of three of these stay finite in single precision; a gate beyond is closed to 1e-10. The output gate needs no
 * bound: where its product overflows, the quotient is 0, as it should be. */
#define LARGEST 2.0e10f

static inline __attribute__((always_inline)) vec at_most(vec x, float bound) {
    ivec over = x > bound;
    return (vec)(((ivec)x & ~over) | ((ivec)((vec){0} + bound) & over));
}

/* 2^t for |t| < 120: t = n + f with |f| <= 1/2; a polynomial of degree 5 for 2^f (relative error 8e-8), n into the exponent. */
static inline __attribute__((always_inline)) vec power_of_two(vec t) {
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number in the low bits */
    vec shifted = t + magic;
    vec f = t - (shifted - magic);
    ivec n = (ivec)shifted << 23;
    vec p = 1.3276460e-3f * f + 9.6755417e-3f;
    p = p * f + 5.5507133e-2f;
    p = p * f + 2.4022120e-1f;
    p = p * f + 6.9314697e-1f;
    p = p * f + 1.0f;
    return (vec)((ivec)p + n);
}

/* Gates (4, width) to exponentials: exp(-x), of the fourth, the candidate, exp(-2x); exponents within 40. */
static inline __attribute__((always_inline)) void exponentials(const float *gates, int64_t width, float *result) {
    for (int64_t gate = 0; gate < 4; gate++) {
        const float factor = gate == 3 ? -2.885390082f : -1.442695041f;
        for (int64_t at = 0; at < width; at += LANES)
            *(vec *)(result + gate * width + at) = power_of_two(-at_most(-at_most(AT(gates, gate) * factor, 57.7f), 57.7f));
    }
}

/* The same for count of them, in place. */
EXPORT void pronas_exponentials(float *gates, int64_t count, int64_t width) {
    for (int64_t n = 0; n < count; n++) exponentials(gates + 4 * n * width, width, gates + 4 * n * width);
}

/* 16 cells from `at` on, one step further: the new h is returned, the new c goes to fresh. start and token are exponentials. */
static inline __attribute__((always_inline)) vec advance(const float *start, const float *token, const float *c,
                                                         int64_t width, int64_t at, vec *fresh) {
    vec i = at_most(AT(start, 0) * AT(token, 0), LARGEST) + 1.0f;
    vec f = at_most(AT(start, 1) * AT(token, 1), LARGEST) + 1.0f;
    vec o = AT(start, 2) * AT(token, 2) + 1.0f;
    vec g = at_most(AT(start, 3) * AT(token, 3), LARGEST);
    vec ig = i * (1.0f + g);
    *fresh = (AT(c, 0) * ig + (1.0f - g) * f) / (ig * f);
    vec e = power_of_two(*fresh * -2.885390082f);
    return (1.0f - e) / (o * (1.0f + e));
}

/* One step of the recurrence for pairs of a start and a token; starts, memory, tokens and room are as in pronas_last_step.
 *
 * There are `groups` groups of `starts_each` starts; pair k of every group continues the group's start before[k] with the token
 * list[k]. state and memory (groups * pairs, width) take the new h and c.
 */
EXPORT void pronas_step(const float *starts, const float *memory, const float *tokens, const int32_t *before,
                        const int32_t *list, int64_t groups, int64_t starts_each, int64_t pairs, int64_t width,
                        float *room, float *state, float *next) {
    int64_t ready = -1;
    const float *start = room;
    for (int64_t n = 0; n < groups * pairs; n++) {
        const int64_t k = n % pairs, s = n / pairs * starts_each + before[k];
        const float *c = memory + s * width, *token = tokens + (int64_t)list[k] * 4 * width;
        if (s != ready) exponentials(starts + (ready = s) * 4 * width, width, room);
        for (int64_t at = 0; at < width; at += LANES) {
            vec fresh;
            *(vec *)(state + n * width + at) = advance(start, token, c, width, at, &fresh);
            *(vec *)(next + n * width + at) = fresh;
        }
    }
}

/* Scores, before the sigmoid, of every start with each of its last tokens.
 *
 * starts: (count, 4, width) recurrent products, gates input, forget, output, candidate; memory: (count, width);
 * tokens: (distinct, 4, width) exponentials of what the tokens add; weights: (width); room: (4, width) to work in.
 * Start s is followed by the tokens list[first[s % patterns]] ... up to first[s % patterns + 1]. The scores follow one another
 * in scores. width is a multiple of 16, padded with weights of zero.
 */
EXPORT void pronas_last_step(const float *starts, const float *memory, const float *tokens, const float *weights,
                             const int32_t *first, const int32_t *list, int64_t count, int64_t patterns, int64_t width,
                             float bias, float *room, float *scores) {
    const float *start = room;
    for (int64_t s = 0; s < count; s++) {
        const float *c = memory + s * width;
        exponentials(starts + s * 4 * width, width, room);
        const int64_t pattern = s % patterns;
        for (int32_t k = first[pattern]; k < first[pattern + 1]; k++) {
            const float *token = tokens + (int64_t)list[k] * 4 * width;
            vec sum = {0};
            for (int64_t at = 0; at < width; at += LANES) {
                vec fresh;
                sum += AT(weights, 0) * advance(start, token, c, width, at, &fresh);
            }
            float total = bias;
            for (int lane = 0; lane < LANES; lane++) total += sum[lane];
            *scores++ = total;
        }
    }
}
