"""The C functions of exported integer networks, one text a kind of operation; see `_ctemplate` for what they share.

`conv` has a form for cores with DSP instructions: two filters times two columns at once, two products an instruction.
"""

ADDED = """
/* Sums of `count` values u and v, each with 20 more bits, in the result's scale. */
static void added(const operation *p, const uint8_t *u, int32_t zero, const uint8_t *v, uint8_t *to, int32_t count) {
  const int32_t *m = mantissa + p->extra, m0 = m[0], m1 = m[1], m2 = m[2], second = p->second_zero;
  const int8_t *s = shift + p->extra;
  const int32_t s0 = s[0], s1 = s[1], s2 = s[2], more = p->result_zero, low = p->low;
  for (; count > 0; count--) {
    int32_t sum = rescale((*u++ - zero) * (1 << 20), m0, s0);
    sum += rescale((*v++ - second) * (1 << 20), m1, s1);
    *to++ = (uint8_t)clip(rescale(sum, m2, s2) + more, low);
  }
}
"""

PUT = """
/* Channel `o` of a convolution's result from its sum. */
static uint8_t made(const operation *p, int32_t o, int32_t sum) {
  const int32_t c = p->first + o;
  return (uint8_t)clip(rescale(sum, mantissa[c], shift[c]) + p->middle, p->middle_low);
}
"""

IMAGE = """
/* The image's pixels, channel after channel, to the scale that the first layer reads. */
static void image(const operation *p, const uint8_t *pixels) {
  const int32_t count = p->oh * p->ow;
  for (int32_t c = 0; c < p->out; c++)
    for (int32_t i = 0; i < count; i++)
      AT(p->result)[i * p->result_step + c] = made(p, c, bias[p->first + c] + weight[p->weights + c] * *pixels++);
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
static uint32_t *unfold(const uint8_t *from, uint32_t *to, int32_t fours) {
  for (; fours > 0; fours--, from += 4) {
    const uint32_t x = word(from);
    *to++ = __uxtb16(x), *to++ = odd_unsigned(x);
  }
  return to;
}

/* A window as pairs of 16 bits; straight from the map where it lies inside. */
static void pairs(const operation *p, int32_t i, uint32_t *to, int32_t fours) {
  const int32_t y = i / p->ow * p->sh - p->ph, x = i % p->ow * p->sw - p->pw, runs = p->dw == 1 && p->step == p->c;
  const int32_t inside = y >= 0 && x >= 0 && y + (p->kh - 1) * p->dh < p->h && x + (p->kw - 1) * p->dw < p->w;
  if (inside && p->c % 4 == 0) {
    const int32_t run = runs ? p->kw * p->c / 4 : p->c / 4, times = runs ? 1 : p->kw;
    for (int32_t a = 0; a < p->kh; a++) {
      const uint8_t *from = AT(p->source) + ((y + a * p->dh) * p->w + x) * p->step;
      for (int32_t b = times; b > 0; b--, from += p->dw * p->step) to = unfold(from, to, run);
    }
    return;
  }
  uint8_t *bytes = (uint8_t *)to + 4 * fours;
  gather(p, i, bytes);
  unfold(bytes, to, fours);
}

/* Four inputs of two filters (`w`) times four inputs of two columns; every pointer moves on. */
#define LOAD(a, b, from) __asm__ volatile("ldrd %0, %1, [%2], #8" : "=&r"(a), "=&r"(b), "+r"(from) : : "memory")
#define FOUR \\
  do { \\
    uint32_t a, c, m0, m1, n0, n1, x; \\
    LOAD(a, c, w); \\
    LOAD(m0, m1, m); \\
    LOAD(n0, n1, n); \\
    x = __sxtb16(a), s = __smlad(x, m0, s), t = __smlad(x, n0, t); \\
    a = odd_signed(a), s = __smlad(a, m1, s), t = __smlad(a, n1, t); \\
    x = __sxtb16(c), u = __smlad(x, m0, u), v = __smlad(x, n0, v); \\
    c = odd_signed(c), u = __smlad(c, m1, u), v = __smlad(c, n1, v); \\
  } while (0)

/* By itself, so that all of it stays in registers. */
__attribute__((noinline)) static void multiply(
    const int8_t *w, const uint32_t *m, const uint32_t *n, int32_t fours, int32_t *sums) {
  int32_t s = sums[0], t = sums[1], u = sums[2], v = sums[3];
  for (int32_t k = fours & 3; k > 0; k--) FOUR;
  for (int32_t k = fours >> 2; k > 0; k--) {
    FOUR;
    FOUR;
    FOUR;
    FOUR;
  }
  sums[0] = s, sums[1] = t, sums[2] = u, sums[3] = v;
}

static void conv(const operation *p) {
  const int32_t fours = (p->kh * p->kw * p->c + 3) / 4, count = p->oh * p->ow, zero = p->middle, low = p->middle_low;
  uint32_t *const first = (uint32_t *)(void *)AT(p->scratch), *const second = first + 2 * fours;
  for (int32_t i = 0; i < count; i += 2) {
    const int32_t j = i + 1 < count ? i + 1 : i;
    const int8_t *w = weight + p->weights;
    uint8_t *one = AT(p->result) + i * p->result_step, *two = AT(p->result) + j * p->result_step;
    if (p->joined) one = (uint8_t *)(second + 2 * fours), two = one + p->out;
    pairs(p, i, first, fours);
    pairs(p, j, second, fours);
    for (int32_t o = 0; o < p->out; o += 2, w += 8 * fours) {
      const int32_t *b = bias + p->first + o, *m = mantissa + p->first + o, more = o + 1 < p->out;
      const int8_t *s = shift + p->first + o;
      int32_t sums[4] = {b[0], b[0], more ? b[1] : 0, more ? b[1] : 0};
      multiply(w, first, second, fours, sums);
      for (int32_t k = 0; k <= more; k++) {
        one[o + k] = (uint8_t)clip(rescale(sums[2 * k], m[k], s[k]) + zero, low);
        two[o + k] = (uint8_t)clip(rescale(sums[2 * k + 1], m[k], s[k]) + zero, low);
      }
    }
    @JOIN@
  }
}
#else
static void conv(const operation *p) {
  const int32_t fours = (p->kh * p->kw * p->c + 3) / 4, count = p->oh * p->ow;
  const int direct = p->kh == 1 && p->kw == 1 && p->c % 4 == 0 && p->ph == 0 && p->pw == 0;
  for (int32_t i = 0; i < count; i++) {
    const int8_t *w = weight + p->weights;
    const uint8_t *column = AT(p->source) + (i / p->ow * p->sh * p->w + i % p->ow * p->sw) * p->step;
    uint8_t *one = AT(p->result) + i * p->result_step;
    if (p->joined) one = AT(p->scratch) + 4 * fours;
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
      one[o] = made(p, o, s);
      if (o + 1 < p->out) one[o + 1] = made(p, o + 1, t);
    }
    @JOINONE@
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
      for (int32_t k = 0; k < 4 && c + k < p->out; k++)
        AT(p->result)[i * p->result_step + c + k] = made(p, c + k, sum[k]);
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
    added(p, AT(p->source) + i * p->step, p->zero, AT(p->second) + i * p->second_step,
          AT(p->result) + i * p->result_step, p->c);
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

KINDS = ("image", "conv", "depthwise", "maxpool", "avgpool", "mean", "add", "relu", "rescale")
CALLS = {
    "image": "image(p, pixels)", "conv": "conv(p)", "depthwise": "depthwise(p)", "maxpool": "pool(p, 0)",
    "avgpool": "pool(p, 1)", "mean": "mean(p)", "add": "add(p)", "relu": "relu(p)", "rescale": "convert(p)",
}  # fmt: skip
JOIN = """if (p->joined) {
      added(p, one, zero, AT(p->second) + i * p->second_step, AT(p->result) + i * p->result_step, p->out);
      if (j != i) added(p, two, zero, AT(p->second) + j * p->second_step, AT(p->result) + j * p->result_step, p->out);
    }"""
JOIN_ONE = """if (p->joined)
      added(p, one, p->middle, AT(p->second) + i * p->second_step, AT(p->result) + i * p->result_step, p->out);"""
TEXTS = {
    "image": IMAGE, "conv": CONV, "depthwise": DEPTHWISE, "maxpool": POOL, "avgpool": POOL, "mean": MEAN, "add": ADD,
    "relu": RELU, "rescale": RESCALE,
}  # fmt: skip
