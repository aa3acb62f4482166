"""The C text of exported integer networks; words between @ signs are filled in.

Maps are [row][column][channel], unsigned: u = q + 128. Weights of convolutions stand in rows of a multiple of four, two
filters interleaved by four; of depthwise ones channel after channel. Biases hold the zero point of what is read, so
that products are taken of u as it is.
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

TOP = r"""/* An int8 neural network made by pronas: integers only, no allocation.@FACT@
 */
#include "@FILE@.h"

#include <string.h>

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && !defined(PRONAS_PORTABLE)
#include <arm_acle.h>
#define DSP 1
#endif

/* One operation: its window, zero points (of what it reads, reads second, makes; `middle`: of a convolution before the
 * addition that is part of it), lowest results, sizes, bytes from pixel to pixel, rows of a depthwise result that are
 * made at once, places of maps in `arena`, of weights and of numbers (`first`: of its channels, `extra`: of an
 * addition). */
typedef struct {
  uint8_t kind, kh, kw, sh, sw, dh, dw, zero, second_zero, result_zero, middle, low, middle_low, joined;
  int8_t ph, pw;
  uint16_t h, w, c, step, oh, ow, out, result_step, second_step, band;
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

/* Bits to the right. */
static const int8_t shift[@MULTIPLIERS@] = {
@SHIFT@};

static union {
  uint32_t aligned[@WORDS@];
  uint8_t bytes[@ARENA@];
} arena;

#define AT(place) (arena.bytes + (place))

#ifdef DSP
/* Functions in assembly: what they are given is not to be changed or left out by a compiler. */
#define NAKED __attribute__((naked, noinline, used))
#define UNUSED __attribute__((unused))
#define LEFTWARD(text)@LEFTWARD@ /* only where some sums are shifted to the left */
#define COLD __attribute__((noinline, cold)) /* little time is spent in it: small code */

/* x times m / 2^32 less `right` bits, rounded twice, half away from zero; what `adds` carries is right for no bits. */
#define RESCALE(x, m, right) \
  "smmulr " x ", " x ", " m "\n\t adds " x ", " x ", " x ", asr #31\n\t asrs " x ", " x ", " right "\n\t"

/* The rest of it: plus `zero` (less `low`), from `low` to 255. */
#define CLIP(x, zero, low) \
  "adc " x ", " x ", " zero "\n\t usat " x ", #8, " x "\n\t uqadd8 " x ", " x ", " low "\n\t"

/* x times m / 2^31 less `right` bits, plus `zero` (less `low`), from `low` to 255. */
#define RESULT(x, m, right, zero, low) "lsl " x ", " x ", #1\n\t" RESCALE(x, m, right) CLIP(x, zero, low)

/* The same with m, at least 2^30, doubled: 2^32 less than that, so that x is added. */
#define DOUBLED(x, m, right, zero, low) \
  "smmlar " x ", " x ", " m ", " x "\n\t adds " x ", " x ", " x ", asr #31\n\t" \
  "asrs " x ", " x ", " right "\n\t" CLIP(x, zero, low)

static inline uint32_t result(int32_t x, int32_t m, int32_t right, int32_t zero, int32_t low) {
  if (right < 0) x = (int32_t)((uint32_t)x << -right), right = 0;
  __asm__(RESULT("%0", "%1", "%2", "%3", "%4") : "+r"(x) : "r"(m), "r"(right), "r"(zero - low), "r"(low) : "cc");
  return (uint32_t)x;
}

static inline uint32_t word(const void *from) {
  uint32_t x;
  memcpy(&x, from, 4);
  return x;
}

/* Bytes 1 and 3 as 16 bits each. */
static inline uint32_t odd_unsigned(uint32_t x) {
  uint32_t y;
  __asm__("uxtb16 %0, %1, ror #8" : "=r"(y) : "r"(x));
  return y;
}
#else
#define COLD

/* x times m / 2^31, rounded. Without a product of 64 bits: from halves; the lowest does not reach what is kept. */
static int32_t high_product(int32_t x, int32_t m) {
#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
  const uint32_t x0 = x & 65535, m0 = m & 65535, m1 = (uint32_t)m >> 16, low = x0 * m1 + (x0 * m0 >> 16);
  const int32_t x1 = x >> 16, middle = x1 * (int32_t)m0 + (int32_t)(low & 65535);
  return 2 * (x1 * (int32_t)m1 + (int32_t)(low >> 16)) + ((middle + (1 << 14)) >> 15);
#else
  return (int32_t)(((int64_t)x * m + (1 << 30)) >> 31);
#endif
}

/* x times m / 2^31 less `right` bits, rounded twice, half away from zero. */
static int32_t rescale(int32_t x, int32_t m, int32_t right) {
  if (right <= 0) return high_product(x * (1 << -right), m);
  const int32_t high = high_product(x, m);
  return (((high + (high >> 31)) >> (right - 1)) + 1) >> 1;
}

/* The same, plus `zero`, from `low` to 255. */
static uint32_t result(int32_t x, int32_t m, int32_t right, int32_t zero, int32_t low) {
  const int32_t u = rescale(x, m, right) + zero;
  return (uint32_t)(u < low ? low : u > 255 ? 255 : u);
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
