/* Parts of a kernel set that the compiler vectorises by itself, and the depthwise kernel. Included once by each
 * kernel set, behind its vector macros. */
#include <string.h>

#if !defined(AGREE) /* where inside, the bits that are equal */
#define AGREE(x, w, inside) ANDNOT(XOR(x, w), inside)
#endif

#include "rows.inc.h"

/* One 16-byte table: entry i < 8 says how many of 3 bits i agree with the weights, ones of 8 channels; i + 8 twos. */
static inline void expand_one(uint8_t *table, uint8_t w0, uint8_t w1, uint8_t w2) {
  uint64_t a = ~(BYTES(w0) ^ 0xff00ff00ff00ff00ull), b = ~(BYTES(w1) ^ 0xffff0000ffff0000ull),
           c = ~(BYTES(w2) ^ 0xffffffff00000000ull);
  store64(table, a ^ b ^ c);
  store64(table + 8, (a & b) | (c & (a | b)));
}

/* Tables of `real` groups for a shape whose vector holds `lanes` lanes: each 16 bytes belong to one lane. */
static inline void expand_any(int lanes, int bytes, uint8_t *table, const uint8_t *weights, int real) {
  int chunks = bytes / 16;
  for (int g = 0; g < real; g++, weights += 3 * lanes)
    for (int i = 0; i < chunks; i++, table += 16) {
      int lane = i * lanes / chunks;
      expand_one(table, weights[lane], weights[lanes + lane], weights[2 * lanes + lane]);
    }
}

/* Three channels of padded bit planes make one index plane: `channels` bits in bytes of 8, planes of `size` bytes.
 * Bits behind the last channel are zero. `pads` holds 128 outside the image. */
static void index_bits(const uint8_t *restrict padded, size_t size, uint32_t channels, const uint8_t *restrict pads,
                       uint8_t *restrict index, size_t carry) {
  uint32_t bytes = (channels + 7) / 8;
  for (uint32_t bit = 0; bit < channels; bit += 3, index += size) {
    const uint8_t *a = padded + (bit / 8) * size, *b = bit / 8 + 1 < bytes ? a + size : a;
    unsigned shift = bit % 8;
    uint64_t low = BYTES(0xff >> shift & 7), high = BYTES(bit / 8 + 1 < bytes ? 7 & ~(0xff >> shift) : 0);
    for (size_t i = 0; i < size; i += 8) {
      uint64_t x = (load64(a + i) >> shift & low) | (load64(b + i) << (8 - shift) % 64 & high) | load64(pads + i);
      store64(index + i, x);
      store64(index + carry + i, x | BYTES(8));
    }
  }
}

/* The same for 8-bit channels: the index planes of bit 7 first, those of bit 0 last. */
static void index_image(const uint8_t *restrict padded, size_t size, uint32_t channels, const uint8_t *restrict pads,
                        uint8_t *restrict index, size_t carry) {
  for (int bit = 7; bit >= 0; bit--)
    for (uint32_t c = 0; c < channels; c += 3, index += size) {
      const uint8_t *r = padded + c * size, *g = c + 1 < channels ? r + size : r, *b = c + 2 < channels ? g + size : r;
      uint64_t green = c + 1 < channels ? BYTES(1) : 0, blue = c + 2 < channels ? BYTES(1) : 0;
      for (size_t i = 0; i < size; i += 8) {
        uint64_t x = (load64(r + i) >> bit & BYTES(1)) | (load64(g + i) >> bit & green) << 1 |
                     (load64(b + i) >> bit & blue) << 2 | load64(pads + i);
        store64(index + i, x);
        store64(index + carry + i, x | BYTES(8));
      }
    }
}

/* Max pooling of one plane of pixels, those outside counting as zero. */
static void pool_pixels(const uint8_t *restrict plane, const uint8_t *restrict inside, const int32_t *offset, int taps,
                        int positions, uint8_t *restrict out) {
  memset(out, 0, (size_t)positions);
  for (int t = 0; t < taps; t++) {
    const uint8_t *from = plane + offset[t], *mask = inside + offset[t];
    for (int i = 0; i < positions; i++) {
      uint8_t x = from[i] & mask[i];
      out[i] = out[i] > x ? out[i] : x;
    }
  }
}

/* The same of bits: or. Without `inside` no tap lies outside. */
static void pool_bits(const uint8_t *restrict plane, const uint8_t *restrict inside, const int32_t *offset, int taps,
                      int positions, uint8_t *restrict out) {
  for (int at = 0; at < positions; at += VB) {
    V any = ZERO;
    for (int t = 0; t < taps; t++) {
      V x = LOAD(plane + offset[t] + at);
      any = OR(any, inside ? AND(x, LOAD(inside + offset[t] + at)) : x);
    }
    SAVE(out + at, any);
  }
}

#include "pixels.inc.h"

/* One byte of 8 channels, each with its own kernel; VB positions at once. Behind the last tap comes the one that is added
 * where an odd number of taps lies outside. */
static inline __attribute__((always_inline)) V agree(const pn_depthwise_job *job, int taps, int tap, int at) {
  if (tap > taps) return ZERO;
  if (tap == taps) return job->odd ? AND(LOAD(job->odd + at), FILL(job->odd_lanes)) : ZERO;
  V x = LOAD(job->plane + job->offset[tap] + at), inside = LOAD(job->mask + job->offset[tap] + at);
  return AGREE(x, FILL(job->weights[tap]), inside);
}

static inline V add_planes(V *sum, V a, V b) {
  V s = *sum, carry = MAJ(s, a, b);
  *sum = XOR3(s, a, b);
  return carry;
}

#include "dense.inc.h"

/* Four taps into ones and twos; what leaves them comes back. */
static inline __attribute__((always_inline)) V four_taps(const pn_depthwise_job *job, int taps, int t, int at, V *p) {
  V a = add_planes(&p[0], agree(job, taps, t, at), agree(job, taps, t + 1, at));
  V b = t + 2 > taps ? ZERO : add_planes(&p[0], agree(job, taps, t + 2, at), agree(job, taps, t + 3, at));
  return add_planes(&p[1], a, b);
}

static inline __attribute__((always_inline)) void depthwise_of(const pn_depthwise_job *job, int taps, int planes) {
  for (int at = 0; at < job->positions; at += VB) {
    V p[PN_MAX_PLANES], ge = ONES;
    for (int b = 0; b < planes || b < 3; b++)
      p[b] = job->start && b < planes ? LOAD(job->start + b * job->start_stride + at) : ZERO;
    for (int t = 0; t <= taps; t += 8) {
      V c = four_taps(job, taps, t, at, p), d = t + 4 > taps ? ZERO : four_taps(job, taps, t + 4, at, p);
      c = add_planes(&p[2], c, d);
      for (int b = 3; b < planes; b++) {
        V next = AND(p[b], c);
        p[b] = XOR(p[b], c);
        c = next;
      }
    }
    for (int b = 0; b < planes; b++) ge = GE(p[b], FILL(job->threshold[b]), ge);
    SAVE(job->out + at, ge);
  }
}

/* The usual windows with their sizes known to the compiler: 3x3, 5x5 and 7x7. */
static void depthwise(const pn_depthwise_job *job) {
  if (job->taps == 9 && job->planes == 4)
    depthwise_of(job, 9, 4);
  else if (job->taps == 25 && job->planes == 5)
    depthwise_of(job, 25, 5);
  else if (job->taps == 49 && job->planes == 6)
    depthwise_of(job, 49, 6);
  else
    depthwise_of(job, job->taps, job->planes);
}
