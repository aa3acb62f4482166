/* Rows of maps: into padded places and back, parts of concatenations. Included once by each kernel set, behind its vector
 * macros; a set may bring its own `copy_row` and `split_row` and say so with OWN_ROWS. */

static inline uint64_t load64(const uint8_t *p) {
  uint64_t x;
  memcpy(&x, p, 8);
  return x;
}

static inline void store64(uint8_t *p, uint64_t x) { memcpy(p, &x, 8); }

#define BYTES(x) (0x0101010101010101ull * (uint64_t)(x))

#if !defined(OWN_ROWS)
/* Copy `width` bytes exactly; short rows without a call. */
static inline void copy_row(uint8_t *to, const uint8_t *from, uint32_t width) {
  if (width >= 16) {
    uint32_t i = 0;
    for (; i + 16 <= width; i += 16) memcpy(to + i, from + i, 16);
    memcpy(to + width - 16, from + width - 16, 16);
  } else if (width >= 8) {
    uint64_t head = load64(from), tail = load64(from + width - 8);
    store64(to, head), store64(to + width - 8, tail);
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
    uint64_t x = load64(from + i);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint32_t low = half_of(x), high = half_of(x >> 8);
    memcpy(even, &low, 4), memcpy(odd, &high, 4);
#else
    (void)x;
    for (int k = 0; k < 4; k++) even[k] = from[i + 2 * k], odd[k] = from[i + 2 * k + 1];
#endif
  }
}
#endif

static inline void pad_plain(const pn_window *window, const uint8_t *plane, uint32_t h, uint32_t w, uint8_t *to) {
  size_t pitch = window->pitch;
  to += window->ph * pitch + window->pw;
  for (uint32_t y = 0; y < h; y++, plane += w, to += pitch) copy_row(to, plane, w);
}

static inline void pad_halves(const pn_window *window, const uint8_t *plane, uint32_t h, uint32_t w, uint8_t *to) {
  size_t even = (window->pw & 1 ? window->phase : 0) + window->pw / 2;
  size_t odd = (window->pw & 1 ? 0 : window->phase) + (window->pw + 1) / 2;
  for (uint32_t y = window->ph; y < h + window->ph; y++, plane += w) {
    uint8_t *row = to + (y & 1 ? 2 * window->phase : 0) + (size_t)(y / 2) * window->pitch;
    split_row(row + even, row + odd, plane, w);
  }
}

static void pad_phases(const pn_window *window, const uint8_t *plane, uint32_t h, uint32_t w, uint8_t *padded) {
  uint32_t s = window->stride;
  for (uint32_t y = window->ph; y < h + window->ph; y++, plane += w)
    for (uint32_t r = 0; r < s && r < w; r++) {
      uint32_t x = r + window->pw;
      uint8_t *to = padded + ((size_t)(y % s) * s + x % s) * window->phase + (size_t)(y / s) * window->pitch + x / s;
      for (uint32_t i = 0; i < (w - r + s - 1) / s; i++) to[i] = plane[r + i * s];
    }
}

/* Copy `count` planes of h x w bytes into their padded, phase-split places. What stands in the padding afterwards is
 * undefined: whoever reads it uses the window's `inside`. Rows go in order, so what one writes too far is overwritten or
 * padding. */
static void pad_planes(const pn_window *window, const uint8_t *plane, uint32_t count, uint32_t h, uint32_t w,
                       uint8_t *padded) {
  for (uint32_t i = 0; i < count; i++, plane += (size_t)h * w, padded += window->size) {
    if (window->stride == 1)
      pad_plain(window, plane, h, w, padded);
    else if (window->stride == 2 && w > 1)
      pad_halves(window, plane, h, w, padded);
    else
      pad_phases(window, plane, h, w, padded);
  }
}

/* Drop what lies between rows: `rows` rows of `width` bytes, `pitch` apart. */
static void crop_plane(const uint8_t *from, uint32_t rows, uint32_t width, size_t pitch, uint8_t *to) {
  if (pitch == width) {
    memcpy(to, from, (size_t)rows * width);
    return;
  }
  for (uint32_t y = 0; y < rows; y++, from += pitch, to += width) copy_row(to, from, width);
}

/* The same, or-ed in `shift` channels higher; what leaves the byte goes to the plane `next`, if there is one. */
static void merge_plane(const uint8_t *from, uint32_t rows, uint32_t width, size_t pitch, unsigned shift, uint8_t *to,
                        uint8_t *next) {
  for (uint32_t y = 0; y < rows; y++, from += pitch, to += width) {
    for (uint32_t x = 0; x < width; x++) to[x] |= (uint8_t)(from[x] << shift);
    if (!next) continue;
    for (uint32_t x = 0; x < width; x++) next[x] |= (uint8_t)(from[x] >> (8 - shift));
    next += width;
  }
}

/* Pixels as the integers 2 x - 255; 0 outside the image. */
static void center_pixels(const uint8_t *restrict padded, const uint8_t *restrict inside, size_t size,
                          int16_t *restrict values) {
  for (size_t i = 0; i < size; i++) values[i] = (int16_t)((2 * padded[i] - 255) & -(inside[i] & 1));
}
