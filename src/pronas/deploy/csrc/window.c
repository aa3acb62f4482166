/* Windows over padded maps: where each tap lies, and which positions are inside the image. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* Zeroed, aligned for vectors, with slack behind. */
void *pn_take(size_t bytes) {
  size_t size = (bytes + PN_SLACK + 63) & ~(size_t)63;
  void *memory = aligned_alloc(64, size);
  if (memory) memset(memory, 0, size);
  return memory;
}

void pn_release(void *memory) { free(memory); }

/* Offset of the pixel that stands at (y, x) of the padded map. */
static size_t place(const pn_window *window, uint32_t y, uint32_t x) {
  uint32_t s = window->stride;
  return ((size_t)(y % s) * s + x % s) * window->phase + (size_t)(y / s) * window->pitch + x / s;
}

/* Output size, phases and tap offsets. Rows of unstrided maps share their side padding: a row's right padding is the next
 * row's left padding. Returns 0 when out of memory. */
int pn_window_init(pn_window *window, const pn_tensor_t *source) {
  uint32_t s = window->stride, height = source->h + 2 * window->ph, width = source->w + 2 * window->pw;
  window->oh = (height - window->kh) / s + 1;
  window->ow = (width - window->kw) / s + 1;
  window->rows = (height + s - 1) / s;
  window->pitch = s == 1 ? source->w + window->pw : (width + s - 1) / s;
  window->phase = (size_t)window->rows * window->pitch + (s == 1 ? window->pw : 8); /* split_row's room */
  window->size = ((size_t)s * s * window->phase + 7) & ~(size_t)7;
  window->positions = (int)((window->oh - 1) * window->pitch + window->ow);
  window->tap = malloc(sizeof(int32_t) * window->kh * window->kw);
  window->inside = pn_take(window->size);
  if (!window->tap || !window->inside) return 0;
  for (uint32_t y = 0; y < window->kh; y++)
    for (uint32_t x = 0; x < window->kw; x++) window->tap[y * window->kw + x] = (int32_t)place(window, y, x);
  for (uint32_t y = 0; y < source->h; y++)
    for (uint32_t x = 0; x < source->w; x++) window->inside[place(window, y + window->ph, x + window->pw)] = 255;
  return 1;
}

void pn_window_free(pn_window *window) {
  free(window->tap);
  pn_release(window->inside);
}

/* Copy `width` bytes exactly; short rows without a call. */
static inline void copy_row(uint8_t *to, const uint8_t *from, uint32_t width) {
  if (width >= 16) {
    uint32_t i = 0;
    for (; i + 16 <= width; i += 16) memcpy(to + i, from + i, 16);
    memcpy(to + width - 16, from + width - 16, 16);
  } else if (width >= 8) {
    uint64_t head, tail;
    memcpy(&head, from, 8), memcpy(&tail, from + width - 8, 8);
    memcpy(to, &head, 8), memcpy(to + width - 8, &tail, 8);
  } else {
    for (uint32_t i = 0; i < width; i++) to[i] = from[i];
  }
}

/* Every second byte of eight, the first in the lowest byte. */
static inline uint32_t half_of(uint64_t x) {
  x &= 0x00ff00ff00ff00ffull;
  x = (x | x >> 8) & 0x0000ffff0000ffffull;
  return (uint32_t)(x | x >> 16);
}

/* Split a row into its even and odd bytes; up to 3 bytes behind each half are overwritten. */
static inline void split_row(uint8_t *even, uint8_t *odd, const uint8_t *from, uint32_t width) {
  for (uint32_t i = 0; i < width; i += 8, even += 4, odd += 4) {
    uint64_t x;
    memcpy(&x, from + i, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint32_t low = half_of(x), high = half_of(x >> 8);
    memcpy(even, &low, 4), memcpy(odd, &high, 4);
#else
    for (int k = 0; k < 4; k++) even[k] = from[i + 2 * k], odd[k] = from[i + 2 * k + 1];
#endif
  }
}

/* Copy one plane of h x w bytes into its padded, phase-split place. What stands in the padding afterwards is undefined:
 * whoever reads it uses the window's `inside`. Rows go in order, so what one writes too far is overwritten or padding. */
void pn_pad(const pn_window *window, const uint8_t *plane, uint32_t h, uint32_t w, uint8_t *padded) {
  uint32_t s = window->stride;
  for (uint32_t y = 0; y < h; y++, plane += w) {
    uint32_t row = y + window->ph;
    if (s == 1) {
      copy_row(padded + place(window, row, window->pw), plane, w);
      continue;
    }
    if (s == 2 && w > 1) {
      split_row(padded + place(window, row, window->pw), padded + place(window, row, window->pw + 1), plane, w);
      continue;
    }
    for (uint32_t r = 0; r < s && r < w; r++) {
      uint8_t *to = padded + place(window, row, r + window->pw);
      for (uint32_t i = 0; i < (w - r + s - 1) / s; i++) to[i] = plane[r + i * s];
    }
  }
}

/* Drop what lies between rows: `rows` rows of `width` bytes, `pitch` apart. */
void pn_crop(const uint8_t *from, uint32_t rows, uint32_t width, size_t pitch, uint8_t *to) {
  if (pitch == width) {
    memcpy(to, from, (size_t)rows * width);
    return;
  }
  for (uint32_t y = 0; y < rows; y++, from += pitch, to += width) copy_row(to, from, width);
}
