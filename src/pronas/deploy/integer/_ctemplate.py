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

#ifdef DSP
#define ALIGNED __attribute__((aligned(4)))
#else
#define ALIGNED
#endif

static const int8_t weight[@WEIGHTS@] ALIGNED = {
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

/* x times m / 2^31, rounded. */
static int32_t high_product(int32_t x, int32_t m) {
#ifdef DSP
  int32_t y;
  __asm__("smmulr %0, %1, %2" : "=r"(y) : "r"(x * 2), "r"(m));
  return y;
#else
  return (int32_t)(((int64_t)x * m + (1 << 30)) >> 31);
#endif
}

/* x times mantissa 2^shift / 2^31, rounded twice, half away from zero. */
static int32_t rescale(int32_t x, int32_t m, int32_t s) {
  if (s >= 0) return high_product(x * (1 << s), m);
  const int32_t high = high_product(x, m);
  return (((high + (high >> 31)) >> (-s - 1)) + 1) >> 1;
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
