"""The C text of exported integer networks; words between @ signs are filled in.

Maps are [row][column][channel], unsigned: u = q + 128. Weights of convolutions stand in rows of a multiple of four, two
filters interleaved by four. Biases hold the zero point of what is read, so that products are taken of u as it is.
"""

HEADER = """/* An int8 neural network made by pronas; see the source beside this file. */
#ifndef PRONAS_@UPPER@_H
#define PRONAS_@UPPER@_H

#include <stdint.h>

#define @UPPER@_CHANNELS @C@
#define @UPPER@_HEIGHT @H@
#define @UPPER@_WIDTH @W@
#define @UPPER@_CLASSES @CLASSES@

#ifdef __cplusplus
extern "C" {
#endif

/* The class, 0 to @CLASSES@ - 1, of an image: pixels 0 to 255, channel after channel, row after row. The functions
 * share static memory: one call at a time. */
int @NAME@_classify(const uint8_t image@SHAPE@);

/* The logits as well (@CLASSES@ of them): logit = @SCALE@ * (logits[i] - @ZERO@). */
int @NAME@_logits(const uint8_t image@SHAPE@, int8_t *logits);

#ifdef __cplusplus
}
#endif
#endif
"""

TOP = """/* An int8 neural network made by pronas: integers only, no allocation.@FACT@
 */
#include "@FILE@.h"

#include <string.h>

#if defined(__ARM_FEATURE_DSP) && !defined(PRONAS_PORTABLE)
#include <arm_acle.h>
#define DSP 1
#endif

/* One operation: its window, zero points (of what it reads, reads second, makes; `middle`: of a convolution before the
 * addition that is part of it), lowest results, sizes, bytes from pixel to pixel, places of maps in `arena`, of weights
 * and of numbers (`first`: of its channels, `extra`: of an addition). */
typedef struct {
  uint8_t kind, kh, kw, sh, sw, dh, dw, zero, second_zero, result_zero, middle, low, middle_low, joined;
  int8_t ph, pw;
  uint16_t h, w, c, step, oh, ow, out, result_step, second_step, unused;
  int32_t source, second, result, scratch, weights, first, extra;
} operation;

static const operation program[@COUNT@] = {
@ROWS@};

static const int8_t weight[@WEIGHTS@] = {
@WEIGHT@};

static const int32_t bias[@BIASES@] = {
@BIAS@};

static const int32_t mantissa[@MULTIPLIERS@] = {
@MANTISSA@};

static const int8_t shift[@MULTIPLIERS@] = {
@SHIFT@};

static union {
  uint32_t aligned[@WORDS@];
  uint8_t bytes[@ARENA@];
} arena;

#define AT(place) (arena.bytes + (place))

/* x times mantissa 2^shift / 2^31, rounded twice, half away from zero. */
static int32_t rescale(int32_t x, int32_t m, int32_t s) {
  int32_t high = (int32_t)(((int64_t)(s > 0 ? x * (1 << s) : x) * m + (1 << 30)) >> 31);
  return s >= 0 ? high : (high + (high >> 31) + (1 << (-s - 1))) >> -s;
}

static int32_t clip(int32_t u, int32_t low) { return u < low ? low : u > 255 ? 255 : u; }

#ifdef DSP
static uint32_t word(const void *from) {
  uint32_t x;
  memcpy(&x, from, 4);
  return x;
}

/* Bytes 1 and 3 as 16 bits each. */
static uint32_t odd_signed(uint32_t x) {
  uint32_t y;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(y) : "r"(x));
  return y;
}

static uint32_t odd_unsigned(uint32_t x) {
  uint32_t y;
  __asm__("uxtb16 %0, %1, ror #8" : "=r"(y) : "r"(x));
  return y;
}
#endif

@FUNCTIONS@"""

ADDED = """
/* The sum of u and v, each with 20 more bits, in the result's scale. */
static int32_t added(const operation *p, int32_t u, int32_t zero, int32_t v, int32_t second_zero) {
  const int32_t *m = mantissa + p->extra;
  const int8_t *s = shift + p->extra;
  int32_t sum = rescale((u - zero) * (1 << 20), m[0], s[0]) + rescale((v - second_zero) * (1 << 20), m[1], s[1]);
  return clip(rescale(sum, m[2], s[2]) + p->result_zero, p->low);
}
"""

PUT = """
/* Write channel `o` of pixel `i` of a convolution, with the addition that is part of it. */
static void put(const operation *p, int32_t i, int32_t o, int32_t sum) {
  const int32_t c = p->first + o;
  int32_t u = clip(rescale(sum, mantissa[c], shift[c]) + p->middle, p->middle_low);
  if (p->joined) u = added(p, u, p->middle, AT(p->second)[i * p->second_step + o], p->second_zero);
  AT(p->result)[i * p->result_step + o] = (uint8_t)u;
}
"""

PLAIN_PUT = """
/* Write channel `o` of pixel `i` of a convolution. */
static void put(const operation *p, int32_t i, int32_t o, int32_t sum) {
  const int32_t c = p->first + o;
  AT(p->result)[i * p->result_step + o] = (uint8_t)clip(rescale(sum, mantissa[c], shift[c]) + p->middle, p->middle_low);
}
"""

IMAGE = """
/* The image's pixels, channel after channel, to the scale that the first layer reads. */
static void image(const operation *p, const uint8_t *pixels) {
  const int32_t count = p->oh * p->ow;
  for (int32_t c = 0; c < p->out; c++)
    for (int32_t i = 0; i < count; i++) put(p, i, c, bias[p->first + c] + weight[p->weights + c] * *pixels++);
}
"""

CONV = """
/* Not memset, and not to be made one by a compiler. */
static uint8_t *fill(uint8_t *to, const volatile uint8_t *value, int32_t count) {
  while (count-- > 0) *to++ = *value;
  return to;
}

/* The window of output pixel `i` as bytes, column after column; taps outside hold the zero point. */
static void gather(const operation *p, int32_t i, uint8_t *to) {
  const int32_t y = i / p->ow * p->sh - p->ph, x = i % p->ow * p->sw - p->pw, c = p->c;
  const int run = p->dw == 1 && p->step == c && x >= 0 && x + p->kw <= p->w;
  for (int32_t a = 0; a < p->kh; a++) {
    const int32_t row = y + a * p->dh;
    const uint8_t *from = AT(p->source) + (row * p->w + x) * p->step;
    if (row < 0 || row >= p->h) {
      to = fill(to, &p->zero, p->kw * c);
    } else if (run) {
      memcpy(to, from, (size_t)(p->kw * c));
      to += p->kw * c;
    } else {
      for (int32_t b = 0; b < p->kw; b++, to += c, from += p->dw * p->step) {
        const int32_t at = x + b * p->dw;
        if (at < 0 || at >= p->w) fill(to, &p->zero, c);
        else memcpy(to, from, (size_t)c);
      }
    }
  }
}

#ifdef DSP
/* Bytes to pairs of 16 bits, in the order in which weights unfold: 0 and 2, 1 and 3. */
static void unfold(const uint8_t *from, uint32_t *to, int32_t fours) {
  for (; fours > 0; fours--, from += 4, to += 2) {
    const uint32_t x = word(from);
    to[0] = __uxtb16(x), to[1] = odd_unsigned(x);
  }
}

/* A window as pairs of 16 bits. */
static void pairs(const operation *p, int32_t i, uint32_t *to, int32_t fours) {
  if (p->kh == 1 && p->kw == 1 && p->c % 4 == 0) {
    const int32_t y = i / p->ow * p->sh - p->ph, x = i % p->ow * p->sw - p->pw;
    if (y >= 0 && y < p->h && x >= 0 && x < p->w) {
      unfold(AT(p->source) + (y * p->w + x) * p->step, to, fours);
      return;
    }
  }
  uint8_t *bytes = (uint8_t *)to + 4 * fours;
  gather(p, i, bytes);
  unfold(bytes, to, fours);
}

static void conv(const operation *p) {
  const int32_t fours = (p->kh * p->kw * p->c + 3) / 4, count = p->oh * p->ow;
  uint32_t *const first = (uint32_t *)(void *)AT(p->scratch), *const second = first + 2 * fours;
  for (int32_t i = 0; i < count; i += 2) {
    const int32_t j = i + 1 < count ? i + 1 : i;
    const int8_t *w = weight + p->weights;
    pairs(p, i, first, fours);
    pairs(p, j, second, fours);
    for (int32_t o = 0; o < p->out; o += 2) {
      const int32_t b = bias[p->first + o], d = o + 1 < p->out ? bias[p->first + o + 1] : 0;
      int32_t s = b, t = b, u = d, v = d;
      const uint32_t *m = first, *n = second;
      for (int32_t k = fours; k > 0; k--, w += 8, m += 2, n += 2) {
        const uint32_t a = word(w), c = word(w + 4), m0 = m[0], m1 = m[1], n0 = n[0], n1 = n[1];
        const uint32_t a0 = __sxtb16(a), a1 = odd_signed(a), c0 = __sxtb16(c), c1 = odd_signed(c);
        s = __smlad(a0, m0, s), t = __smlad(a0, n0, t), u = __smlad(c0, m0, u), v = __smlad(c0, n0, v);
        s = __smlad(a1, m1, s), t = __smlad(a1, n1, t), u = __smlad(c1, m1, u), v = __smlad(c1, n1, v);
      }
      put(p, i, o, s);
      if (o + 1 < p->out) put(p, i, o + 1, u);
      if (j == i) continue;
      put(p, j, o, t);
      if (o + 1 < p->out) put(p, j, o + 1, v);
    }
  }
}
#else
static void conv(const operation *p) {
  const int32_t fours = (p->kh * p->kw * p->c + 3) / 4, count = p->oh * p->ow;
  const int direct = p->kh == 1 && p->kw == 1 && p->c % 4 == 0 && p->ph == 0 && p->pw == 0;
  for (int32_t i = 0; i < count; i++) {
    const int8_t *w = weight + p->weights;
    const uint8_t *column = AT(p->source) + (i / p->ow * p->sh * p->w + i % p->ow * p->sw) * p->step;
    if (!direct) gather(p, i, AT(p->scratch)), column = AT(p->scratch);
    for (int32_t o = 0; o < p->out; o += 2) {
      int32_t s = bias[p->first + o], t = o + 1 < p->out ? bias[p->first + o + 1] : 0;
      const uint8_t *x = column;
      for (int32_t k = fours; k > 0; k--, w += 8, x += 4) {
        s += w[0] * x[0], t += w[4] * x[0];
        s += w[1] * x[1], t += w[5] * x[1];
        s += w[2] * x[2], t += w[6] * x[2];
        s += w[3] * x[3], t += w[7] * x[3];
      }
      put(p, i, o, s);
      if (o + 1 < p->out) put(p, i, o + 1, t);
    }
  }
}
#endif
"""

DEPTHWISE = """
/* Channels `c` to `c` + 3 (or fewer) of output pixel `i`. */
static void depthwise_four(const operation *p, int32_t i, int32_t c, int32_t *sum) {
  const int32_t y = i / p->ow * p->sh - p->ph, x = i % p->ow * p->sw - p->pw, left = p->out - c;
  const int8_t *w = weight + p->weights + c;
  for (int32_t a = 0; a < p->kh; a++) {
    const int32_t row = y + a * p->dh;
    const uint8_t *from = AT(p->source) + (row * p->w + x) * p->step + c;
    for (int32_t b = 0; b < p->kw; b++, w += p->out, from += p->dw * p->step) {
      const int32_t column = x + b * p->dw;
      const int in = row >= 0 && row < p->h && column >= 0 && column < p->w;
#ifdef DSP
      if (left >= 4) {
        const uint32_t u = in ? word(from) : p->zero * 0x01010101u, v = word(w);
        const uint32_t even = __uxtb16(u), odd = odd_unsigned(u), first = __sxtb16(v), second = odd_signed(v);
        sum[0] = __smlabb((int32_t)even, (int32_t)first, sum[0]);
        sum[2] = __smlatt((int32_t)even, (int32_t)first, sum[2]);
        sum[1] = __smlabb((int32_t)odd, (int32_t)second, sum[1]);
        sum[3] = __smlatt((int32_t)odd, (int32_t)second, sum[3]);
        continue;
      }
#endif
      for (int32_t k = 0; k < 4 && k < left; k++) sum[k] += w[k] * (in ? from[k] : p->zero);
    }
  }
}

static void depthwise(const operation *p) {
  for (int32_t i = 0; i < p->oh * p->ow; i++)
    for (int32_t c = 0; c < p->out; c += 4) {
      int32_t sum[4] = {0, 0, 0, 0};
      for (int32_t k = 0; k < 4 && c + k < p->out; k++) sum[k] = bias[p->first + c + k];
      depthwise_four(p, i, c, sum);
      for (int32_t k = 0; k < 4 && c + k < p->out; k++) put(p, i, c + k, sum[k]);
    }
}
"""

POOL = """
/* Largest, or mean, of the taps inside; a mean is rounded half away from zero as int8. */
static void pool(const operation *p, int mean) {
  for (int32_t i = 0; i < p->oh * p->ow; i++) {
    const int32_t y = i / p->ow * p->sh - p->ph, x = i % p->ow * p->sw - p->pw;
    const int32_t top = y < 0 ? 0 : y, left = x < 0 ? 0 : x;
    const int32_t bottom = y + p->kh < p->h ? y + p->kh : p->h, right = x + p->kw < p->w ? x + p->kw : p->w;
    const int32_t count = (bottom - top) * (right - left);
    for (int32_t c = 0; c < p->c; c++) {
      int32_t largest = 0, sum = -128 * count;
      for (int32_t a = top; a < bottom; a++) {
        const uint8_t *from = AT(p->source) + (a * p->w + left) * p->step + c;
        for (int32_t b = left; b < right; b++, from += p->step) {
          if (*from > largest) largest = *from;
          sum += *from;
        }
      }
      if (mean) largest = (sum > 0 ? sum + count / 2 : sum - count / 2) / count + 128;
      AT(p->result)[i * p->result_step + c] = (uint8_t)largest;
    }
  }
}
"""

MEAN = """
/* Mean over the whole map. */
static void mean(const operation *p) {
  const int32_t count = p->h * p->w;
  for (int32_t c = 0; c < p->c; c++) {
    int32_t sum = -count * p->zero;
    for (int32_t i = 0; i < count; i++) sum += AT(p->source)[i * p->step + c];
    AT(p->result)[c] = (uint8_t)clip(rescale(sum, mantissa[p->extra], shift[p->extra]) + p->result_zero, 0);
  }
}
"""

ADD = """
static void add(const operation *p) {
  for (int32_t i = 0; i < p->oh * p->ow; i++)
    for (int32_t c = 0; c < p->c; c++) {
      const int32_t u = AT(p->source)[i * p->step + c], v = AT(p->second)[i * p->second_step + c];
      AT(p->result)[i * p->result_step + c] = (uint8_t)added(p, u, p->zero, v, p->second_zero);
    }
}
"""

RELU = """
static void relu(const operation *p) {
  for (int32_t i = 0; i < p->oh * p->ow; i++)
    for (int32_t c = 0; c < p->c; c++)
      AT(p->result)[i * p->result_step + c] = (uint8_t)clip(AT(p->source)[i * p->step + c], p->low);
}
"""

RESCALE = """
/* The same in another scale. */
static void convert(const operation *p) {
  const int32_t m = mantissa[p->extra], s = shift[p->extra];
  for (int32_t i = 0; i < p->oh * p->ow; i++)
    for (int32_t c = 0; c < p->c; c++) {
      const int32_t u = AT(p->source)[i * p->step + c] - p->zero;
      AT(p->result)[i * p->result_step + c] = (uint8_t)clip(rescale(u, m, s) + p->result_zero, 0);
    }
}
"""

MAIN = """
int @NAME@_logits(const uint8_t pixels@SHAPE@, int8_t *logits) {
  int best = 0;
  for (const operation *p = program; p < program + @COUNT@; p++) {
    switch (p->kind) {
@CASES@
      default: break;
    }
  }
  for (int i = 0; i < @CLASSES@; i++) {
    logits[i] = (int8_t)(AT(@LAST@)[i] - 128);
    if (logits[i] > logits[best]) best = i;
  }
  return best;
}

int @NAME@_classify(const uint8_t pixels@SHAPE@) {
  int8_t logits[@CLASSES@];
  return @NAME@_logits(pixels, logits);
}
"""

KINDS = ("image", "conv", "depthwise", "maxpool", "avgpool", "mean", "add", "relu", "rescale")
CALLS = {
    "image": "image(p, pixels)", "conv": "conv(p)", "depthwise": "depthwise(p)", "maxpool": "pool(p, 0)",
    "avgpool": "pool(p, 1)", "mean": "mean(p)", "add": "add(p)", "relu": "relu(p)", "rescale": "convert(p)",
}  # fmt: skip
TEXTS = {
    "image": IMAGE, "conv": CONV, "depthwise": DEPTHWISE, "maxpool": POOL, "avgpool": POOL, "mean": MEAN, "add": ADD,
    "relu": RELU, "rescale": RESCALE,
}  # fmt: skip
