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
