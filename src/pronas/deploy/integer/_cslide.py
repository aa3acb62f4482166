r"""The C of convolutions whose windows are one row or one column of the map (1x1, 1xN, Nx1), and of dense layers.

Such windows lie one after another in a line of the map: a part of a line is laid out once, and every window is a piece
of it. On cores with DSP instructions two lines beside each other are laid out together, and two filters at a time
go along them.
"""

SLIDE = r"""
/* In the rows of these operations h and oh count lines, w and ow are their lengths, kw, sw and pw go along them, and dh
 * says whether they are rows of the map; pixels between two that are read are left out (dw). */
#define PIXEL(p, line, lines, at, length) (p->dh ? (line) * (length) + (at) : (at) * (lines) + (line))

/* What `count` windows of line `line` from window `first` on read: where the first pixel is, bytes from one to the
 * next, and how many lie before the map, in it and after it. */
typedef struct {
  const uint8_t *from;
  int32_t step, before, inside, after;
} stretch;

static stretch stretch_of(const operation *p, int32_t line, int32_t first, int32_t count) {
  const int32_t y = line * p->sh - p->ph, start = first * p->sw * p->dw - p->pw, h = p->h, w = p->w, gap = p->dw;
  const int32_t pixels = (count - 1) * p->sw + p->kw, over = start + (pixels - 1) * gap - w + 1;
  int32_t before = start < 0 ? -start : 0, after = over > 0 ? (over + gap - 1) / gap : 0;
  if (y < 0 || y >= h || before + after >= pixels) before = pixels, after = 0;
  const int32_t inside = pixels - before - after, at = start < 0 ? 0 : start;
  const stretch found = {AT(p->source) + PIXEL(p, inside ? y : 0, h, at, w) * p->step, gap * (p->dh ? 1 : h) * p->step,
                         before, inside, after};
  return found;
}
@ADDLINE@
#ifdef DSP
/* A part of a line as pairs of 16 bits; those of the other line stand between them and the next. */
COLD static void lay(const operation *p, int32_t line, int32_t first, int32_t count, uint32_t *to) {
  stretch s = stretch_of(p, line, first, count);
  const int32_t fours = p->c / 4, whole = s.step == p->c;
  to = blank(p->zero * 0x10001u, to, s.before * fours);
  for (int32_t i = whole ? 1 : s.inside; i > 0; i--, s.from += s.step)
    to = unfold(s.from, to, whole ? s.inside * fours : fours);
  blank(p->zero * 0x10001u, to, s.after * fours);
}

/* Two filters and what they are multiplied with: `left` windows of both lines, bytes from result to result and from the
 * end of a window to the next, bits to the left. The order matters. */
typedef struct {
  int32_t m, s, m2, s2, zero, low;
  uint8_t *one, *two;
  int32_t left;
  const int8_t *w;
  int32_t fours, skipped, b, b2, step, more, up, up2;
} lines;

/* The numbers stand on the stack, where one instruction reads what a window's results need. */
NAKED static void along(UNUSED const lines *k, UNUSED const uint32_t *x) {
  __asm__ volatile(
      "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t add r12, r0, #36\n\t"
      "ldm r12, {r2, r3, r4, r5, r6, r7, r8, r9, r10}\n\t push {r2, r3, r4, r5, r6, r7, r8, r9, r10}\n\t"
      "ldm r0, {r2, r3, r4, r5, r6, r7, r8, r9, r10}\n\t push {r2, r3, r4, r5, r6, r7, r8, r9, r10}\n"
      "1:\n\t add r0, sp, #36\n\t ldm r0, {r0, r2, r3, r9, r11}\n\t mov r10, r9\n\t mov r12, r11\n\t" TURNS
      LEFTWARD("ldrd r0, r2, [sp, #64]\n\t lsl r9, r9, r0\n\t lsl r10, r10, r0\n\t lsl r11, r11, r2\n\t"
               "lsl r12, r12, r2\n\t")
      "ldm sp, {r0, r2, r3, r4, r5, r6, r7, r8, lr}\n\t"
      DOUBLED("r9", "r0", "r2", "r5", "r6") DOUBLED("r10", "r0", "r2", "r5", "r6")
      DOUBLED("r11", "r3", "r4", "r5", "r6") DOUBLED("r12", "r3", "r4", "r5", "r6")
      "strb r9, [r7]\n\t strb r11, [r7, #1]\n\t strb r10, [r8]\n\t strb r12, [r8, #1]\n\t"
      "ldrd r0, r2, [sp, #56]\n\t add r7, r7, r0\n\t add r8, r8, r0\n\t add r1, r1, r2\n\t"
      "strd r7, r8, [sp, #24]\n\t subs lr, lr, #1\n\t str lr, [sp, #32]\n\t bne 1b\n\t"
      "add sp, sp, #72\n\t pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}");
}

COLD static void slide(const operation *p) {
  uint32_t *const x = (uint32_t *)(void *)AT(p->scratch);
  const int32_t length = p->ow, step = p->result_step, piece = p->kw * p->c, out = p->out, joined = p->joined;
  const int32_t along_step = p->dh ? step : p->oh * step, line_step = p->dh ? length * step : step, next = p->sw * p->c;
  lines k;
  k.skipped = -(piece / 4) & 3, k.fours = piece / 4 + k.skipped, k.more = 4 * (next - piece);
  k.zero = p->middle - p->middle_low, k.low = p->middle_low, k.step = joined ? out : along_step;
  for (int32_t line = 0; line < p->oh; line += 2)
    for (int32_t first = 0, count; first < length; first += count) {
      count = p->band < length - first ? p->band : length - first;
      uint8_t *one = AT(p->result) + line * line_step + first * along_step;
      int32_t apart = line_step;
      for (int32_t i = 0; i < 2; i++) lay(p, line + i, first, count, x + 2 * i);
      if (joined) one = (uint8_t *)(x + (count - 1) * next + piece), apart = count * out;
      k.w = weight + p->weights;
      for (int32_t o = 0, at = p->first; o < out; o += 2, at += 2, k.w += 2 * piece) {
        const int32_t s = shift[at], s2 = shift[at + 1];
        k.b = bias[at], k.b2 = bias[at + 1], k.s = s < 0 ? 0 : s, k.s2 = s2 < 0 ? 0 : s2;
        k.up = k.s - s, k.up2 = k.s2 - s2;
        k.m = (int32_t)((uint32_t)mantissa[at] << 1), k.m2 = (int32_t)((uint32_t)mantissa[at + 1] << 1);
        k.one = one + o, k.two = k.one + apart, k.left = count;
        along(&k, x);
      }
      @JOINLINES@
    }
}
#else
/* A part of a line as bytes. */
static void lay(const operation *p, const stretch *s, uint8_t *to) {
  const uint8_t *from = s->from;
  to = fill(to, &p->zero, s->before * p->c);
  for (int32_t i = s->inside; i > 0; i--, from += s->step, to += p->c) memcpy(to, from, p->c);
  fill(to, &p->zero, s->after * p->c);
}

static void slide(const operation *p) {
  const int32_t c = p->c, step = p->joined ? p->out : PIXEL(p, 0, p->oh, 1, p->ow) * p->result_step;
  for (int32_t line = 0; line < p->oh; line++)
    for (int32_t first = 0; first < p->ow; first += p->band) {
      const int32_t count = p->band < p->ow - first ? p->band : p->ow - first;
      const stretch part = stretch_of(p, line, first, count);
      /* windows of one pixel, and those whose pixels lie beside each other, are read where they are */
      const int here = part.before + part.after == 0 && (p->kw == 1 || part.step == c);
      const uint8_t *column = here ? part.from : AT(p->scratch);
      uint8_t *one = AT(p->result) + PIXEL(p, line, p->oh, first, p->ow) * p->result_step;
      if (!here) lay(p, &part, AT(p->scratch));
      if (p->joined) one = AT(p->scratch) + 4 * ((count - 1) * p->sw + p->kw) * c;
      for (int32_t i = 0; i < count; i++, column += p->sw * (here ? part.step : c))
        multiply(p, column, p->kw * c / 4, one + i * step);
      @JOINLINE@
    }
}
#endif
"""

JOIN_LINES = """if (p->joined)
        for (int32_t i = 0; i < 2; i++, one += count * p->out) add_line(p, line + i, first, count, one);"""
JOIN_LINE = "if (p->joined) add_line(p, line, first, count, one);"

ADD_LINE = r"""
/* The results of a part of a line, which stand at `u`, plus what they are to be added to. */
static void add_line(const operation *p, int32_t line, int32_t first, int32_t count, const uint8_t *u) {
  const int whole = p->dh && p->result_step == p->out && p->second_step == p->out;
  for (int32_t i = 0, many = whole ? count : 1; i < count; i += many, u += many * p->out) {
    const int32_t at = PIXEL(p, line, p->oh, first + i, p->ow);
    added(p, u, p->middle, AT(p->second) + at * p->second_step, AT(p->result) + at * p->result_step, many * p->out);
  }
}
"""

DENSE = r"""
#ifdef DSP
/* Bytes 1 and 3 as signed 16 bits each. */
static inline int16x2_t odd_signed(uint32_t x) {
  int16x2_t y;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(y) : "r"(x));
  return y;
}
#endif

/* A layer over one pixel. */
static void dense(const operation *p) {
  const int32_t fours = (p->c + 3) / 4;
#ifdef DSP
  const int32_t *b = bias + p->first, *m = mantissa + p->first, zero = p->middle, low = p->middle_low;
  const int8_t *w = weight + p->weights, *r = shift + p->first;
  uint8_t *to = AT(p->result);
  for (int32_t o = 0; o < p->out; o += 2) {
    int32_t s = b[o], t = b[o + 1];
    const uint8_t *x = AT(p->source);
    for (int32_t k = fours; k > 0; k--, w += 8, x += 4) {
      const uint32_t four = word(x), even = __uxtb16(four), odd = odd_unsigned(four), u = word(w), v = word(w + 4);
      s = __smlad(__sxtb16(u), (int32_t)even, s), s = __smlad(odd_signed(u), (int32_t)odd, s);
      t = __smlad(__sxtb16(v), (int32_t)even, t), t = __smlad(odd_signed(v), (int32_t)odd, t);
    }
    to[o] = (uint8_t)result(s, m[o], r[o], zero, low);
    if (o + 1 < p->out) to[o + 1] = (uint8_t)result(t, m[o + 1], r[o + 1], zero, low);
  }
#else
  multiply(p, AT(p->source), fours, AT(p->result));
#endif
}
"""
