"""The C text that exported networks are made of; words between @ signs are filled in."""

HEADER = """/* A binary neural network made by pronas; see the source beside this file. */
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

/* The last layer's integer sums as well (@CLASSES@ of them). */
int @NAME@_integers(const uint8_t image@SHAPE@, int32_t *integers);

#ifdef __cplusplus
}
#endif
#endif
"""

TOP = """/* A binary neural network made by pronas: one bit a weight, integers only.@FACT@
 */
#include "@FILE@.h"

#include <string.h>

#define CLASSES @CLASSES@

/* One operation: window, sizes of its input and output, places in `buffer`, inputs of one output, bytes from pixel to
 * pixel of the output, places of its weights and thresholds (doubled; one more: in `large`). */
typedef struct {
@FIELDS@
} operation;

static const operation program[@COUNT@] = {
@ROWS@};

static const uint8_t weight[] = {
@BYTES@};

static const int8_t small[] = {
@SMALL@};

static const @LIMIT@ large[] = {
@LARGE@};

static uint8_t buffer[@BUFFER@];

static int32_t limit(const operation *p, int32_t i) {
  return p->limits & 1 ? (int32_t)large[p->limits / 2 + i] : (int32_t)small[p->limits / 2 + i];
}

/* Write channel `o` of the pixel at `to`. Channels come in order, so the first bit of a byte clears the others. */
static void put(const operation *p, uint8_t *to, int32_t o, int set) {
  int32_t i = o + p->first;
  to += i >> 3;
  i &= 7;
  *to = (uint8_t)((i ? *to : 0) | (set ? 1 << i : 0));
}

/* Where the window of output pixel `i` begins, and which of its rows and columns lie inside the map. */
typedef struct {
  int32_t y, x, low, high, left, right;
} window;

static void inside(int32_t start, int32_t size, int32_t length, int32_t *low, int32_t *high) {
  *low = start < 0 ? -start : 0;
  *high = length - start < size ? length - start : size;
  if (*high < *low) *high = *low;
}

static window place(const operation *p, int32_t i) {
  window v;
  v.y = i / p->ow * p->stride - p->ph, v.x = i % p->ow * p->stride - p->pw;
  inside(v.y, p->kh, p->h, &v.low, &v.high);
  inside(v.x, p->kw, p->w, &v.left, &v.right);
  return v;
}

@FUNCTIONS@
@SCORES@"""

MAIN = """
int @NAME@_integers(const uint8_t image@SHAPE@, int32_t *integers) {
  int32_t best = 0;
  for (const operation *p = program; p < program + @COUNT@; p++) {
    switch (p->kind) {
@CASES@
      default: break;
    }
  }
  (void)image;
  for (int32_t c = 1; c < CLASSES; c++)
    if (score(c, integers[c]) > score(best, integers[best])) best = c;
  return (int)best;
}

int @NAME@_classify(const uint8_t image@SHAPE@) {
  int32_t integers[CLASSES];
  return @NAME@_integers(image, integers);
}
"""

_DIFFERENT = """/* Differing bits of two runs of bytes. */
static int32_t different(const uint8_t *a, const uint8_t *b, int32_t bytes) {
  int32_t count = 0;
  while (bytes > 0) {
    uint32_t x = *a, y = *b;
    int32_t n = bytes < 4 ? 1 : 4;
    if (n == 4) memcpy(&x, a, 4), memcpy(&y, b, 4);
    x ^= y;
    x -= x >> 1 & 0x55555555u;
    x = (x & 0x33333333u) + (x >> 2 & 0x33333333u);
    count += (int32_t)(((x + (x >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24);
    a += n, b += n, bytes -= n;
  }
  return count;
}
"""

_BIT = """/* Channel `o` of the source's pixel number `i`. */
static int bit_of(const operation *p, int32_t place, int32_t i, int32_t o) {
  return buffer[place + i * ((p->c + 7) / 8) + (o >> 3)] >> (o & 7) & 1;
}
"""

_CONV = """static void conv(const operation *p) {
  int32_t bytes = (p->c + 7) / 8;
  uint8_t *to = buffer + p->target;
  for (int32_t i = 0; i < p->oh * p->ow; i++, to += p->step) {
    const window v = place(p, i);
    const uint8_t *w = weight + p->weights;
    for (int32_t o = 0; o < p->out; o++, w += p->kh * p->kw * bytes) {
      int32_t z = (v.high - v.low) * (v.right - v.left) * p->c;
      for (int32_t k = v.low; k < v.high; k++)
        z -= 2 * different(buffer + p->source + ((v.y + k) * p->w + v.x + v.left) * bytes,
                           w + (k * p->kw + v.left) * bytes, (v.right - v.left) * bytes);
      put(p, to, o, z >= limit(p, o));
    }
  }
}
"""

_DEPTHWISE = """static void depthwise(const operation *p) {
  int32_t bytes = (p->c + 7) / 8;
  uint8_t *to = buffer + p->target;
  for (int32_t i = 0; i < p->oh * p->ow; i++, to += p->step) {
    const window v = place(p, i);
    for (int32_t o = 0; o < p->out; o++) {
      int32_t z = (v.high - v.low) * (v.right - v.left);
      for (int32_t k = v.low; k < v.high; k++)
        for (int32_t j = v.left; j < v.right; j++)
          z -= 2 * (bit_of(p, p->source, (v.y + k) * p->w + v.x + j, o) ^
                    (weight[p->weights + (k * p->kw + j) * bytes + (o >> 3)] >> (o & 7) & 1));
      put(p, to, o, z >= limit(p, o));
    }
  }
}
"""

_MAXPOOL = """static void maxpool(const operation *p) {
  uint8_t *to = buffer + p->target;
  for (int32_t i = 0; i < p->oh * p->ow; i++, to += p->step) {
    const window v = place(p, i);
    for (int32_t o = 0; o < p->out; o++) {
      int any = 0;
      for (int32_t k = v.low; k < v.high; k++)
        for (int32_t j = v.left; j < v.right; j++) any |= bit_of(p, p->source, (v.y + k) * p->w + v.x + j, o);
      put(p, to, o, any);
    }
  }
}
"""

_TOTAL = """/* Sum of output `o` of a dense layer. */
static int32_t total(const operation *p, int32_t o) {
  int32_t bytes = p->h * p->w * ((p->c + 7) / 8);
  return p->h * p->w * p->c - 2 * different(buffer + p->source, weight + p->weights + o * bytes, bytes);
}
"""

_DENSE = """static void dense(const operation *p) {
  for (int32_t o = 0; o < p->out; o++) put(p, buffer + p->target, o, total(p, o) >= limit(p, o));
}
"""

_LOGITS = """static void logits(const operation *p, int32_t *integers) {
  for (int32_t o = 0; o < CLASSES; o++) integers[o] = total(p, o);
}
"""

_ADD = """static void add(const operation *p) {
  int32_t bytes = (p->c + 7) / 8;
  uint8_t *to = buffer + p->target;
  for (int32_t i = 0; i < p->oh * p->ow; i++, to += p->step)
    for (int32_t o = 0; o < p->out; o++) {
      int32_t set = bit_of(p, p->source, i, o) + bit_of(p, p->second, i, o);
      put(p, to, o, weight[p->weights + set * bytes + (o >> 3)] >> (o & 7) & 1);
    }
}
"""

_COPY = """static void copy(const operation *p) {
  uint8_t *to = buffer + p->target;
  for (int32_t i = 0; i < p->oh * p->ow; i++, to += p->step)
    for (int32_t o = 0; o < p->out; o++) put(p, to, o, bit_of(p, p->source, i, o));
}
"""

_PIXELS = """/* Sum over the window at output pixel `i` of weight * (2 pixel - 255), channels [c, end). */
static int32_t pixels(const operation *p, const uint8_t *image, int32_t i, int32_t c, int32_t end, int32_t bit) {
  const window v = place(p, i);
  int32_t z = 0;
  if (!p->outer) image = buffer + p->source;
  for (; c < end; c++, bit += p->kh * p->kw)
    for (int32_t k = v.low; k < v.high; k++)
      for (int32_t j = v.left; j < v.right; j++) {
        int32_t b = bit + k * p->kw + j, pixel = 2 * image[(c * p->h + v.y + k) * p->w + v.x + j] - 255;
        z += weight[p->weights + (b >> 3)] >> (b & 7) & 1 ? pixel : -pixel;
      }
  return z;
}
"""

_IMAGE_CONV = """static void image_conv(const operation *p, const uint8_t *image) {
  uint8_t *to = buffer + p->target;
  for (int32_t i = 0; i < p->oh * p->ow; i++, to += p->step)
    for (int32_t o = 0; o < p->out; o++)
      put(p, to, o, pixels(p, image, i, 0, p->c, o * p->c * p->kh * p->kw) >= limit(p, o));
}
"""

_IMAGE_DEPTHWISE = """static void image_depthwise(const operation *p, const uint8_t *image) {
  uint8_t *to = buffer + p->target;
  for (int32_t i = 0; i < p->oh * p->ow; i++, to += p->step)
    for (int32_t o = 0; o < p->out; o++)
      put(p, to, o, pixels(p, image, i, o, o + 1, o * p->kh * p->kw) >= limit(p, o));
}
"""

_IMAGE_MAXPOOL = """static void image_maxpool(const operation *p, const uint8_t *image) {
  uint8_t *to = buffer + p->target;
  if (!p->outer) image = buffer + p->source;
  for (int32_t c = 0; c < p->c; c++)
    for (int32_t i = 0; i < p->oh * p->ow; i++, to++) {
      const window v = place(p, i);
      *to = 0;
      for (int32_t k = v.low; k < v.high; k++)
        for (int32_t j = v.left; j < v.right; j++) {
          uint8_t pixel = image[(c * p->h + v.y + k) * p->w + v.x + j];
          if (pixel > *to) *to = pixel;
        }
    }
}
"""

HELPERS = {
    "different": (_DIFFERENT, {"conv", "dense", "logits"}),
    "bit_of": (_BIT, {"depthwise", "maxpool", "add", "copy"}),
    "total": (_TOTAL, {"dense", "logits"}),
    "pixels": (_PIXELS, {"image_conv", "image_depthwise"}),
}
"""Functions that others call, and who calls them."""

FUNCTIONS = {
    "conv": _CONV,
    "depthwise": _DEPTHWISE,
    "maxpool": _MAXPOOL,
    "dense": _DENSE,
    "logits": _LOGITS,
    "add": _ADD,
    "copy": _COPY,
    "image_conv": _IMAGE_CONV,
    "image_depthwise": _IMAGE_DEPTHWISE,
    "image_maxpool": _IMAGE_MAXPOOL,
}
"""One function an operation; the table's kinds are their positions."""
