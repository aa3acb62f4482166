/* Portable C: a vector is one 64-bit word, 64 output channels at one position. */
#include "internal.h"

#define V uint64_t
#define VB 8
#define LOAD(p) load64(p)
#define SAVE(p, v) store64(p, v)
#define FILL(byte) BYTES(byte)
#define ZERO 0
#define ONES (~(uint64_t)0)
#define XOR(a, b) ((a) ^ (b))
#define AND(a, b) ((a) & (b))
#define OR(a, b) ((a) | (b))
#define ANDNOT(a, b) (~(a) & (b))
#define XOR3(a, b, c) ((a) ^ (b) ^ (c))
#define MAJ(a, b, c) (((a) & (b)) | ((c) & ((a) ^ (b))))
#define GE(p, t, ge) (((p) & ~(t)) | (~((p) ^ (t)) & (ge)))
#define MANY 1
#include "common.inc.h"

/* Tables are [16 entries][8 lanes]: entry i of all lanes is one word. An index of 128 or more gives zero. */
static inline uint64_t look(const uint8_t *table, const uint8_t *index) {
  uint64_t outside = 0 - (uint64_t)(*index >> 7);
  return load64(table + 8 * (*index & 15)) & ~outside;
}

static inline void expand8(uint8_t *table, const uint8_t *weights, int real) {
  for (int g = 0; g < real; g++, weights += 24, table += 128)
    for (int i = 0; i < 8; i++) {
      uint64_t a = load64(weights) ^ (i & 1 ? 0 : ONES), b = load64(weights + 8) ^ (i & 2 ? 0 : ONES),
               c = load64(weights + 16) ^ (i & 4 ? 0 : ONES);
      store64(table + 8 * i, XOR3(a, b, c));
      store64(table + 64 + 8 * i, MAJ(a, b, c));
    }
}

static inline void store_word(const pn_conv_job *job, int at, uint64_t v) {
  for (int lane = 0; lane < job->lanes; lane++) job->out[(size_t)lane * job->out_stride + at] = ((uint8_t *)&v)[lane];
}

#define EXPAND(lanes, bytes, table, weights, real) expand8(table, weights, real)
#define NAME(x) x##_word
#define LANES 8
#define POS 1
#define TABLE 128
#define LOOK(table, at) look(table, at)
#define SPREAD(p) BYTES(*(p))
#define STORE(job, at, v) store_word(job, at, v)
#include "conv.inc.h"

static int count64(uint64_t x) {
  x -= x >> 1 & 0x5555555555555555ull;
  x = (x & 0x3333333333333333ull) + (x >> 2 & 0x3333333333333333ull);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full;
  return (int)(x * BYTES(1) >> 56);
}

static void dense(const uint8_t *x, const uint8_t *weights, int rows, size_t bytes, int32_t *mismatches) {
  for (int r = 0; r < rows; r++, weights += bytes) {
    uint64_t ones = 0, twos = 0;
    int fours = 0;
    for (size_t i = 0; i < bytes; i += 32) {
      uint64_t t = add_planes(&ones, load64(x + i) ^ load64(weights + i), load64(x + i + 8) ^ load64(weights + i + 8));
      uint64_t u =
          add_planes(&ones, load64(x + i + 16) ^ load64(weights + i + 16), load64(x + i + 24) ^ load64(weights + i + 24));
      fours += count64(add_planes(&twos, t, u));
    }
    mismatches[r] = 4 * fours + 2 * count64(twos) + count64(ones);
  }
}

static int available(void) { return 1; }

static const pn_mode_t *const modes[] = {&mode_word};
const pn_kernels_t pn_portable = {"portable", available, modes, 1, VB, depthwise, dense, dense_rows, set_bits,
    index_bits, index_image, pool_bits, pool_pixels, sum_pixels, center_pixels, pad_planes, crop_plane, merge_plane};
