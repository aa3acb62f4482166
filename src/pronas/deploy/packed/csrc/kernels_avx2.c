/* AVX2: 32-byte vectors; a full adder is five instructions. */
#include "internal.h"

#if defined(__x86_64__) && defined(__AVX2__)
#include <immintrin.h>

#define V __m256i
#define VB 32
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#define SAVE(p, v) _mm256_storeu_si256((__m256i *)(p), v)
#define FILL(byte) _mm256_set1_epi8((char)(byte))
#define ZERO _mm256_setzero_si256()
#define ONES _mm256_set1_epi64x(-1)
#define XOR(a, b) _mm256_xor_si256(a, b)
#define AND(a, b) _mm256_and_si256(a, b)
#define OR(a, b) _mm256_or_si256(a, b)
#define ANDNOT(a, b) _mm256_andnot_si256(a, b)
#define XOR3(a, b, c) XOR(XOR(b, c), a)
#define MAJ(a, b, c) OR(AND(b, c), AND(a, XOR(b, c)))
#define GE(p, t, ge) OR(ANDNOT(t, p), ANDNOT(XOR(p, t), ge))
#define MANY 1
#include "common.inc.h"

static inline V spread16(const uint8_t *p) { return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p)); }

static inline void store16(const pn_conv_job *job, int at, V v) {
  _mm_storeu_si128((__m128i *)(job->out + at), _mm256_castsi256_si128(v));
  if (job->lanes > 1) _mm_storeu_si128((__m128i *)(job->out + job->out_stride + at), _mm256_extracti128_si256(v, 1));
}

static inline V weight_bytes(const uint8_t *weights, V lane) {
  uint16_t w;
  memcpy(&w, weights, 2);
  return _mm256_shuffle_epi8(_mm256_set1_epi16((short)w), lane);
}

/* Two tables at once: three weight bytes of each lane, repeated over its 16 bytes. */
static inline void expand2(uint8_t *table, const uint8_t *weights, int real) {
  const V lane = _mm256_set_epi64x(0x0101010101010101, 0x0101010101010101, 0, 0);
  const V x0 = _mm256_set1_epi64x(0x00ff00ff00ff00ff), x1 = _mm256_set1_epi64x(0x0000ffff0000ffff),
          x2 = _mm256_set1_epi64x(0x00000000ffffffff);
  for (int g = 0; g < real; g++, weights += 6, table += 32) {
    V a = XOR(weight_bytes(weights, lane), x0), b = XOR(weight_bytes(weights + 2, lane), x1);
    V c = XOR(weight_bytes(weights + 4, lane), x2);
    SAVE(table, _mm256_blend_epi32(XOR3(a, b, c), MAJ(a, b, c), 0xcc));
  }
}

#define EXPAND(lanes, bytes, table, weights, real) expand2(table, weights, real)
#define NAME(x) x##_16
#define LANES 2
#define POS 16
#define TABLE 32
#define LOOK(table, at) _mm256_shuffle_epi8(LOAD(table), spread16(at))
#define SPREAD(p) spread16(p)
#define STORE(job, at, v) store16(job, at, v)
#include "conv.inc.h"
#undef EXPAND

#define EXPAND(lanes, bytes, table, weights, real) expand_any(lanes, bytes, table, weights, real)
#define NAME(x) x##_32
#define LANES 1
#define POS 32
#define TABLE 16
#define LOOK(table, at) _mm256_shuffle_epi8(spread16(table), LOAD(at))
#define SPREAD(p) LOAD(p)
#define STORE(job, at, v) SAVE((job)->out + (at), v)
#include "conv.inc.h"

/* Set bits of each 64-bit lane, by nibble (Mula et al. 2018, Faster population counts using AVX2, section 4). */
static inline V count64(V x) {
  const V bits = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
  const V nibble = _mm256_set1_epi8(15);
  V low = _mm256_shuffle_epi8(bits, AND(x, nibble));
  V high = _mm256_shuffle_epi8(bits, AND(_mm256_srli_epi16(x, 4), nibble));
  return _mm256_sad_epu8(_mm256_add_epi8(low, high), ZERO);
}

static void dense(const uint8_t *x, const uint8_t *weights, int rows, size_t bytes, int32_t *mismatches) {
  for (int r = 0; r < rows; r++, weights += bytes) {
    V total = ZERO, ones = ZERO, twos = ZERO;
    size_t i = 0;
    for (; i + 128 <= bytes; i += 128) {
      V a = XOR(LOAD(x + i), LOAD(weights + i)), b = XOR(LOAD(x + i + 32), LOAD(weights + i + 32));
      V c = XOR(LOAD(x + i + 64), LOAD(weights + i + 64)), d = XOR(LOAD(x + i + 96), LOAD(weights + i + 96));
      V t = add_planes(&ones, a, b), u = add_planes(&ones, c, d);
      total = _mm256_add_epi64(total, count64(add_planes(&twos, t, u)));
    }
    if (i) {
      total = _mm256_slli_epi64(total, 2);
      total = _mm256_add_epi64(total, _mm256_add_epi64(count64(ones), _mm256_slli_epi64(count64(twos), 1)));
    }
    for (; i < bytes; i += 32) total = _mm256_add_epi64(total, count64(XOR(LOAD(x + i), LOAD(weights + i))));
    __m128i half = _mm_add_epi64(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
    mismatches[r] = (int32_t)(_mm_cvtsi128_si64(half) + _mm_extract_epi64(half, 1));
  }
}

static int available(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2");
}

static const pn_mode_t *const modes[] = {&mode_16, &mode_32};
const pn_kernels_t pn_avx2 = {"avx2", available, modes, 2, VB, depthwise, dense, dense_rows, set_bits,
    index_bits, index_image, pool_bits, pool_pixels, sum_pixels, center_pixels, pad_planes, crop_plane, merge_plane};
#endif
