/* NEON (AArch64): 16-byte vectors; tbl gives zero for an index of 16 or more, bsl makes the carry. */
#include "internal.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define V uint8x16_t
#define VB 16
#define LOAD(p) vld1q_u8(p)
#define SAVE(p, v) vst1q_u8(p, v)
#define FILL(byte) vdupq_n_u8(byte)
#define ZERO vdupq_n_u8(0)
#define ONES vdupq_n_u8(255)
#define XOR(a, b) veorq_u8(a, b)
#define AND(a, b) vandq_u8(a, b)
#define OR(a, b) vorrq_u8(a, b)
#define ANDNOT(a, b) vbicq_u8(b, a)
#define XOR3(a, b, c) XOR(XOR(b, c), a)
#define MAJ(a, b, c) vbslq_u8(XOR(b, c), a, b)
#define GE(p, t, ge) vbslq_u8(XOR(p, t), p, ge)
#define MANY 2
#include "common.inc.h"

#define EXPAND(lanes, bytes, table, weights, real) expand_any(lanes, bytes, table, weights, real)
#define NAME(x) x##_16
#define LANES 1
#define POS 16
#define TABLE 16
#define LOOK(table, at) vqtbl1q_u8(LOAD(table), LOAD(at))
#define SPREAD(p) LOAD(p)
#define STORE(job, at, v) SAVE((job)->out + (at), v)
#include "conv.inc.h"

static void dense(const uint8_t *x, const uint8_t *weights, int rows, size_t bytes, int32_t *mismatches) {
  for (int r = 0; r < rows; r++, weights += bytes) {
    uint32x4_t total = vdupq_n_u32(0);
    for (size_t i = 0; i < bytes; i += 64) {
      V counts = ZERO; /* four bytes of at most 8 */
      for (size_t j = i; j < i + 64; j += 16) counts = vaddq_u8(counts, vcntq_u8(XOR(LOAD(x + j), LOAD(weights + j))));
      total = vpadalq_u16(total, vpaddlq_u8(counts));
    }
    mismatches[r] = (int32_t)vaddvq_u32(total);
  }
}

static int available(void) { return 1; }

static const pn_mode_t *const modes[] = {&mode_16};
const pn_kernels_t pn_neon = {"neon", available, modes, 1, VB, depthwise, dense, dense_rows, set_bits,
    index_bits, index_image, pool_bits, pool_pixels, sum_pixels, center_pixels, pad_planes, crop_plane, merge_plane};
#endif
