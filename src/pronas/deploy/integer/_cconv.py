r"""The C of convolutions: windows become columns; on cores with DSP instructions two filters times two columns at once,
two products an instruction, the columns as pairs of 16 bits that lie beside each other.

What takes more registers than a compiler leaves at every level is written in assembly, in functions without a prologue.
"""

COLUMNS = r"""
#ifdef DSP
/* Two words of a column; those of the other column stand between them and the next. */
#define STORE(a, b, to) __asm__ volatile("strd %1, %2, [%0], #16" : "+r"(to) : "r"(a), "r"(b) : "memory")
#define UNFOLD(from, to) \
  do { \
    const uint32_t four = word(from), even = __uxtb16(four), odd = odd_unsigned(four); \
    STORE(even, odd, to); \
  } while (0)

static UNUSED uint32_t *blank(uint32_t value, uint32_t *to, int32_t fours) {
  for (; fours > 0; fours--) STORE(value, value, to);
  return to;
}

/* Bytes to pairs of 16 bits, in the order in which weights unfold: 0 and 2, 1 and 3. */
static UNUSED uint32_t *unfold(const uint8_t *from, uint32_t *to, int32_t fours) {
  for (; fours >= 4; fours -= 4, from += 16) {
    UNFOLD(from, to);
    UNFOLD(from + 4, to);
    UNFOLD(from + 8, to);
    UNFOLD(from + 12, to);
  }
  for (; fours > 0; fours--, from += 4) UNFOLD(from, to);
  return to;
}

/* Four inputs of two filters (r0) times four inputs of two columns (r1); sums in r9 to r12. */
#define FOUR \
  "ldrd r3, r8, [r0], #8\n\t ldm r1!, {r4, r5, r6, r7}\n\t" \
  "sxtb16 lr, r3\n\t smlad r9, lr, r4, r9\n\t smlad r10, lr, r6, r10\n\t" \
  "sxtb16 r3, r3, ror #8\n\t smlad r9, r3, r5, r9\n\t smlad r10, r3, r7, r10\n\t" \
  "sxtb16 lr, r8\n\t smlad r11, lr, r4, r11\n\t smlad r12, lr, r6, r12\n\t" \
  "sxtb16 r8, r8, ror #8\n\t smlad r11, r8, r5, r11\n\t smlad r12, r8, r7, r12\n\t"

/* As many of them as r2 says less r3, four in a turn; the first turn begins that much further in. */
#define TURNS \
  "tbb [pc, r3]\n" \
  "10:\n\t .byte (11f - 10b) / 2, (12f - 10b) / 2, (13f - 10b) / 2, (14f - 10b) / 2\n" \
  "11:\n\t" FOUR "12:\n\t" FOUR "13:\n\t" FOUR "14:\n\t" FOUR "subs r2, r2, #4\n\t bne 11b\n\t"
#define FOURS "rsb r3, r2, #0\n\t and r3, r3, #3\n\t add r2, r2, r3\n\t" TURNS
#else
/* A column times two filters; where the sums begin, and end. By itself it has enough registers on every core. */
#ifdef __GNUC__
__attribute__((noinline))
#endif
static void dots(const int8_t *w, const uint8_t *x, int32_t fours, int32_t *sums) {
  int32_t s = sums[0], t = sums[1];
  for (; fours > 0; fours--, w += 8, x += 4) {
    s += w[0] * x[0], t += w[4] * x[0];
    s += w[1] * x[1], t += w[5] * x[1];
    s += w[2] * x[2], t += w[6] * x[2];
    s += w[3] * x[3], t += w[7] * x[3];
  }
  sums[0] = s, sums[1] = t;
}

/* A column times all filters, two at a time. */
static void multiply(const operation *p, const uint8_t *column, int32_t fours, uint8_t *to) {
  const int32_t *b = bias + p->first, *m = mantissa + p->first, zero = p->middle, low = p->middle_low;
  const int8_t *w = weight + p->weights, *r = shift + p->first;
  for (int32_t o = 0; o < p->out; o += 2, w += 8 * fours) {
    int32_t sums[2];
    sums[0] = b[o], sums[1] = b[o + 1];
    dots(w, column, fours, sums);
    to[o] = (uint8_t)result(sums[0], m[o], r[o], zero, low);
    if (o + 1 < p->out) to[o + 1] = (uint8_t)result(sums[1], m[o + 1], r[o + 1], zero, low);
  }
}
#endif
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

/* Two columns `x` and the numbers of the filters that they are multiplied with; `left` filters. Order matters. */
typedef struct {
  const int32_t *m;
  const int8_t *s;
  int32_t zero, low;
  uint8_t *one, *two;
  const uint32_t *x;
  int32_t fours, left;
  const int32_t *b;
} columns;

/* A filter's two sums (u, v) become its results, which are stored; r7: its multiplier. */
#define FILTER(u, v, m, skip) \
  "ldrsb r1, [r2], #1\n\t" \
  LEFTWARD("cmp r1, #0\n\t bge " skip "f\n\t rsb r1, r1, #0\n\t lsl " u ", " u ", r1\n\t" \
           "lsl " v ", " v ", r1\n\t mov r1, #0\n" skip ":\n\t") \
  "lsl " m ", " m ", #1\n\t" DOUBLED(u, m, "r1", "r3", "r4") DOUBLED(v, m, "r1", "r3", "r4") \
  "strb " u ", [r5], #1\n\t strb " v ", [r6], #1\n\t"

/* Both columns times all filters, two at a time. */
NAKED static void filters(UNUSED const int8_t *w, UNUSED columns *k) {
  __asm__ volatile(
      "push {r1, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t mov lr, r1\n"
      "1:\n\t ldr r3, [lr, #36]\n\t ldrd r9, r11, [r3], #8\n\t str r3, [lr, #36]\n\t"
      "mov r10, r9\n\t mov r12, r11\n\t ldrd r1, r2, [lr, #24]\n\t" FOURS
      "ldr lr, [sp]\n\t ldm lr, {r1, r2, r3, r4, r5, r6}\n\t ldrd r7, r8, [r1], #8\n\t str r1, [lr]\n\t"
      FILTER("r9", "r10", "r7", "6")
      "ldr r9, [lr, #32]\n\t subs r9, r9, #2\n\t str r9, [lr, #32]\n\t bmi 8f\n\t"
      FILTER("r11", "r12", "r8", "7")
      "str r2, [lr, #4]\n\t strd r5, r6, [lr, #16]\n\t cmp r9, #0\n\t bne 1b\n"
      "8:\n\t pop {r1, r4, r5, r6, r7, r8, r9, r10, r11, pc}");
}

static void conv(const operation *p) {
  const int32_t fours = (p->kh * p->kw * p->c + 3) / 4, count = p->oh * p->ow;
  uint32_t *const x = (uint32_t *)(void *)AT(p->scratch);
  const int32_t *const b = bias + p->first, *const m = mantissa + p->first;
  for (int32_t i = 0; i < count; i += 2) {
    const int32_t j = i + 1 < count ? i + 1 : i;
    uint8_t *one = AT(p->result) + i * p->result_step, *two = AT(p->result) + j * p->result_step;
    if (p->joined) one = AT(p->scratch) + 16 * fours, two = one + p->out;
    pairs(p, i / p->ow * p->sh - p->ph, i % p->ow * p->sw - p->pw, x, fours);
    pairs(p, j / p->ow * p->sh - p->ph, j % p->ow * p->sw - p->pw, x + 2, fours);
    columns k = {m, shift + p->first, p->middle - p->middle_low, p->middle_low, one, two, x, fours, p->out, b};
    filters(weight + p->weights, &k);
    @JOIN@
  }
}
#else
static void conv(const operation *p) {
  const int32_t fours = (p->kh * p->kw * p->c + 3) / 4;
  for (int32_t i = 0; i < p->oh * p->ow; i++) {
    uint8_t *one = p->joined ? AT(p->scratch) + 16 * fours : AT(p->result) + i * p->result_step;
    gather(p, i / p->ow * p->sh - p->ph, i % p->ow * p->sw - p->pw, AT(p->scratch));
    multiply(p, AT(p->scratch), fours, one);
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
