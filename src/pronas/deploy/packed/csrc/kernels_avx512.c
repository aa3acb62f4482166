/* AVX-512 (F, BW): 64-byte vectors; ternary logic makes a full adder of two instructions. */
#include "internal.h"

#if defined(__x86_64__) && defined(__AVX512BW__)
#include <immintrin.h>

#define V __m512i
#define VB 64
#define LOAD(p) _mm512_loadu_si512((const void *)(p))
#define SAVE(p, v) _mm512_storeu_si512((void *)(p), v)
#define FILL(byte) _mm512_set1_epi8((char)(byte))
#define ZERO _mm512_setzero_si512()
#define ONES _mm512_set1_epi64(-1)
#define XOR(a, b) _mm512_xor_si512(a, b)
#define AND(a, b) _mm512_and_si512(a, b)
#define OR(a, b) _mm512_or_si512(a, b)
#define ANDNOT(a, b) _mm512_andnot_si512(a, b) /* ~a & b */
#define XOR3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)
#define MAJ(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0xe8)
#define GE(p, t, ge) _mm512_ternarylogic_epi64(p, t, ge, 0xb2)
#define AGREE(x, w, inside) _mm512_ternarylogic_epi64(x, w, inside, 0x82)
#define MANY 2

#define OWN_ROWS
static inline uint64_t first_bytes(uint32_t count) { return ~0ull >> (64 - count); }

/* No wider than needed: a load waits for every store that it overlaps. */
static inline void copy_row(uint8_t *to, const uint8_t *from, uint32_t width) {
  for (; width > 64; width -= 64, to += 64, from += 64) SAVE(to, LOAD(from));
  uint64_t mask = first_bytes(width);
  if (width <= 16)
    _mm_mask_storeu_epi8(to, (__mmask16)mask, _mm_maskz_loadu_epi8((__mmask16)mask, from));
  else if (width <= 32)
    _mm256_mask_storeu_epi8(to, (__mmask32)mask, _mm256_maskz_loadu_epi8((__mmask32)mask, from));
  else
    _mm512_mask_storeu_epi8(to, mask, _mm512_maskz_loadu_epi8(mask, from));
}

/* Split a row into its even and odd bytes. */
static inline void split_row(uint8_t *even, uint8_t *odd, const uint8_t *from, uint32_t width) {
  const __m256i order = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
  for (uint32_t left = width, n; left; left -= n, from += 32, even += 16, odd += 16) {
    n = left < 32 ? left : 32;
    __m256i x = _mm256_shuffle_epi8(_mm256_maskz_loadu_epi8((__mmask32)first_bytes(n), from), order);
    x = _mm256_permute4x64_epi64(x, 0xd8);
    _mm_mask_storeu_epi8(even, (__mmask16)((1u << (n + 1) / 2) - 1), _mm256_castsi256_si128(x));
    _mm_mask_storeu_epi8(odd, (__mmask16)((1u << n / 2) - 1), _mm256_extracti128_si256(x, 1));
  }
}
#include "common.inc.h"

static inline V spread16(const uint8_t *p) { return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)p)); }
static inline V spread32(const uint8_t *p) { return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)p)); }

/* A vector of 4 lanes: 16 positions of 4 bytes. */
static inline void store16(const pn_conv_job *job, int at, V v) {
  uint8_t *out = job->out + at;
  _mm_storeu_si128((__m128i *)out, _mm512_castsi512_si128(v));
  if (job->lanes > 1) _mm_storeu_si128((__m128i *)(out + job->out_stride), _mm512_extracti32x4_epi32(v, 1));
  if (job->lanes > 2) _mm_storeu_si128((__m128i *)(out + 2 * job->out_stride), _mm512_extracti32x4_epi32(v, 2));
  if (job->lanes > 3) _mm_storeu_si128((__m128i *)(out + 3 * job->out_stride), _mm512_extracti32x4_epi32(v, 3));
}

static inline void store32(const pn_conv_job *job, int at, V v) {
  uint8_t *out = job->out + at;
  _mm256_storeu_si256((__m256i *)out, _mm512_castsi512_si256(v));
  if (job->lanes > 1) _mm256_storeu_si256((__m256i *)(out + job->out_stride), _mm512_extracti64x4_epi64(v, 1));
}

/* Four tables at once: three weight bytes of each lane, repeated over its 16 bytes. */
static inline void expand4(uint8_t *table, const uint8_t *weights, int real) {
  const V lane = _mm512_set_epi64(0x0303030303030303, 0x0303030303030303, 0x0202020202020202, 0x0202020202020202,
                                  0x0101010101010101, 0x0101010101010101, 0, 0);
  const V x0 = _mm512_set1_epi64(0x00ff00ff00ff00ff), x1 = _mm512_set1_epi64(0x0000ffff0000ffff),
          x2 = _mm512_set1_epi64(0x00000000ffffffff);
  for (int g = 0; g < real; g++, weights += 12, table += 64) {
    int32_t w[3];
    memcpy(w, weights, 12);
    V a = XOR(_mm512_shuffle_epi8(_mm512_set1_epi32(w[0]), lane), x0);
    V b = XOR(_mm512_shuffle_epi8(_mm512_set1_epi32(w[1]), lane), x1);
    V c = XOR(_mm512_shuffle_epi8(_mm512_set1_epi32(w[2]), lane), x2);
    SAVE(table, _mm512_mask_blend_epi64(0xaa, XOR3(a, b, c), MAJ(a, b, c)));
  }
}

#define EXPAND(lanes, bytes, table, weights, real) expand4(table, weights, real)
#define NAME(x) x##_16
#define LANES 4
#define POS 16
#define TABLE 64
#define LOOK(table, at) _mm512_shuffle_epi8(LOAD(table), spread16(at))
#define SPREAD(p) spread16(p)
#define STORE(job, at, v) store16(job, at, v)
#include "conv.inc.h"
#undef EXPAND

#define EXPAND(lanes, bytes, table, weights, real) expand_any(lanes, bytes, table, weights, real)
#define NAME(x) x##_32
#define LANES 2
#define POS 32
#define TABLE 64
#define LOOK(table, at) _mm512_shuffle_epi8(LOAD(table), spread32(at))
#define SPREAD(p) spread32(p)
#define STORE(job, at, v) store32(job, at, v)
#include "conv.inc.h"

#define NAME(x) x##_64
#define LANES 1
#define POS 64
#define TABLE 16
#define LOOK(table, at) _mm512_shuffle_epi8(spread16(table), LOAD(at))
#define SPREAD(p) LOAD(p)
#define STORE(job, at, v) SAVE((job)->out + (at), v)
#include "conv.inc.h"

#if defined(__AVX512VPOPCNTDQ__) || defined(PN_EMULATE_POPCNT) /* emulated: to test the set without the instruction */
#define PN_POPCNT
#define PN_SET pn_avx512_popcnt
#define PN_NAME "avx512-vpopcntdq"
#else
#define PN_SET pn_avx512
#define PN_NAME "avx512"
#endif

/* Set bits of each 64-bit lane. */
static inline V count64(V x) {
#if defined(__AVX512VPOPCNTDQ__)
  return _mm512_popcnt_epi64(x);
#else
  const V bits = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
  const V nibble = _mm512_set1_epi8(15);
  V low = _mm512_shuffle_epi8(bits, AND(x, nibble));
  V high = _mm512_shuffle_epi8(bits, AND(_mm512_srli_epi16(x, 4), nibble));
  return _mm512_sad_epu8(_mm512_add_epi8(low, high), ZERO);
#endif
}

static void dense(const uint8_t *x, const uint8_t *weights, int rows, size_t bytes, int32_t *mismatches) {
  for (int r = 0; r < rows; r++, weights += bytes) {
    V total = ZERO;
    size_t i = 0;
#if !defined(PN_POPCNT)
    V ones = ZERO, twos = ZERO;
    for (; i + 256 <= bytes; i += 256) { /* carry-save: one count for four vectors */
      V a = XOR(LOAD(x + i), LOAD(weights + i)), b = XOR(LOAD(x + i + 64), LOAD(weights + i + 64));
      V c = XOR(LOAD(x + i + 128), LOAD(weights + i + 128)), d = XOR(LOAD(x + i + 192), LOAD(weights + i + 192));
      V t = add_planes(&ones, a, b), u = add_planes(&ones, c, d);
      total = _mm512_add_epi64(total, count64(add_planes(&twos, t, u)));
    }
    if (i) {
      total = _mm512_slli_epi64(total, 2);
      total = _mm512_add_epi64(total, _mm512_add_epi64(count64(ones), _mm512_slli_epi64(count64(twos), 1)));
    }
#endif
    for (; i < bytes; i += 64) total = _mm512_add_epi64(total, count64(XOR(LOAD(x + i), LOAD(weights + i))));
    mismatches[r] = (int32_t)_mm512_reduce_add_epi64(total);
  }
}

static int available(void) {
  __builtin_cpu_init();
#if defined(__AVX512VPOPCNTDQ__)
  if (!__builtin_cpu_supports("avx512vpopcntdq")) return 0;
#endif
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

static const pn_mode_t *const modes[] = {&mode_16, &mode_32, &mode_64};
const pn_kernels_t PN_SET = {PN_NAME, available, modes, 3, VB, depthwise, dense, dense_rows, set_bits,
    index_bits, index_image, pool_bits, pool_pixels, sum_pixels, center_pixels, pad_planes, crop_plane, merge_plane};
#endif
