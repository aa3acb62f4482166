r"""The C of convolutions: windows become columns; on cores with DSP instructions two filters times two columns at once, two
products an instruction, the columns as pairs of 16 bits that lie beside each other.
"""

CONV = r"""
/* The window at row `y`, column `x` as bytes, column after column; taps outside hold the zero point. */
static void gather(const operation *p, int32_t y, int32_t x, uint8_t *to) {
  const int32_t c = p->c;
  const int run = p->dw == 1 && p->step == c && x >= 0 && x + p->kw <= p->w;
  for (int32_t a = 0; a < p->kh; a++, y += p->dh) {
    const uint8_t *from = AT(p->source) + (y * p->w + x) * p->step;
    if (y < 0 || y >= p->h) {
      to = fill(to, &p->zero, p->kw * c);
    } else if (run) {
      memcpy(to, from, (size_t)(p->kw * c));
      to += p->kw * c;
    } else {
      for (int32_t b = 0, at = x; b < p->kw; b++, to += c, from += p->dw * p->step, at += p->dw) {
        if (at < 0 || at >= p->w) fill(to, &p->zero, c);
        else memcpy(to, from, (size_t)c);
      }
    }
  }
}

#ifdef DSP
/* Bytes 1 and 3 as 16 bits each. */
static inline uint32_t odd_signed(uint32_t x) {
  uint32_t y;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(y) : "r"(x));
  return y;
}

/* Two words of a column; those of the other column stand between them and the next. */
#define STORE(a, b, to) __asm__ volatile("strd %1, %2, [%0], #16" : "+r"(to) : "r"(a), "r"(b) : "memory")
#define UNFOLD(from, to) \
  do { \
    const uint32_t four = word(from), even = __uxtb16(four), odd = odd_unsigned(four); \
    STORE(even, odd, to); \
  } while (0)

static uint32_t *blank(uint32_t value, uint32_t *to, int32_t fours) {
  for (; fours > 0; fours--) STORE(value, value, to);
  return to;
}

/* Bytes to pairs of 16 bits, in the order in which weights unfold: 0 and 2, 1 and 3. */
static uint32_t *unfold(const uint8_t *from, uint32_t *to, int32_t fours) {
  for (; fours >= 4; fours -= 4, from += 16) {
    UNFOLD(from, to);
    UNFOLD(from + 4, to);
    UNFOLD(from + 8, to);
    UNFOLD(from + 12, to);
  }
  for (; fours > 0; fours--, from += 4) UNFOLD(from, to);
  return to;
}

/* The window at row `y`, column `x` as pairs. */
static void pairs(const operation *p, int32_t y, int32_t x, uint32_t *to, int32_t fours) {
  const int32_t c = p->c, step = p->dw * p->step;
  if (c & 3) {
    uint8_t *bytes = AT(p->scratch) + 16 * fours;
    gather(p, y, x, bytes);
    unfold(bytes, to, fours);
    return;
  }
  const int inside = x >= 0 && x + (p->kw - 1) * p->dw < p->w, run = inside && step == c;
  for (int32_t a = p->kh; a > 0; a--, y += p->dh) {
    const uint8_t *from = AT(p->source) + (y * p->w + x) * p->step;
    const int row = y >= 0 && y < p->h;
    if (run && row) {
      to = unfold(from, to, p->kw * c / 4);
      continue;
    }
    for (int32_t b = p->kw, at = x; b > 0; b--, from += step, at += p->dw) {
      if (row && at >= 0 && at < p->w) to = unfold(from, to, c / 4);
      else to = blank(p->zero * 0x10001u, to, c / 4);
    }
  }
}

/* Four inputs of two filters (`w`) times four inputs of two columns (`x`); both move on. */
#define FOUR \
  do { \
    uint32_t a, c, e; \
    register uint32_t m0 __asm__("r4"), m1 __asm__("r5"), n0 __asm__("r6"), n1 __asm__("r8"); \
    LOAD(a, c, w); \
    __asm__ volatile("ldm %0!, {%1, %2, %3, %4}" : "+r"(x), "=r"(m0), "=r"(m1), "=r"(n0), "=r"(n1) : : "memory"); \
    e = __sxtb16(a), s = __smlad(e, m0, s), t = __smlad(e, n0, t); \
    a = odd_signed(a), s = __smlad(a, m1, s), t = __smlad(a, n1, t); \
    e = __sxtb16(c), u = __smlad(e, m0, u), v = __smlad(e, n0, v); \
    c = odd_signed(c), u = __smlad(c, m1, u), v = __smlad(c, n1, v); \
  } while (0)

/* The sums of two filters, which begin at `b`, over two columns. By itself, so that all of it stays in registers. */
__attribute__((noinline)) static void multiply(
    const int8_t *w, const uint32_t *x, int32_t fours, const int32_t *b, int32_t *sums) {
  int32_t s = b[0], t = s, u = b[1], v = u;
  for (int32_t k = fours & 3; k > 0; k--) FOUR;
  for (int32_t k = fours >> 2; k > 0; k--) {
    FOUR;
    FOUR;
    FOUR;
    FOUR;
  }
  sums[0] = s, sums[1] = t, sums[2] = u, sums[3] = v;
}

/* Both columns times all filters, two at a time. */
static void filters(const operation *p, const uint32_t *x, int32_t fours, uint8_t *one, uint8_t *two) {
  const int8_t *w = weight + p->weights, *s = shift + p->first;
  const int32_t *b = bias + p->first, *m = mantissa + p->first, zero = p->middle, low = p->middle_low;
  int32_t o = p->out, sums[4];
  for (; o > 0; o -= 2, w += 8 * fours, b += 2, m += 2, s += 2) {
    const int32_t last[2] = {b[0], 0};
    multiply(w, x, fours, o > 1 ? b : last, sums);
    *one++ = (uint8_t)result(sums[0], m[0], s[0], zero, low);
    *two++ = (uint8_t)result(sums[1], m[0], s[0], zero, low);
    if (o == 1) return;
    *one++ = (uint8_t)result(sums[2], m[1], s[1], zero, low);
    *two++ = (uint8_t)result(sums[3], m[1], s[1], zero, low);
  }
}

static void conv(const operation *p) {
  const int32_t fours = (p->kh * p->kw * p->c + 3) / 4, count = p->oh * p->ow;
  uint32_t *const x = (uint32_t *)(void *)AT(p->scratch);
  for (int32_t i = 0; i < count; i += 2) {
    const int32_t j = i + 1 < count ? i + 1 : i;
    uint8_t *one = AT(p->result) + i * p->result_step, *two = AT(p->result) + j * p->result_step;
    if (p->joined) one = AT(p->scratch) + 16 * fours, two = one + p->out;
    pairs(p, i / p->ow * p->sh - p->ph, i % p->ow * p->sw - p->pw, x, fours);
    pairs(p, j / p->ow * p->sh - p->ph, j % p->ow * p->sw - p->pw, x + 2, fours);
    filters(p, x, fours, one, two);
    @JOIN@
  }
}
#else
static void conv(const operation *p) {
  const int32_t fours = (p->kh * p->kw * p->c + 3) / 4, count = p->oh * p->ow, zero = p->middle, low = p->middle_low;
  const int direct = p->kh == 1 && p->kw == 1 && p->c % 4 == 0 && p->ph == 0 && p->pw == 0;
  for (int32_t i = 0; i < count; i++) {
    const int32_t y = i / p->ow * p->sh - p->ph, left = i % p->ow * p->sw - p->pw;
    const int32_t *b = bias + p->first, *m = mantissa + p->first;
    const int8_t *w = weight + p->weights, *r = shift + p->first;
    const uint8_t *column = AT(p->source) + (y * p->w + left) * p->step;
    uint8_t *one = p->joined ? AT(p->scratch) + 16 * fours : AT(p->result) + i * p->result_step;
    if (!direct) gather(p, y, left, AT(p->scratch)), column = AT(p->scratch);
    for (int32_t o = 0; o < p->out; o += 2) {
      int32_t s = b[o], t = o + 1 < p->out ? b[o + 1] : 0;
      const uint8_t *x = column;
      for (int32_t k = fours; k > 0; k--, w += 8, x += 4) {
        s += w[0] * x[0], t += w[4] * x[0];
        s += w[1] * x[1], t += w[5] * x[1];
        s += w[2] * x[2], t += w[6] * x[2];
        s += w[3] * x[3], t += w[7] * x[3];
      }
      one[o] = (uint8_t)result(s, m[o], r[o], zero, low);
      if (o + 1 < p->out) one[o + 1] = (uint8_t)result(t, m[o + 1], r[o + 1], zero, low);
    }
    @JOINONE@
  }
}
#endif
"""

JOIN = """if (p->joined) {
      added(p, one, p->middle, AT(p->second) + i * p->second_step, AT(p->result) + i * p->result_step, p->out);
      if (j != i)
        added(p, two, p->middle, AT(p->second) + j * p->second_step, AT(p->result) + j * p->result_step, p->out);
    }"""
JOIN_ONE = """if (p->joined)
      added(p, one, p->middle, AT(p->second) + i * p->second_step, AT(p->result) + i * p->result_step, p->out);"""
