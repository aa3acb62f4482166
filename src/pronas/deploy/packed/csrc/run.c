/* Running a loaded network, one image after another. */
#define _POSIX_C_SOURCE 199309L
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"

static uint8_t *at(const pn_network *network, const pn_workspace *work, uint32_t tensor) {
  return work->tensors + network->tensors[tensor].at;
}

/* Move `cout` bits of h * w pixels from planes `step` apart (rows `pitch` apart) to their place in the target. */
static void deliver(const pn_network *network, const pn_op *op, const uint8_t *from, size_t step, size_t pitch,
                    uint32_t first_plane, uint32_t planes, pn_workspace *work) {
  const pn_tensor_t *target = &network->tensors[op->dst];
  size_t pixels = (size_t)target->h * target->w;
  uint32_t begin = op->offset + 8 * first_plane;
  for (uint32_t i = 0; i < planes; i++, from += step, begin += 8) {
    uint8_t *to = at(network, work, op->dst) + begin / 8 * pixels;
    unsigned shift = begin % 8;
    if (target->merge)
      network->kernels->merge(from, target->h, target->w, pitch, shift, to,
                              shift && begin / 8 + 1 < target->planes ? to + pixels : NULL);
    else
      network->kernels->crop(from, target->h, target->w, pitch, to);
  }
}

/* The padded planes; a single tap reads the map as it is. */
static const uint8_t *pad_all(const pn_network *network, const pn_op *op, pn_workspace *work) {
  const pn_tensor_t *source = &network->tensors[op->src0];
  const uint8_t *from = at(network, work, op->src0);
  if (op->window.kh * op->window.kw == 1 && op->window.size == (size_t)source->h * source->w &&
      op->window.stride == 1)
    return from;
  network->kernels->pad(&op->window, from, source->planes, source->h, source->w, work->padded);
  return work->padded;
}

static void run_conv(const pn_network *network, const pn_op *op, pn_workspace *work) {
  const pn_tensor_t *source = &network->tensors[op->src0];
  const pn_mode_t *mode = op->mode;
  uint32_t planes = (op->cout + 7u) / 8, lanes = (uint32_t)mode->lanes;
  size_t table = (size_t)op->groups * mode->table, levels = (size_t)op->planes * mode->vector;
  size_t carry = (size_t)op->segments * ((source->c + 2) / 3) * op->window.size;
  size_t stride = ((size_t)op->window.positions + 127) & ~(size_t)63;
  const uint8_t *padded = pad_all(network, op, work);
  (source->image ? network->kernels->index_image : network->kernels->index_bits)(
      padded, op->window.size, source->c, op->index_pads, work->index, carry);
  pn_conv_job job = {.index = work->index, .carry = carry, .offset = op->index_offset, .segments = op->segments,
                     .groups = op->groups, .planes = op->planes, .start = op->start, .start_stride = op->start_stride,
                     .odd = op->odd, .positions = op->window.positions, .out = work->out, .out_stride = stride,
                     .real = op->real, .room = work->table, .counters = work->counters};
  for (int v = 0; v < op->vectors; v++) {
    uint32_t first = (uint32_t)v * lanes, count = planes - first < lanes ? planes - first : lanes;
    job.table = op->tables ? op->tables + v * table : NULL;
    job.weights = op->tables ? NULL : op->weights + (size_t)v * op->real * 3 * lanes;
    if (!op->tables && op->segments > 1) {
      mode->expand(work->table, job.weights, op->real, op->groups);
      job.table = work->table;
    }
    job.threshold = op->levels + v * levels;
    job.odd_lanes = op->odd_lanes + (size_t)v * mode->vector;
    job.lanes = (int)count;
    mode->conv(&job);
    deliver(network, op, work->out, stride, op->window.pitch, first, count, work);
  }
}

static void run_depthwise(const pn_network *network, const pn_op *op, pn_workspace *work) {
  const pn_tensor_t *source = &network->tensors[op->src0];
  int taps = (int)(op->window.kh * op->window.kw);
  const uint8_t *padded = pad_all(network, op, work);
  for (uint32_t i = 0; i < source->planes; i++) {
    pn_depthwise_job job = {.plane = padded + i * op->window.size, .mask = op->window.inside,
                            .offset = op->window.tap, .weights = op->weights + (size_t)i * taps, .taps = taps,
                            .planes = op->planes, .start = op->start, .odd = op->odd,
                            .start_stride = op->start_stride, .odd_lanes = op->odd_lanes[i],
                            .threshold = op->levels + (size_t)i * op->planes, .positions = op->window.positions,
                            .out = work->out};
    network->kernels->depthwise(&job);
    deliver(network, op, work->out, 0, op->window.pitch, i, 1, work);
  }
}

static void run_maxpool(const pn_network *network, const pn_op *op, pn_workspace *work) {
  const pn_tensor_t *source = &network->tensors[op->src0], *target = &network->tensors[op->dst];
  int taps = (int)(op->window.kh * op->window.kw);
  const uint8_t *padded = pad_all(network, op, work), *inside = op->window.ph || op->window.pw ? op->window.inside : NULL;
  for (uint32_t i = 0; i < source->planes; i++) {
    const uint8_t *plane = padded + i * op->window.size;
    if (source->image) {
      network->kernels->pool_pixels(plane, op->window.inside, op->window.tap, taps, op->window.positions, work->out);
      network->kernels->crop(work->out, target->h, target->w, op->window.pitch,
                             at(network, work, op->dst) + (size_t)i * target->h * target->w);
    } else {
      network->kernels->pool_bits(plane, inside, op->window.tap, taps, op->window.positions, work->out);
      deliver(network, op, work->out, 0, op->window.pitch, i, 1, work);
    }
  }
}

static void run_copy(const pn_network *network, const pn_op *op, pn_workspace *work) {
  const pn_tensor_t *source = &network->tensors[op->src0];
  deliver(network, op, at(network, work, op->src0), (size_t)source->h * source->w, source->w, 0, source->planes, work);
}

static void run_add(const pn_network *network, const pn_op *op, pn_workspace *work) {
  const pn_tensor_t *source = &network->tensors[op->src0];
  size_t pixels = (size_t)source->h * source->w;
  for (uint32_t i = 0; i < source->planes; i++) {
    const uint8_t *a = at(network, work, op->src0) + i * pixels, *b = at(network, work, op->src1) + i * pixels;
    uint8_t none = op->weights[3 * i], one = op->weights[3 * i + 1], both = op->weights[3 * i + 2], *out = work->out;
    for (size_t p = 0; p < pixels; p++)
      out[p] = (uint8_t)((~(a[p] | b[p]) & none) | ((a[p] ^ b[p]) & one) | (a[p] & b[p] & both));
    deliver(network, op, out, 0, source->w, i, 1, work);
  }
}

/* Sums of a dense layer; the map's bytes are its input as they are. */
static void sums(const pn_network *network, const pn_op *op, pn_workspace *work) {
  const pn_tensor_t *source = &network->tensors[op->src0];
  size_t bytes = source->planes * (size_t)source->h * source->w;
  memcpy(work->out, at(network, work, op->src0), bytes);
  memset(work->out + bytes, 0, op->row_bytes - bytes);
  network->kernels->dense(work->out, op->weights, op->cout, op->row_bytes, work->sums);
  for (uint32_t o = 0; o < op->cout; o++) work->sums[o] = (int32_t)op->k - 2 * work->sums[o];
}

static void run_narrow(const pn_network *network, const pn_op *op, pn_workspace *work) {
  sums(network, op, work);
  memset(work->out, 0, (op->cout + 7u) / 8);
  for (uint32_t o = 0; o < op->cout; o++)
    work->out[o / 8] |= (uint8_t)((work->sums[o] >= op->threshold[o]) << (o & 7));
}

static void run_wide(const pn_network *network, const pn_op *op, pn_workspace *work) {
  const pn_tensor_t *source = &network->tensors[op->src0];
  const uint8_t *bits = at(network, work, op->src0);
  size_t pixels = (size_t)source->h * source->w, whole = source->c / 8 * pixels;
  uint32_t *list = (uint32_t *)(void *)work->sums, *end = network->kernels->set_bits(bits, whole, 0, 8, list);
  if (source->c % 8) end = network->kernels->set_bits(bits + whole, pixels, (uint32_t)(8 * whole), source->c % 8, end);
  uint32_t count = (uint32_t)(end - list);
  while ((end - list) % 16) *end++ = op->k;
  pn_dense_job job = {.list = list, .count = (uint32_t)(end - list), .rows = (size_t)op->k + 1, .weights = op->weights,
                      .limit = op->levels + (count & 1 ? (size_t)op->vector * op->planes * op->vectors : 0),
                      .start = op->k / 2 - count / 2, .vectors = op->vectors, .planes = op->planes, .out = work->out};
  network->kernels->dense_rows(&job);
}

static void run_dense(const pn_network *network, const pn_op *op, pn_workspace *work) {
  (op->row_bytes ? run_narrow : run_wide)(network, op, work);
  deliver(network, op, work->out, 1, 1, 0, (op->cout + 7u) / 8, work);
}

/* Convolutions, depthwise kernels and sums over pixels: sum of weight * (2 x - 255) over the taps inside. */
static void run_pixels(const pn_network *network, const pn_op *op, pn_workspace *work) {
  const pn_tensor_t *source = &network->tensors[op->src0];
  const pn_window *window = &op->window;
  const uint16_t *codes = (const uint16_t *)(const void *)op->weights;
  size_t size = window->size, n = ((size_t)window->positions + 63) & ~(size_t)63; /* whole vectors */
  uint32_t whole = op->kind == PN_CONV, bytes = (op->cout + 7u) / 8, groups = (op->k + 2) / 3;
  int16_t *values = (int16_t *)(void *)work->index;
  const uint8_t *padded = pad_all(network, op, work);
  for (uint32_t c = 0; c < source->c; c++)
    network->kernels->center_pixels(padded + c * size, window->inside, size, values + c * size);
  pn_pixel_job job = {.values = values, .offset = op->index_offset, .codes = codes, .limit = op->limit,
                      .inputs = (int)op->k, .outputs = op->cout, .positions = (int)n, .out = work->out, .out_stride = n};
  if (whole) network->kernels->pixels(&job);
  for (uint32_t o = 0; !whole && o < op->cout; o++) { /* one at a time, into the place behind them all */
    job.values = values + o * size, job.codes = codes + o * groups, job.limit = op->limit + o, job.outputs = 1;
    job.out = work->out + (o % 8 ? bytes : o / 8) * n;
    network->kernels->pixels(&job);
    if (o % 8) network->kernels->merge(job.out, 1, (uint32_t)n, n, o % 8, work->out + o / 8 * n, NULL);
  }
  deliver(network, op, work->out, n, window->pitch, 0, bytes, work);
}

void pn_execute(const pn_network *network, const pn_op *op, pn_workspace *work) {
  if (op->direct) {
    run_pixels(network, op, work);
    return;
  }
  switch (op->kind) {
    case PN_CONV: run_conv(network, op, work); break;
    case PN_SUMPOOL:
    case PN_DEPTHWISE: run_depthwise(network, op, work); break;
    case PN_MAXPOOL: run_maxpool(network, op, work); break;
    case PN_DENSE: run_dense(network, op, work); break;
    case PN_LOGITS: sums(network, op, work); break;
    case PN_ADD: run_add(network, op, work); break;
    case PN_COPY: run_copy(network, op, work); break;
    default: break;
  }
}

/* The thread's processor time: other programs' turns are not counted. */
static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* One image through every operation; the sums of the last one stay in the workspace. */
static void run_image(const pn_network *network, pn_workspace *work, const uint8_t *image) {
  memcpy(work->tensors, image, pn_image_bytes(network));
  for (uint32_t i = 1; i < network->tensor_count; i++) {
    const pn_tensor_t *tensor = &network->tensors[i];
    if (tensor->merge) memset(work->tensors + tensor->at, 0, (size_t)tensor->planes * tensor->h * tensor->w);
  }
  for (uint32_t i = 0; i < network->op_count; i++) {
    uint64_t start = work->profile ? now() : 0;
    pn_execute(network, &network->ops[i], work);
    if (work->profile) work->profile[i] += now() - start;
  }
}

/* The float logit of class c, with PyTorch's roundings: forms as in pronas/deploy/_graph.py. */
static float logit(const pn_op *op, uint32_t c, int32_t z) {
  const float *f = op->floats;
  volatile float x = (float)z; /* volatile: rounded each time and never fused, whatever the compiler's flags */
  if (op->relation == 2) return f[(size_t)c * (op->k + 1) + (size_t)(z + (int32_t)op->k) / 2];
  f += op->relation < 2 ? 2 * c : 3 * c;
  if (op->relation > 2) x = x * *f++;
  if (op->relation == 1 || op->relation == 4) return (float)((double)x * f[0] + f[1]);
  x = x * f[0];
  return x + f[1];
}

int pn_run(const pn_network *network, pn_workspace *work, const uint8_t *images, size_t count, int32_t *integers,
           float *logits, int32_t *classes) {
  const pn_op *last = &network->ops[network->op_count - 1];
  uint32_t n = last->cout;
  if (work->network != network) return -1;
  for (size_t i = 0; i < count; i++, images += pn_image_bytes(network)) {
    uint32_t best = 0;
    float highest = 0;
    run_image(network, work, images);
    for (uint32_t c = 0; c < n; c++) {
      float value = logit(last, c, work->sums[c]);
      if (!c || value > highest) best = c, highest = value;
      if (logits) logits[i * n + c] = value;
      if (integers) integers[i * n + c] = work->sums[c];
    }
    if (classes) classes[i] = (int32_t)best;
  }
  return 0;
}

int64_t pn_tensor(const pn_network *network, const pn_workspace *work, uint32_t index, uint8_t *out) {
  if (index >= network->tensor_count) return -1;
  const pn_tensor_t *tensor = &network->tensors[index];
  size_t pixels = (size_t)tensor->h * tensor->w;
  const uint8_t *from = work->tensors + tensor->at;
  for (uint32_t c = 0; out && c < tensor->c; c++)
    for (size_t i = 0; i < pixels; i++)
      out[c * pixels + i] = tensor->image ? from[c * pixels + i] : from[c / 8 * pixels + i] >> (c & 7) & 1;
  return (int64_t)(tensor->c * pixels);
}

int32_t pn_profile(const pn_network *network, pn_workspace *work, uint64_t *nanoseconds) {
  if (!work->profile) work->profile = calloc(network->op_count, sizeof(uint64_t));
  for (uint32_t i = 0; work->profile && nanoseconds && i < network->op_count; i++) nanoseconds[i] = work->profile[i];
  return (int32_t)network->op_count;
}

pn_workspace *pn_workspace_new(const pn_network *network) {
  pn_workspace *work = calloc(1, sizeof *work);
  if (!work) return NULL;
  work->network = network;
  work->tensors = pn_take(network->tensor_bytes);
  work->padded = pn_take(network->padded_bytes);
  work->index = pn_take(network->index_bytes);
  work->out = pn_take(network->out_bytes);
  work->table = pn_take(network->table_bytes);
  work->sums = pn_take(network->sum_bytes);
  work->counters = pn_take(network->counter_bytes);
  if (work->tensors && work->padded && work->index && work->out && work->table && work->sums &&
      work->counters) return work;
  pn_workspace_free(work);
  return NULL;
}

void pn_workspace_free(pn_workspace *work) {
  if (!work) return;
  pn_release(work->tensors), pn_release(work->padded), pn_release(work->index), pn_release(work->out);
  pn_release(work->table), pn_release(work->sums), pn_release(work->counters);
  free(work->profile);
  free(work);
}
