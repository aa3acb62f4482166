/* From the file's logical order (one bit a weight, one integer a channel) to what the kernels read. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static int bit_at(const uint8_t *bits, size_t i) { return bits[i >> 3] >> (i & 7) & 1; }

static uint32_t bit_length(uint64_t x) {
  uint32_t n = 0;
  for (; x; x >>= 1) n++;
  return n;
}

/* A counter starts with half of what the taps outside would have counted, so that one threshold serves every position:
 * z = 2 count - inside >= T  <=>  count + outside / 2 >= (T + all) / 2. Where `outside` is odd, the half is rounded
 * down, and channels with an odd right side get one more. */
static int build_start(pn_op *op, uint32_t unit) {
  const pn_window *w = &op->window;
  size_t stride = ((size_t)w->positions + 63) & ~(size_t)63;
  int any = 0, any_odd = 0;
  op->start_stride = stride;
  op->start = pn_take(stride * (size_t)op->planes);
  op->odd = pn_take(stride);
  if (!op->start || !op->odd) return 0;
  for (uint32_t y = 0; y < w->oh; y++)
    for (uint32_t x = 0; x < w->ow; x++) {
      size_t at = (size_t)y * w->pitch + x;
      uint64_t outside = 0;
      for (uint32_t t = 0; t < w->kh * w->kw; t++) outside += w->inside[(size_t)w->tap[t] + at] ? 0 : unit;
      for (int b = 0; b < op->planes; b++) op->start[(size_t)b * stride + at] = outside >> (b + 1) & 1 ? 255 : 0;
      op->odd[at] = outside & 1 ? 255 : 0;
      any |= outside > 0;
      any_odd |= outside & 1;
    }
  if (!any) pn_release(op->start), op->start = NULL;
  if (!any_odd) pn_release(op->odd), op->odd = NULL;
  return 1;
}

/* (T + all) as the kernels use it: threshold on the count, and whether it was odd. */
static void count_limit(int32_t threshold, int64_t all, uint32_t *limit, int *odd) {
  int64_t t = threshold, q;
  if (t > all + 1) t = all + 1;
  if (t < -all - 1) t = -all - 1;
  q = t + all;
  *odd = (int)(q & 1);
  *limit = q < 0 ? 0 : (uint32_t)((q + 1) / 2);
}

static const pn_mode_t *choose_mode(const pn_kernels_t *kernels, uint32_t bytes, int positions) {
  const pn_mode_t *best = NULL;
  int64_t least = 0;
  for (int i = 0; i < kernels->mode_count; i++) {
    const pn_mode_t *mode = kernels->modes[i];
    int64_t cost = (int64_t)((bytes + mode->lanes - 1) / mode->lanes) *
                   ((positions + mode->positions - 1) / mode->positions) * mode->vector;
    if (!best || cost < least) best = mode, least = cost;
  }
  return best;
}

/* Weights as [vector][group][3][lanes] bytes of 8 output channels. A missing input has weight 1: its bit is always
 * 0, so it never agrees. */
static int build_conv_weights(pn_op *op, const uint8_t *bits, uint32_t channels) {
  uint32_t taps = op->window.kh * op->window.kw, per_tap = (channels + 2) / 3;
  size_t lanes = (size_t)op->mode->lanes, vector = (size_t)op->real * 3 * lanes;
  op->weight_bytes = vector * (size_t)op->vectors;
  op->weights = pn_take(op->weight_bytes);
  if (!op->weights) return 0;
  for (size_t v = 0; v < (size_t)op->vectors; v++)
    for (uint32_t tap = 0; tap < taps; tap++)
      for (uint32_t c = channels; c < 3 * per_tap; c++)
        memset(op->weights + v * vector + ((size_t)(c / 3 * taps + tap) * 3 + c % 3) * lanes, 255, lanes);
  for (uint32_t o = 0; o < op->cout; o++)
    for (uint32_t c = 0; c < channels; c++)
      for (uint32_t tap = 0; tap < taps; tap++) {
        size_t lane = o / 8 % lanes, v = o / 8 / lanes;
        if (bit_at(bits, ((size_t)o * channels + c) * taps + tap))
          op->weights[v * vector + ((size_t)(c / 3 * taps + tap) * 3 + c % 3) * lanes + lane] |=
              (uint8_t)(1u << (o & 7));
      }
  return 1;
}

/* Offsets of every group of every segment in the index planes. */
static int build_offsets(pn_op *op, uint32_t channels) {
  uint32_t taps = op->window.kh * op->window.kw, per_tap = (channels + 2) / 3;
  op->index_offset = calloc((size_t)op->segments * op->groups, sizeof(int32_t));
  op->index_pads = pn_take(op->window.size);
  if (!op->index_offset || !op->index_pads) return 0;
  for (int s = 0; s < op->segments; s++)
    for (uint32_t tap = 0; tap < taps; tap++)
      for (uint32_t j = 0; j < per_tap; j++)
        op->index_offset[(size_t)s * op->groups + j * taps + tap] =
            (int32_t)(((size_t)s * per_tap + j) * op->window.size + op->window.tap[tap]);
  for (size_t i = 0; i < op->window.size; i++) op->index_pads[i] = op->window.inside[i] ? 0 : 128;
  return 1;
}

/* Thresholds as planes of vectors; channels that are not there never reach theirs. */
static int build_levels(pn_op *op, uint32_t unit) {
  const pn_mode_t *mode = op->mode;
  size_t vector = (size_t)mode->vector, lanes = (size_t)mode->lanes, share = vector / lanes;
  int64_t all = (int64_t)op->k * unit;
  op->levels = pn_take(vector * op->planes * op->vectors);
  op->odd_lanes = pn_take(vector * op->vectors);
  if (!op->levels || !op->odd_lanes) return 0;
  for (uint32_t o = 0; o < (uint32_t)op->vectors * lanes * 8; o++) {
    size_t v = o / 8 / lanes, lane = o / 8 % lanes;
    uint32_t limit = (uint32_t)all + 1;
    int odd = 0;
    if (o < op->cout) count_limit(op->threshold[o], all, &limit, &odd);
    for (size_t i = 0; i < share; i++) {
      for (int b = 0; b < op->planes; b++)
        op->levels[(v * op->planes + b) * vector + lane * share + i] |= (uint8_t)((limit >> b & 1) << (o & 7));
      op->odd_lanes[v * vector + lane * share + i] |= (uint8_t)(odd << (o & 7));
    }
  }
  return 1;
}

/* Look-up tables: kept while they are few, since reading large ones from a far cache takes longer than making them again. */
static int build_tables(pn_network *network, pn_op *op) {
  const pn_mode_t *mode = op->mode;
  size_t bytes = (size_t)op->groups * mode->table, all = bytes * (size_t)op->vectors;
  size_t room = (size_t)PN_TILE * mode->many * mode->vector * (size_t)(op->planes < 6 ? 6 : op->planes);
  if (network->counter_bytes < room) network->counter_bytes = room;
  if (network->flags & PN_SMALL || (network->kept + all > PN_KEEP && op->segments == 1)) return 1;
  op->tables = pn_take(all);
  if (!op->tables) return 0;
  for (int v = 0; v < op->vectors; v++)
    mode->expand(op->tables + v * bytes, op->weights + (size_t)v * op->real * 3 * mode->lanes, op->real, op->groups);
  pn_release(op->weights);
  op->weights = NULL;
  op->weight_bytes = all;
  network->kept += all;
  return 1;
}

static int build_conv(pn_network *network, pn_op *op, const uint8_t *bits) {
  const pn_tensor_t *source = &network->tensors[op->src0];
  uint32_t unit = source->image ? 255 : 1, per_tap = (source->c + 2) / 3, bytes = (op->cout + 7u) / 8;
  op->segments = source->image ? 8 : 1;
  op->planes = (int)bit_length((uint64_t)op->k * unit + 1);
  op->real = (int)(op->window.kh * op->window.kw * per_tap);
  op->groups = (op->real + 3) & ~3;
  op->mode = choose_mode(network->kernels, bytes, op->window.positions);
  op->vectors = (int)((bytes + op->mode->lanes - 1) / op->mode->lanes);
  return build_conv_weights(op, bits, source->c) && build_offsets(op, source->c) && build_levels(op, unit) &&
         build_start(op, source->c * unit) && build_tables(network, op);
}

/* Few pixels an output: 16-bit sums. For each output and group of three inputs, which of the group's eight sums it takes;
 * a depthwise kernel has its own inputs for each output. */
static int build_pixels(pn_op *op, const uint8_t *bits) {
  uint32_t taps = op->window.kh * op->window.kw, groups = (op->k + 2) / 3;
  uint16_t *codes;
  op->direct = 1;
  op->weight_bytes = sizeof *codes * op->cout * groups;
  op->weights = pn_take(op->weight_bytes);
  op->index_offset = malloc(sizeof(int32_t) * op->k);
  op->limit = malloc(sizeof(int16_t) * op->cout);
  if (!op->weights || !op->index_offset || !op->limit) return 0;
  for (uint32_t i = 0; i < op->k; i++)
    op->index_offset[i] = (int32_t)(i / taps * op->window.size) + op->window.tap[i % taps];
  codes = (uint16_t *)(void *)op->weights;
  for (uint32_t o = 0; o < op->cout; o++) {
    int32_t t = op->threshold[o];
    op->limit[o] = (int16_t)(t > 32767 ? 32767 : t < -32768 ? -32768 : t); /* sums stay below 32,640 */
    for (uint32_t i = 0; i < op->k; i++) {
      int set = bit_at(bits, op->kind == PN_SUMPOOL ? o : (size_t)o * op->k + i);
      codes[o * groups + i / 3] |= (uint16_t)(set << i % 3 | i / 3 * 8);
    }
  }
  return 1;
}

/* Bit maps: weights [byte][tap] and threshold planes [byte][plane]. */
static int build_depthwise(pn_network *network, pn_op *op, const uint8_t *bits) {
  uint32_t taps = op->window.kh * op->window.kw, tied = op->kind == PN_SUMPOOL;
  size_t planes = network->tensors[op->src0].planes;
  op->planes = (int)bit_length(taps + 1);
  op->weight_bytes = planes * taps;
  op->weights = pn_take(op->weight_bytes);
  op->levels = pn_take(planes * op->planes);
  op->odd_lanes = pn_take(planes);
  if (!op->weights || !op->levels || !op->odd_lanes) return 0;
  for (uint32_t o = 0; o < 8 * planes; o++) {
    int odd = 0;
    uint32_t limit = taps + 1; /* never, behind the last channel */
    if (o < op->cout) count_limit(op->threshold[o], taps, &limit, &odd);
    for (uint32_t t = 0; o < op->cout && t < taps; t++)
      op->weights[o / 8 * taps + t] |= (uint8_t)(bit_at(bits, tied ? o : (size_t)o * taps + t) << (o & 7));
    for (int b = 0; b < op->planes; b++) op->levels[o / 8 * op->planes + b] |= (uint8_t)((limit >> b & 1) << (o & 7));
    op->odd_lanes[o / 8] |= (uint8_t)(odd << (o & 7));
  }
  return build_start(op, 1);
}

/* Few outputs: rows in the order of the map's bytes, [plane][pixel][8 channels], padded to 64 bytes. */
static int build_narrow(pn_network *network, pn_op *op, const uint8_t *bits) {
  const pn_tensor_t *source = &network->tensors[op->src0];
  size_t pixels = (size_t)source->h * source->w;
  op->row_bytes = (source->planes * pixels + 63) & ~(size_t)63;
  op->weight_bytes = op->row_bytes * op->cout;
  op->weights = pn_take(op->weight_bytes);
  if (!op->weights) return 0;
  for (uint32_t o = 0; o < op->cout; o++)
    for (uint32_t c = 0; c < source->c; c++)
      for (size_t i = 0; i < pixels; i++)
        if (bit_at(bits, ((size_t)o * source->c + c) * pixels + i))
          op->weights[o * op->row_bytes + c / 8 * pixels + i] |= (uint8_t)(1u << (c & 7));
  return 1;
}

/* The limits of one output for even and odd numbers of inputs set: see dense.inc.h. The counter is k / 2 higher. */
static void wide_limits(pn_op *op, uint32_t o, int64_t ones) {
  size_t vector = (size_t)op->vector, set = vector * op->planes * op->vectors;
  int64_t k = op->k, t = o < op->cout ? op->threshold[o] : k + 1;
  if (t < -k) t = -k;
  for (int odd = 0; odd < 2; odd++) {
    int64_t twice = t - k + 2 * ones + 2 * odd + 4 * (k / 2) + 3, limit = twice < 0 ? 0 : twice / 4;
    if (limit > k + 1 || t > k) limit = k + 1; /* never */
    for (int b = 0; b < op->planes; b++)
      op->levels[odd * set + (o / (8 * vector) * op->planes + b) * vector + o / 8 % vector] |=
          (uint8_t)((limit >> b & 1) << (o & 7));
  }
}

/* Many outputs: a row for each input, in the order of the map's bits, and one of zeros. */
static int build_wide(pn_network *network, pn_op *op, const uint8_t *bits) {
  const pn_tensor_t *source = &network->tensors[op->src0];
  size_t pixels = (size_t)source->h * source->w, vector = (size_t)network->kernels->vector, rows = (size_t)op->k + 1;
  uint32_t full = source->c & ~7u;
  op->vector = (int)vector;
  op->vectors = (int)((op->cout + 8 * vector - 1) / (8 * vector));
  op->planes = (int)bit_length((uint64_t)op->k + 1);
  op->weight_bytes = rows * vector * (size_t)op->vectors;
  op->weights = pn_take(op->weight_bytes);
  op->levels = pn_take(2 * vector * op->planes * (size_t)op->vectors);
  if (!op->weights || !op->levels) return 0;
  for (uint32_t o = 0; o < (uint32_t)op->vectors * 8 * vector; o++) {
    int64_t ones = 0;
    for (uint32_t c = 0; o < op->cout && c < source->c; c++)
      for (size_t i = 0; i < pixels; i++) {
        if (!bit_at(bits, ((size_t)o * source->c + c) * pixels + i)) continue;
        size_t row = c < full ? (c / 8 * pixels + i) * 8 + c % 8 : full * pixels + i * (source->c - full) + c % 8;
        op->weights[(o / (8 * vector) * rows + row) * vector + o / 8 % vector] |= (uint8_t)(1u << (o & 7));
        ones++;
      }
    wide_limits(op, o, ones);
  }
  return 1;
}

static int build_dense(pn_network *network, pn_op *op, const uint8_t *bits) {
  int wide = op->kind == PN_DENSE && op->cout >= 4u * (uint32_t)network->kernels->vector;
  return (wide ? build_wide : build_narrow)(network, op, bits);
}

/* Three mask bytes for each 8 channels: the output where none, one or both of the two bits are set. */
static int build_add(pn_op *op, const uint8_t *bits) {
  op->weight_bytes = 3 * ((op->cout + 7u) / 8);
  op->weights = pn_take(op->weight_bytes);
  if (!op->weights) return 0;
  for (uint32_t o = 0; o < op->cout; o++)
    for (int set = 0; set < 3; set++) {
      int z = bit_at(bits, o) ? 2 * set - 2 : 2 - 2 * set;
      if (z >= op->threshold[o]) op->weights[o / 8 * 3 + set] |= (uint8_t)(1u << (o & 7));
    }
  return 1;
}

int pn_build(pn_network *network, pn_op *op, const uint8_t *bits) {
  const pn_tensor_t *source = &network->tensors[op->src0];
  if (source->image && (op->kind == PN_DEPTHWISE || op->kind == PN_SUMPOOL ||
                        (op->kind == PN_CONV && op->k <= PN_MAX_PIXELS)))
    return build_pixels(op, bits);
  switch (op->kind) {
    case PN_CONV: return build_conv(network, op, bits);
    case PN_DEPTHWISE:
    case PN_SUMPOOL: return build_depthwise(network, op, bits);
    case PN_DENSE:
    case PN_LOGITS: return build_dense(network, op, bits);
    case PN_ADD: return build_add(op, bits);
    default: return 1;
  }
}
