/* Reading a packed file: nothing in it is believed before it was checked. The layout is in docs/packed.md. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define HEADER 64
#define MAX_ITEMS 4096          /* tensors, operations */
#define MAX_MAP (1u << 26)      /* elements of one map */
#define MAX_TOTAL (1ull << 30)  /* bytes of all that is allocated */
#define MAX_INPUTS (1u << 16)   /* inputs of one output */

typedef struct {
  const uint8_t *at;
  size_t size;
} section;

typedef struct {
  char *text;
  size_t size;
} complaint;

static int fail(complaint *error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  if (error->size) vsnprintf(error->text, error->size, format, arguments);
  va_end(arguments);
  return 0;
}

static uint32_t u16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }
static uint32_t u32(const uint8_t *p) { return u16(p) | u16(p + 2) << 16; }

/* CRC-32 (the polynomial of zlib) of the file with the checksum's own four bytes as zeros. */
static uint32_t checksum(const uint8_t *data, size_t size) {
  uint32_t table[256], crc = 0xffffffffu;
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  for (size_t i = 0; i < size; i++) crc = table[(crc ^ (i >= 60 && i < 64 ? 0 : data[i])) & 255] ^ (crc >> 8);
  return crc ^ 0xffffffffu;
}

/* Sections follow one another, aligned, inside the file. */
static int read_sections(const uint8_t *data, size_t size, section *sections, complaint *error) {
  size_t end = HEADER;
  for (int i = 0; i < 5; i++) {
    size_t at = u32(data + 16 + 8 * i), length = u32(data + 20 + 8 * i);
    if (at % 16 || at < end || at > size || length > size - at) return fail(error, "section %d lies outside the file", i);
    sections[i] = (section){data + at, length};
    end = at + length;
  }
  return 1;
}

static int read_header(const uint8_t *data, size_t size, section *sections, complaint *error) {
  if (size < HEADER || memcmp(data, "PNPACK\r\n", 8)) return fail(error, "not a packed pronas network");
  if (u32(data + 8) != 1)
    return fail(error, "packed format version %u; this pronas reads version 1", (unsigned)u32(data + 8));
  if (u32(data + 12) != size)
    return fail(error, "it has %zu bytes and should have %u: it is truncated or has something appended", size,
                (unsigned)u32(data + 12));
  if (u32(data + 60) != checksum(data, size)) return fail(error, "its checksum is wrong: the file was altered");
  return read_sections(data, size, sections, error);
}

static int read_tensors(pn_network *network, const uint8_t *p, complaint *error) {
  uint64_t total = 0;
  for (uint32_t i = 0; i < network->tensor_count; i++, p += 8) {
    pn_tensor_t *tensor = &network->tensors[i];
    tensor->c = u16(p), tensor->h = u16(p + 2), tensor->w = u16(p + 4), tensor->image = p[6] & 1;
    uint64_t elements = (uint64_t)tensor->c * tensor->h * tensor->w;
    if (!elements || elements > MAX_MAP || p[6] > 1 || p[7])
      return fail(error, "map %u has a bad shape (%u, %u, %u)", i, tensor->c, tensor->h, tensor->w);
    tensor->planes = tensor->image ? tensor->c : (tensor->c + 7) / 8;
    tensor->at = (size_t)total;
    total += ((uint64_t)tensor->planes * tensor->h * tensor->w + 127) & ~63ull;
  }
  if (total > MAX_TOTAL / 4) return fail(error, "its maps are too large");
  network->tensor_bytes = (size_t)total;
  if (!network->tensors[0].image) return fail(error, "map 0 is not an image");
  network->tensors[0].parts = network->tensors[0].c;
  return 1;
}

static void read_op(pn_op *op, const uint8_t *p) {
  op->kind = p[0], op->relation = p[6], op->width = p[7];
  op->window.kh = p[1], op->window.kw = p[2], op->window.stride = p[3], op->window.ph = p[4], op->window.pw = p[5];
  op->src0 = (uint16_t)u16(p + 8), op->src1 = (uint16_t)u16(p + 10), op->dst = (uint16_t)u16(p + 12);
  op->offset = (uint16_t)u16(p + 14), op->cout = (uint16_t)u16(p + 16);
  if (op->kind != PN_ADD) op->src1 = op->src0;
}

static int windowed(const pn_op *op) { return op->kind <= PN_MAXPOOL; }
static int narrow(const pn_op *op) { return op->kind == PN_DENSE || op->kind == PN_LOGITS; }

static int thresholds(const pn_op *op) {
  return op->kind != PN_MAXPOOL && op->kind != PN_LOGITS && op->kind != PN_COPY;
}

/* The maps an operation reads and writes exist, are complete or still open, and have fitting shapes. */
static int check_maps(const pn_network *network, const pn_op *op, complaint *error) {
  uint32_t count = network->tensor_count, last = op->kind == PN_LOGITS;
  if (op->src0 >= count || op->src1 >= count || op->dst >= count) return fail(error, "an operation names an unknown map");
  const pn_tensor_t *a = &network->tensors[op->src0], *b = &network->tensors[op->src1];
  const pn_tensor_t *to = &network->tensors[op->dst];
  if (a->parts != a->c || b->parts != b->c) return fail(error, "an operation reads a map that is not complete");
  if (!op->cout || (!narrow(op) && op->kind != PN_CONV && op->cout != a->c))
    return fail(error, "an operation has a bad number of channels");
  if (a->image && (narrow(op) || op->kind == PN_ADD || op->kind == PN_COPY))
    return fail(error, "an operation for bits reads an image");
  if (op->kind == PN_ADD && (b->image || b->c != a->c || b->h != a->h || b->w != a->w))
    return fail(error, "an addition reads maps of different shapes");
  if (last) return 1;
  if (op->dst == 0 || op->dst == op->src0 || op->dst == op->src1 || op->offset != to->parts || op->cout > to->c - to->parts)
    return fail(error, "an operation writes where it must not");
  if (to->image != (op->kind == PN_MAXPOOL && a->image)) return fail(error, "an operation writes a map of the wrong kind");
  return 1;
}

static int check_window(const pn_op *op, const pn_tensor_t *from, const pn_tensor_t *to, complaint *error) {
  const pn_window *w = &op->window;
  uint32_t height = from->h + 2 * w->ph, width = from->w + 2 * w->pw;
  if (!w->kh || !w->kw || !w->stride || w->ph >= w->kh || w->pw >= w->kw || w->kh > height || w->kw > width)
    return fail(error, "an operation has a bad window");
  if (to->h != (height - w->kh) / w->stride + 1 || to->w != (width - w->kw) / w->stride + 1)
    return fail(error, "an operation's output has a bad size");
  return 1;
}

/* Everything about one operation; `bits`, `values` and `floats` advance over what it uses. */
static int check_op(const pn_network *network, pn_op *op, complaint *error) {
  if (!op->kind || op->kind >= PN_KINDS) return fail(error, "an operation is of an unknown kind %u", op->kind);
  if (!check_maps(network, op, error)) return 0;
  const pn_tensor_t *from = &network->tensors[op->src0], *to = &network->tensors[op->dst];
  uint64_t taps = (uint64_t)op->window.kh * op->window.kw, k = 0;
  if (windowed(op)) {
    if (!check_window(op, from, to, error)) return 0;
    k = op->kind == PN_CONV ? taps * from->c : taps;
  } else if (narrow(op)) {
    k = (uint64_t)from->c * from->h * from->w;
    if (op->kind == PN_DENSE && (to->h != 1 || to->w != 1)) return fail(error, "a dense layer's output is not 1 x 1");
  } else if (to->h != from->h || to->w != from->w) {
    return fail(error, "an operation's output has a bad size");
  }
  if (from->image && (op->kind == PN_DEPTHWISE || op->kind == PN_SUMPOOL) && k > PN_MAX_PIXELS)
    return fail(error, "a window of %llu pixels is too large", (unsigned long long)k);
  if (k > MAX_INPUTS) return fail(error, "an output has too many inputs (%llu)", (unsigned long long)k);
  if (op->kind == PN_LOGITS && op->relation > 4) return fail(error, "unknown form of logits");
  if (thresholds(op) && op->width != 1 && op->width != 2 && op->width != 4)
    return fail(error, "an operation has thresholds of %u bytes", op->width);
  op->k = (uint32_t)k;
  return 1;
}

static uint64_t weight_count(const pn_op *op) {
  switch (op->kind) {
    case PN_CONV:
    case PN_DEPTHWISE:
    case PN_DENSE:
    case PN_LOGITS: return (uint64_t)op->k * op->cout;
    case PN_SUMPOOL:
    case PN_ADD: return op->cout;
    default: return 0;
  }
}

static uint64_t max64(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* Room that one operation needs while it runs. */
static int reserve(pn_network *network, const pn_op *op, complaint *error) {
  const pn_tensor_t *from = &network->tensors[op->src0];
  uint64_t pixels = (uint64_t)from->h * from->w, size = 0, out = from->planes * pixels + 64, index = 0;
  uint64_t positions = pixels;
  if (windowed(op)) {
    const pn_window *w = &op->window;
    uint64_t s = w->stride, height = from->h + 2u * w->ph, width = from->w + 2u * w->pw;
    size = (height + s) * (width + s) + 8 * s * s + 8;
    positions = size;
    out = max64(out, 8 * (size + 256));
    if (op->kind == PN_CONV || from->image) index = 2 * size * ((from->c + 2) / 3) * (from->image ? 8 : 1);
    if (from->image) out = max64(out, ((op->cout + 7u) / 8 + 1) * (size + 64));
  }
  out = max64(out, op->cout / 8u + 64);
  uint64_t table = 128 * (from->image ? (uint64_t)op->window.kh * op->window.kw * ((from->c + 2) / 3) + 4 : PN_CHUNK);
  uint64_t padded = from->planes * size, sums = 4 * max64(positions + 64, op->cout);
  if (op->kind == PN_DENSE) sums = max64(sums, 4 * ((uint64_t)op->k + 16)); /* the list of inputs that are set */
  if (padded > MAX_TOTAL || index > MAX_TOTAL || out > MAX_TOTAL || table > MAX_TOTAL || sums > MAX_TOTAL)
    return fail(error, "an operation needs too much memory");
  network->padded_bytes = (size_t)max64(network->padded_bytes, padded);
  network->index_bytes = (size_t)max64(network->index_bytes, index);
  network->out_bytes = (size_t)max64(network->out_bytes, out);
  network->table_bytes = (size_t)max64(network->table_bytes, table);
  network->sum_bytes = (size_t)max64(network->sum_bytes, sums);
  return 1;
}

/* Take what belongs to the operation from the sections, and build it. */
static int fill_op(pn_network *network, pn_op *op, section *values, section *floats, section *bits, complaint *error) {
  uint64_t weights = (weight_count(op) + 7) / 8, count = thresholds(op) ? op->cout : 0, size = op->width;
  uint64_t numbers = op->kind != PN_LOGITS ? 0 : (uint64_t)op->cout * (op->relation == 2 ? op->k + 1u : op->relation < 2 ? 2u : 3u);
  if (weights > bits->size || count * size > values->size || numbers * 4 > floats->size)
    return fail(error, "a section is too short for its operations");
  if (count && !(op->threshold = malloc(count * sizeof(int32_t)))) return fail(error, "out of memory");
  for (uint64_t i = 0; i < count; i++)
    op->threshold[i] = size == 4   ? (int32_t)u32(values->at + 4 * i)
                       : size == 2 ? (int16_t)u16(values->at + 2 * i)
                                   : (int8_t)values->at[i];
  op->floats = (const float *)(const void *)floats->at;
  if (windowed(op) && !pn_window_init(&op->window, &network->tensors[op->src0])) return fail(error, "out of memory");
  if (!pn_build(network, op, bits->at)) return fail(error, "out of memory");
  network->weight_bytes += op->weight_bytes;
  bits->at += weights, bits->size -= weights;
  values->at += count * size, values->size -= count * size;
  floats->at += numbers * 4, floats->size -= numbers * 4;
  return 1;
}

static int read_program(pn_network *network, const section *program, complaint *error) {
  if (program->size < 8) return fail(error, "its program is too short");
  uint32_t tensors = u32(program->at), ops = u32(program->at + 4);
  if (!tensors || !ops || tensors > MAX_ITEMS || ops > MAX_ITEMS || program->size != 8 + 8ull * tensors + 20ull * ops)
    return fail(error, "its program has a bad size");
  network->tensors = calloc(tensors, sizeof(pn_tensor_t));
  network->ops = calloc(ops, sizeof(pn_op));
  if (!network->tensors || !network->ops) return fail(error, "out of memory");
  network->tensor_count = tensors, network->op_count = ops;
  if (!read_tensors(network, program->at + 8, error)) return 0;
  for (uint32_t i = 0; i < ops; i++) {
    pn_op *op = &network->ops[i];
    read_op(op, program->at + 8 + 8 * tensors + 20 * i);
    if (!check_op(network, op, error) || !reserve(network, op, error)) return 0;
    if ((op->kind == PN_LOGITS) != (i == ops - 1)) return fail(error, "logits must be its last operation");
    if (op->kind == PN_LOGITS) continue;
    pn_tensor_t *to = &network->tensors[op->dst];
    to->parts += op->cout;
    if (op->offset % 8) to->merge = 1;
  }
  return 1;
}

/* A map whose parts do not begin at bytes is put together by or, so a following operation may share its bytes. */
static int read_network(pn_network *network, const section *sections, complaint *error) {
  section values = sections[2], floats = sections[3], bits = sections[4];
  if (!read_program(network, &sections[1], error)) return 0;
  for (uint32_t i = 0; i < network->op_count; i++)
    if (!fill_op(network, &network->ops[i], &values, &floats, &bits, error)) return 0;
  if (values.size || floats.size || bits.size) return fail(error, "a section is longer than its operations need");
  return 1;
}

static const pn_kernels_t *const all_kernels[] = {
#if defined(PN_HAVE_AVX512_POPCNT)
    &pn_avx512_popcnt,
#endif
#if defined(PN_HAVE_AVX512)
    &pn_avx512,
#endif
#if defined(PN_HAVE_AVX2)
    &pn_avx2,
#endif
#if defined(PN_HAVE_NEON)
    &pn_neon,
#endif
    &pn_portable};

#define KERNELS (sizeof all_kernels / sizeof *all_kernels)

const char *const *pn_kernels(void) {
  static const char *names[KERNELS + 1];
  const char *found[KERNELS + 1] = {0};
  size_t n = 0;
  for (size_t i = 0; i < KERNELS; i++)
    if (all_kernels[i]->available()) found[n++] = all_kernels[i]->name;
  memcpy(names, found, sizeof names); /* the same bytes whoever writes them */
  return names;
}

static const pn_kernels_t *find_kernels(const char *name) {
  for (size_t i = 0; i < KERNELS; i++)
    if (all_kernels[i]->available() && (!name || !strcmp(name, all_kernels[i]->name))) return all_kernels[i];
  return NULL;
}

int pn_load(const uint8_t *data, size_t size, const char *kernel, int flags, pn_network **network, char *error,
            size_t error_size) {
  complaint trouble = {error, error_size};
  section sections[5];
  pn_network *made;
  *network = NULL;
  if (error_size) error[0] = 0;
  if (!read_header(data, size, sections, &trouble)) return -1;
  made = calloc(1, sizeof *made);
  if (!made) return fail(&trouble, "out of memory"), -1;
  made->flags = flags;
  made->kernels = find_kernels(kernel);
  made->copy = pn_take(sections[3].size);
  if (!made->kernels) fail(&trouble, "no kernel set called %s runs on this processor", kernel);
  if (made->copy && made->kernels) {
    if (sections[3].size) memcpy(made->copy, sections[3].at, sections[3].size);
    sections[3].at = made->copy; /* the floats are used in place, aligned */
    if (read_network(made, sections, &trouble)) {
      *network = made;
      return 0;
    }
  }
  pn_free(made);
  return -1;
}

void pn_free(pn_network *network) {
  if (!network) return;
  for (uint32_t i = 0; network->ops && i < network->op_count; i++) {
    pn_op *op = &network->ops[i];
    pn_window_free(&op->window);
    pn_release(op->weights), pn_release(op->index_pads), pn_release(op->tables), pn_release(op->levels);
    pn_release(op->odd_lanes), pn_release(op->start), pn_release(op->odd);
    free(op->threshold), free(op->index_offset), free(op->limit);
  }
  free(network->tensors), free(network->ops);
  pn_release(network->copy);
  free(network);
}

size_t pn_image_bytes(const pn_network *network) {
  const pn_tensor_t *image = &network->tensors[0];
  return (size_t)image->c * image->h * image->w;
}

int32_t pn_classes(const pn_network *network) { return network->ops[network->op_count - 1].cout; }

size_t pn_weight_bytes(const pn_network *network) { return network->weight_bytes; }
