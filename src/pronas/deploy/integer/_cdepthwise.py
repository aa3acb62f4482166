r"""The C of depthwise convolutions: one channel after another, its rows laid out as numbers of 16 bits with the zero
point around them, so that no window needs looking after.

On cores with DSP instructions four results of a row are made at once, two products an instruction; there is a function
for each width of window and each stride that a network has, in assembly as in `_cconv`.
"""

from __future__ import annotations

from pronas.deploy.integer._graph import Node

DEPTHWISE = r"""
/* What makes a row of a channel's results: multiplier, zero point less the lowest result, bytes from pixel to pixel,
 * where it goes, its first window, its length, bias, weights as pairs of 16 bits, the window's rows, bytes from the end
 * of one to the next. The order matters up to there. */
typedef struct {
  int32_t m, s, zero, low, step;
  uint8_t *to;
  const uint16_t *from;
  int32_t left, b;
  const uint32_t *pairs;
  int32_t kh, more;
  const int8_t *w;
  const operation *p;
} channel;

@LINES@
static void line(channel *k) {
  const operation *p = k->p;
  const int32_t kw = p->kw, dw = p->dw, more = k->more / 2;
  for (int32_t i = k->left; i > 0; i--, k->from += p->sw, k->to += k->step) {
    int32_t sum = k->b;
    const int8_t *w = k->w;
    const uint16_t *x = k->from;
    for (int32_t a = k->kh; a > 0; a--, x += more) {
      int32_t b = kw;
      if (dw == 1)
        for (; b >= 3; b -= 3, w += 3, x += 3) sum += w[0] * x[0] + w[1] * x[1] + w[2] * x[2];
      for (; b > 0; b--, x += dw) sum += *w++ * *x;
    }
    *k->to = (uint8_t)result(sum, k->m, k->s, k->zero + k->low, k->low);
  }
}

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
  void (*make)(channel *) = line;
  int32_t read = p->dw * p->kw;
@CHOOSE@
  channel k = {0, 0, p->middle - p->middle_low, p->middle_low, p->result_step, 0, 0, 0, 0, pairs, p->kh,
               2 * (p->dh * row - read), 0, p};
  for (int32_t top = 0; top < p->oh; top += p->band) {
    const int32_t count = p->band < p->oh - top ? p->band : p->oh - top, tall = (count - 1) * p->sh + window;
    for (int32_t i = 0; i < tall * row; i++) rows[i] = p->zero;
    for (int32_t c = 0; c < p->out; c++) {
      k.w = weight + p->weights + c * p->kh * p->kw;
      k.b = bias[p->first + c], k.m = mantissa[p->first + c], k.s = shift[p->first + c];
      spread(p, c, top * p->sh - p->ph, tall, row, rows);
@PAIR@
      for (int32_t i = 0; i < count; i++) {
        k.from = rows + i * p->sh * row, k.to = AT(p->result) + (top + i) * p->ow * p->result_step + c, k.left = p->ow;
        make(&k);
      }
    }
  }
}
"""

_PAIR = r"""
/* The weights of each row as pairs: for windows that begin at an even place, and for those that begin at an odd one. */
static void pair(const int8_t *w, int32_t kh, int32_t kw, uint32_t *to) {
  for (; kh > 0; kh--) {
    uint32_t before = 0;
    for (int32_t b = kw; b >= 0; b -= 2) {
      const uint32_t first = b > 0 ? (uint16_t)*w++ : 0, second = b > 1 ? (uint16_t)*w++ : 0;
      *to++ = first | second << 16, *to++ = before | first << 16;
      before = second;
    }
  }
}

/* A result from its sum. */
#define MAKE(x) DOUBLED(x, "r0", "r1", "r2", "r3")
#define LEFT(x) "lsl " x ", " x ", r1\n\t"
"""

_WINDOW = {1: 2, 2: 4}
"""Words that four windows beside each other read for one pair of taps, by stride."""

_WIDEST = 8


def line(taps: int, stride: int) -> str:
    """The C function ``line_TAPS_STRIDE``: rows of results from so many pairs of taps.

    Words of the map stand in r4 to r7, sums in r8 to r11, pairs of weights in r12 and lr.
    """
    words, turns = taps + _WINDOW[stride] - 1, list[str]()
    first = ", ".join(f"r{4 + n}" for n in range(min(words, 4)))
    turns.append(f"ldm r0!, {{{first}}}")
    for tap in range(taps):
        last = tap + _WINDOW[stride] - 1
        if last >= 4:
            turns.append(f"ldr r{4 + last % 4}, [r0], #4")
        turns.append("ldrd r12, lr, [r1], #8" if stride == 1 else "ldr r12, [r1], #8")
        for n in range(4):
            word, pair = (tap + n // 2, ("r12", "lr")[n % 2]) if stride == 1 else (tap + n, "r12")
            turns.append(f"smlad r{8 + n}, r{4 + word % 4}, {pair}, r{8 + n}")
    rows = "\n".join(f'      "{turn}\\n\\t"' for turn in turns)
    return _LINE.replace("@NAME@", f"line_{taps}_{stride}").replace("@ROW@", rows).replace("@BYTES@", str(8 * stride))


_LINE = r"""
NAKED static void @NAME@(UNUSED channel *k) {
  __asm__ volatile(
      "push {r0, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t mov lr, r0\n"
      "1:\n\t ldr r0, [lr, #24]\n\t ldrd r8, r1, [lr, #32]\n\t ldrd r2, r3, [lr, #40]\n\t"
      "mov r9, r8\n\t mov r10, r8\n\t mov r11, r8\n"
      "2:\n\t"
@ROW@
      "add r0, r0, r3\n\t subs r2, r2, #1\n\t bne 2b\n\t"
      "ldr lr, [sp]\n\t ldm lr, {r0, r1, r2, r3, r4, r5, r6}\n\t"
      LEFTWARD("cmp r1, #0\n\t bge 3f\n\t rsb r1, r1, #0\n\t" LEFT("r8") LEFT("r9") LEFT("r10") LEFT("r11")
               "mov r1, #0\n3:\n\t")
      "ldr r7, [lr, #28]\n\t lsl r0, r0, #1\n\t" MAKE("r8") MAKE("r9") MAKE("r10") MAKE("r11")
      "subs r7, r7, #4\n\t blt 4f\n\t"
      "strb r8, [r5]\n\t strb r9, [r5, r4]\n\t add r5, r5, r4, lsl #1\n\t"
      "strb r10, [r5]\n\t strb r11, [r5, r4]\n\t add r5, r5, r4, lsl #1\n\t"
      "add r6, r6, #@BYTES@\n\t strd r5, r6, [lr, #20]\n\t str r7, [lr, #28]\n\t bne 1b\n\t"
      "b 5f\n"
      "4:\n\t strb r8, [r5]\n\t cmp r7, #-3\n\t ble 5f\n\t strb r9, [r5, r4]\n\t"
      "cmp r7, #-2\n\t ble 5f\n\t strb r10, [r5, r4, lsl #1]\n"
      "5:\n\t pop {r0, r4, r5, r6, r7, r8, r9, r10, r11, pc}");
}
"""


def line_of(node: Node) -> tuple[int, int] | None:
    """(pairs of taps in a row, stride) of the function that makes a depthwise node's rows, None for the general one."""
    width, stride = node.kernel[1], node.stride[1]
    return (width // 2 + 1, stride) if node.dilation[1] == 1 and stride in _WINDOW and width <= _WIDEST else None


def depthwise_parts(lines: set[tuple[int, int]]) -> dict[str, str]:
    """What is filled into `DEPTHWISE` for a network with these functions."""
    if not lines:
        return {"LINES": "", "CHOOSE": "", "PAIR": ""}
    cases = [
        f"  if (p->dw == 1 && p->sw == {stride} && p->kw / 2 + 1 == {taps}) "
        f"make = line_{taps}_{stride}, read = {2 * (taps + _WINDOW[stride] - 1)};"
        for taps, stride in sorted(lines)
    ]
    return {
        "LINES": "\n".join(["#ifdef DSP", _PAIR, *(line(*which) for which in sorted(lines)), "#endif"]),
        "CHOOSE": "\n".join(["#ifdef DSP", *cases, "#endif"]),
        "PAIR": "#ifdef DSP\n      if (make != line) pair(k.w, p->kh, p->kw, pairs);\n#endif",
    }
