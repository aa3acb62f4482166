r"""The C functions of exported integer networks, one text a kind of operation; see `_ctemplate` for what they share and
`_cconv`, `_cdepthwise` for the two kinds that most time is spent in.
"""

from pronas.deploy.integer._cconv import COLUMNS, CONV, JOIN, JOIN_ONE
from pronas.deploy.integer._cdepthwise import DEPTHWISE
from pronas.deploy.integer._cslide import ADD_LINE, DENSE, JOIN_LINE, JOIN_LINES, SLIDE

FILL = r"""
/* Not memset, and not to be made one by a compiler. */
static inline uint8_t *fill(uint8_t *to, const volatile uint8_t *value, int32_t count) {
  while (count-- > 0) *to++ = *value;
  return to;
}
"""

ADDED = r"""
/* Sums of values u and v, each with 20 more bits, in the result's scale. */
#ifdef DSP
/* The value whose scale is the larger, u, counts half (2^19 a step, `half` its zero point's part), so it needs no
 * product. The other's zero point has 21 bits more; the order matters. */
typedef struct {
  const uint8_t *u, *v;
  uint8_t *to;
  int32_t zero_v, half, m1, s1, m2, s2, zero, low;
} summing;

#define SUM \
  "ldrb lr, [r1], #1\n\t rsb lr, r3, lr, lsl #21\n\t" RESCALE("lr", "r5", "r6") "adc lr, lr, r4\n\t" \
  "ldrb r12, [r0], #1\n\t add r12, lr, r12, lsl #19\n\t" DOUBLED("r12", "r7", "r8", "r9", "r10") \
  "strb r12, [r2], #1\n\t"

/* `count` of them, two at a time. */
NAKED static void sums(UNUSED const summing *k, UNUSED int32_t count) {
  __asm__ volatile(
      "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t lsrs r11, r1, #1\n\t adc r11, r11, #0\n\t"
      "ldm r0, {r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10}\n\t bcs 2f\n"
      "1:\n\t" SUM
      "2:\n\t" SUM
      "subs r11, r11, #1\n\t bne 1b\n\t"
      "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}");
}

static void added(const operation *p, const uint8_t *u, int32_t zero, const uint8_t *v, uint8_t *to, int32_t count) {
  const int32_t *m = mantissa + p->extra;
  const int8_t *s = shift + p->extra;
  const int turned = m[0] != 1 << 30 || s[0] != 0;
  const int32_t second = p->second_zero, zero_u = turned ? second : zero, zero_v = turned ? zero : second;
  const summing k = {turned ? v : u, turned ? u : v, to, zero_v << 21, -(zero_u << 19), m[!turned], s[!turned],
                     (int32_t)((uint32_t)m[2] << 1), s[2], p->result_zero - p->low, p->low};
  sums(&k, count);
}
#else
static void added(const operation *p, const uint8_t *u, int32_t zero, const uint8_t *v, uint8_t *to, int32_t count) {
  const int32_t *m = mantissa + p->extra, m0 = m[0], m1 = m[1], m2 = m[2], second = p->second_zero;
  const int8_t *s = shift + p->extra;
  const int32_t s0 = s[0], s1 = s[1], s2 = s[2], more = p->result_zero, low = p->low;
  for (; count > 0; count--) {
    int32_t sum = rescale((*u++ - zero) * (1 << 20), m0, s0);
    sum += rescale((*v++ - second) * (1 << 20), m1, s1);
    *to++ = (uint8_t)result(sum, m2, s2, more, low);
  }
}
#endif
"""

SCALE = r"""
/* Each channel times a number: of pixels `step` bytes apart, channels `apart` bytes. */
static void scale(const operation *p, const uint8_t *pixels, int32_t apart, int32_t step) {
  const int32_t zero = p->middle, low = p->middle_low;
  for (int32_t c = 0; c < p->out; c++) {
    const int32_t w = weight[p->weights + c], at = p->first + c, b = bias[at], m = mantissa[at], s = shift[at];
    const uint8_t *from = pixels + c * apart;
    uint8_t *to = AT(p->result) + c;
    for (int32_t i = p->oh * p->ow; i > 0; i--, from += step, to += p->result_step)
      *to = (uint8_t)result(b + w * *from, m, s, zero, low);
  }
}
"""

POOL = r"""
/* Largest, or mean, of the taps inside; a mean is rounded half away from zero as int8. */
static uint8_t halfway(int32_t sum, int32_t count) {
  sum -= 128 * count;
  return (uint8_t)((sum > 0 ? sum + count / 2 : sum - count / 2) / count + 128);
}

#ifdef DSP
/* Four channels of `rows` rows of `columns` pixels from `from` on. */
static void pool_four(const operation *p, const uint8_t *from, int32_t rows, int32_t columns, uint8_t *to, int mean) {
  uint32_t largest = 0, even = 0, odd = 0;
  const int32_t step = p->step, more = (p->w - columns) * step;
  for (int32_t a = rows; a > 0; a--, from += more)
    for (int32_t b = columns; b > 0; b--, from += step) {
      const uint32_t x = word(from);
      if (mean) even += __uxtb16(x), odd += odd_unsigned(x);
      else largest = __uqadd8(__uqsub8(x, largest), largest);
    }
  if (!mean) {
    memcpy(to, &largest, 4);
    return;
  }
  to[0] = halfway((int32_t)(even & 65535), rows * columns), to[2] = halfway((int32_t)(even >> 16), rows * columns);
  to[1] = halfway((int32_t)(odd & 65535), rows * columns), to[3] = halfway((int32_t)(odd >> 16), rows * columns);
}
#endif

static void pool(const operation *p, int mean) {
  for (int32_t i = 0; i < p->oh * p->ow; i++) {
    const int32_t y = i / p->ow * p->sh - p->ph, x = i % p->ow * p->sw - p->pw;
    const int32_t top = y < 0 ? 0 : y, left = x < 0 ? 0 : x;
    const int32_t bottom = y + p->kh < p->h ? y + p->kh : p->h, right = x + p->kw < p->w ? x + p->kw : p->w;
    const uint8_t *first = AT(p->source) + (top * p->w + left) * p->step;
    uint8_t *to = AT(p->result) + i * p->result_step;
    int32_t c = 0;
#ifdef DSP
    for (; c + 4 <= p->c; c += 4) pool_four(p, first + c, bottom - top, right - left, to + c, mean);
#endif
    for (; c < p->c; c++) {
      int32_t largest = 0, sum = 0;
      const uint8_t *from = first + c;
      for (int32_t a = top; a < bottom; a++, from += (p->w - right + left) * p->step)
        for (int32_t b = left; b < right; b++, from += p->step) {
          if (*from > largest) largest = *from;
          sum += *from;
        }
      to[c] = mean ? halfway(sum, (bottom - top) * (right - left)) : (uint8_t)largest;
    }
  }
}
"""

MEAN = r"""
/* Mean over the whole map. */
COLD static void mean(const operation *p) {
  const int32_t m = mantissa[p->extra], s = shift[p->extra];
  for (int32_t c = 0; c < p->c; c++) {
    const uint8_t *from = AT(p->source) + c;
    int32_t sum = -p->h * p->w * p->zero;
    for (int32_t i = p->h * p->w; i > 0; i--, from += p->step) sum += *from;
    AT(p->result)[c] = (uint8_t)result(sum, m, s, p->result_zero, 0);
  }
}
"""

ADD = r"""
static void add(const operation *p) {
  const int whole = p->step == p->c && p->second_step == p->c && p->result_step == p->c;
  const int32_t count = whole ? p->oh * p->ow * p->c : p->c;
  for (int32_t i = 0; i < p->oh * p->ow; i += count / p->c)
    added(p, AT(p->source) + i * p->step, p->zero, AT(p->second) + i * p->second_step,
          AT(p->result) + i * p->result_step, count);
}
"""

RELU = r"""
static void relu(const operation *p) {
  for (int32_t i = 0; i < p->oh * p->ow; i++) {
    const uint8_t *from = AT(p->source) + i * p->step;
    uint8_t *to = AT(p->result) + i * p->result_step;
    for (int32_t c = p->c; c > 0; c--, from++) *to++ = *from < p->low ? p->low : *from;
  }
}
"""

RESCALE = r"""
/* The same in another scale. */
static void convert(const operation *p) {
  const int32_t m = mantissa[p->extra], s = shift[p->extra], zero = p->zero, more = p->result_zero;
  for (int32_t i = 0; i < p->oh * p->ow; i++) {
    const uint8_t *from = AT(p->source) + i * p->step;
    uint8_t *to = AT(p->result) + i * p->result_step;
    for (int32_t c = p->c; c > 0; c--) *to++ = (uint8_t)result(*from++ - zero, m, s, more, 0);
  }
}
"""

KINDS = (
    "image",
    "conv",
    "depthwise",
    "maxpool",
    "avgpool",
    "mean",
    "add",
    "relu",
    "rescale",
    "scale",
    "slide",
    "dense",
)
CALLS = {
    "image": "scale(p, pixels, p->oh * p->ow, 1)", "conv": "conv(p)", "depthwise": "depthwise(p)",
    "maxpool": "pool(p, 0)", "avgpool": "pool(p, 1)", "mean": "mean(p)", "add": "add(p)", "relu": "relu(p)",
    "rescale": "convert(p)", "scale": "scale(p, AT(p->source), 1, p->step)", "slide": "slide(p)", "dense": "dense(p)",
}  # fmt: skip
TEXTS = {
    "image": SCALE, "conv": CONV, "depthwise": DEPTHWISE, "maxpool": POOL, "avgpool": POOL, "mean": MEAN,
    "add": ADD, "relu": RELU, "rescale": RESCALE, "scale": SCALE, "slide": SLIDE, "dense": DENSE,
}  # fmt: skip
JOINS = {
    "JOIN": JOIN, "JOINONE": JOIN_ONE, "JOINLINES": JOIN_LINES, "JOINLINE": JOIN_LINE, "ADDLINE": ADD_LINE,
}  # fmt: skip
"""What stands in them where additions are part of convolutions."""

__all__ = ["ADDED", "CALLS", "COLUMNS", "FILL", "JOINS", "KINDS", "TEXTS"]
