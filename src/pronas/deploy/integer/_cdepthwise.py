r"""The C of depthwise convolutions: one channel after another, its rows laid out as numbers of 16 bits with the zero point
around them, so that no window needs looking after.

On cores with DSP instructions four results of a row are made at once, two products an instruction; there is a function
for each width of window and each stride that a network has.
"""

from __future__ import annotations

import re

from pronas.deploy.integer._graph import Node

DEPTHWISE = r"""
/* What makes a channel's results: weights (in pairs of 16 bits, too), bias, multiplier, and halfwords from row to row. */
typedef struct {
  const int8_t *w;
  const uint32_t *pairs;
  int32_t row, b, m, s;
} channel;

/* One row of results, from the place of its first window on. */
static void line(const operation *p, const channel *k, const uint16_t *from, uint8_t *to) {
  const int32_t zero = p->middle, low = p->middle_low, kw = p->kw, dw = p->dw, more = p->dh * k->row - kw * dw;
  for (int32_t i = p->ow; i > 0; i--, from += p->sw, to += p->result_step) {
    int32_t sum = k->b;
    const int8_t *w = k->w;
    const uint16_t *x = from;
    for (int32_t a = p->kh; a > 0; a--, x += more)
      for (int32_t b = kw; b > 0; b--, x += dw) sum += *w++ * *x;
    *to = (uint8_t)result(sum, k->m, k->s, zero, low);
  }
}
@LINES@
/* Channel `c` of `count` rows of the map from row `y` on. */
static void spread(const operation *p, int32_t c, int32_t y, int32_t count, int32_t row, uint16_t *to) {
  const int32_t skip = p->pw < 0 ? -p->pw : 0, left = p->pw < 0 ? 0 : p->pw, step = p->step;
  const int32_t length = p->w - skip < row - left ? p->w - skip : row - left;
  for (int32_t a = 0; a < count; a++, y++, to += row) {
    if (y < 0 || y >= p->h) continue;
    const uint8_t *from = AT(p->source) + (y * p->w + skip) * step + c;
    uint16_t *x = to + left;
    int32_t n = length;
    for (; n >= 4; n -= 4, from += 4 * step, x += 4)
      x[0] = from[0], x[1] = from[step], x[2] = from[2 * step], x[3] = from[3 * step];
    for (; n > 0; n--, from += step) *x++ = *from;
  }
}

static void depthwise(const operation *p) {
  const int32_t row = (((p->ow + 3) & ~3) * p->sw + p->dw * (p->kw - 1) + 1) & ~1, window = p->dh * (p->kh - 1) + 1;
  uint16_t *const rows = (uint16_t *)(void *)AT(p->scratch);
  uint32_t *const pairs = (uint32_t *)(void *)(rows + ((p->band - 1) * p->sh + window) * row);
  void (*make)(const operation *, const channel *, const uint16_t *, uint8_t *) = line;
  @CHOOSE@
  for (int32_t top = 0; top < p->oh; top += p->band) {
    const int32_t count = p->band < p->oh - top ? p->band : p->oh - top, tall = (count - 1) * p->sh + window;
    for (int32_t i = 0; i < tall * row; i++) rows[i] = p->zero;
    for (int32_t c = 0; c < p->out; c++) {
      const int32_t at = p->first + c;
      const channel k = {weight + p->weights + c * p->kh * p->kw, pairs, row, bias[at], mantissa[at], shift[at]};
      spread(p, c, top * p->sh - p->ph, tall, row, rows);
      @PAIR@
      for (int32_t i = 0; i < count; i++)
        make(p, &k, rows + i * p->sh * row, AT(p->result) + (top + i) * p->ow * p->result_step + c);
    }
  }
}
"""

SHARED = r"""
#ifdef DSP
/* The next word. */
#define NEXT(a, from) __asm__ volatile("ldr %0, [%1], #4" : "=r"(a), "+r"(from) : : "memory")

/* The weights of each row as pairs: for windows that begin at an even place, and for those that begin at an odd one. */
static void pair(const operation *p, const int8_t *w, uint32_t *to) {
  for (int32_t a = p->kh; a > 0; a--) {
    uint32_t before = 0, first, second;
    for (int32_t b = p->kw; b >= 0; b -= 2) {
      first = b > 0 ? (uint16_t)*w++ : 0, second = b > 1 ? (uint16_t)*w++ : 0;
      *to++ = first | second << 16, *to++ = before | first << 16;
      before = second;
    }
  }
}
#endif
"""

_WIDEST = 8

# s and t, u and v: results whose windows begin at an even and at an odd place
_TAP = {
    1: ("NEXT(b, x)", "LOAD(e, o, w)", "s = __smlad(a, e, s), t = __smlad(a, o, t)",
        "u = __smlad(b, e, u), v = __smlad(b, o, v)"),
    2: ("NEXT(d, x)", "LOAD(e, o, w)", "s = __smlad(a, e, s), t = __smlad(b, e, t)",
        "u = __smlad(c, e, u), v = __smlad(d, e, v)"),
}  # fmt: skip
_WINDOW = {1: "ab", 2: "abcd"}  # words that one pair of taps is multiplied with


def line(taps: int, stride: int) -> str:
    """The C function ``line_TAPS_STRIDE``: rows of results from so many pairs of taps."""
    names = _WINDOW[stride]
    lines = [f"NEXT({name}, x)" for name in _WINDOW[stride][:-1]]
    for turn in range(taps):  # each tap reads one word more; names move on instead of values
        turned = {name: names[(place + turn) % len(names)] for place, name in enumerate(names)}
        for text in _TAP[stride]:
            lines.append(re.sub(r"\((\w),", lambda m, turned=turned: f"({turned.get(m[1], m[1])},", text))
    words, rows = taps + len(names) - 1, "\n".join(f"      {line};" for line in lines)
    return f"""
static void line_{taps}_{stride}(const operation *p, const channel *k, const uint16_t *from, uint8_t *to) {{
  const int32_t zero = p->middle, low = p->middle_low, step = p->result_step, more = p->dh * k->row / 2 - {words};
  const int32_t m = k->m, r = k->s;
  for (int32_t i = p->ow; i > 0; i -= 4, from += {4 * stride}) {{
    int32_t s = k->b, t = s, u = s, v = s;
    const uint32_t *x = (const uint32_t *)(const void *)from, *w = k->pairs;
    for (int32_t n = p->kh; n > 0; n--, x += more) {{
      uint32_t {", ".join(names)}, e, o;
{rows}
    }}
    *to = (uint8_t)result(s, m, r, zero, low), to += step;
    if (i > 1) *to = (uint8_t)result(t, m, r, zero, low), to += step;
    if (i > 2) *to = (uint8_t)result(u, m, r, zero, low), to += step;
    if (i > 3) *to = (uint8_t)result(v, m, r, zero, low), to += step;
  }}
}}
"""


def line_of(node: Node) -> tuple[int, int] | None:
    """(pairs of taps in a row, stride) of the function that makes a depthwise node's rows, or None for the general one."""
    (_, width), stride = node.kernel, node.stride[1]
    return (width // 2 + 1, stride) if node.dilation[1] == 1 and stride in _WINDOW and width <= _WIDEST else None


def depthwise_parts(lines: set[tuple[int, int]]) -> dict[str, str]:
    """What is filled into `DEPTHWISE` for a network with these functions."""
    if not lines:
        return {"LINES": "", "CHOOSE": "", "PAIR": ""}
    cases = [
        f"if (p->dw == 1 && p->sw == {s} && p->kw / 2 + 1 == {n}) make = line_{n}_{s};" for n, s in sorted(lines)
    ]
    return {
        "LINES": SHARED + "\n#ifdef DSP" + "".join(line(*which) for which in sorted(lines)) + "#endif\n",
        "CHOOSE": "\n".join(["#ifdef DSP", *(f"  {case}" for case in cases), "#endif"]),
        "PAIR": "#ifdef DSP\n      if (make != line) pair(p, k.w, pairs);\n#endif",
    }
