/* What the parts of the C core share. Layout and algorithm are described in docs/packed.md. */
#ifndef PRONAS_INTERNAL_H
#define PRONAS_INTERNAL_H

#include "packed.h"

#define PN_SLACK 256     /* bytes that vector loads and stores may touch behind an array */
#define PN_MAX_PLANES 26 /* bits of a counter */

enum pn_kind {
  PN_CONV = 1,      /* bits or image -> bits */
  PN_DEPTHWISE = 2, /* bits or image -> bits, one kernel a channel */
  PN_SUMPOOL = 3,   /* bits or image -> bits, sum of the taps inside times one weight a channel */
  PN_MAXPOOL = 4,   /* bits -> bits, image -> image */
  PN_DENSE = 5,     /* bits -> bits (1 x 1) */
  PN_LOGITS = 6,    /* bits -> integers and float logits; the last operation */
  PN_ADD = 7,       /* two bit maps -> bits, their sum times one weight a channel */
  PN_COPY = 8,      /* bits -> bits, for concatenation */
  PN_KINDS = 9
};

/* A map: bits are bytes of 8 channels, one byte a pixel, [ceil(c / 8)][h * w]; an image is [c][h * w] bytes. */
typedef struct {
  uint32_t c, h, w;
  int image;     /* 8-bit pixels, not bits */
  int merge;     /* some part begins inside a byte: zeroed first, parts are or-ed in */
  uint32_t parts; /* channels written so far, while checking */
  uint32_t planes;
  size_t at; /* offset in the workspace */
} pn_tensor_t;

typedef struct pn_kernels_t pn_kernels_t;

/* One vector shape of the convolution kernel: `lanes` bytes of 8 output channels times `positions`. */
typedef struct pn_mode_t pn_mode_t;

typedef struct {
  const uint8_t *index;    /* index planes; the carry's are `carry` bytes further */
  size_t carry;
  const int32_t *offset;   /* segments * groups offsets into the index planes */
  int segments, groups;    /* groups a segment: a multiple of 4; counters double between segments */
  const uint8_t *table;    /* of all groups, or NULL: made from `weights`, some groups at a time */
  const uint8_t *weights;
  int real;                /* groups that have weights */
  uint8_t *room;           /* PN_CHUNK tables, if `table` is NULL */
  uint8_t *counters;       /* PN_TILE blocks */
  int planes;
  const uint8_t *start;    /* start[planes][start_stride]: counters' first values, or NULL */
  size_t start_stride;
  const uint8_t *odd;      /* positions where one more is added in the channels of odd_lanes, or NULL */
  const uint8_t *odd_lanes; /* a vector */
  const uint8_t *threshold; /* planes vectors */
  int positions;
  uint8_t *out;            /* out[lanes][out_stride] */
  size_t out_stride;
  int lanes;               /* lanes to store */
} pn_conv_job;

#define PN_TILE 64   /* blocks of positions that share each chunk of the table */
#define PN_KEEP (256u << 10) /* bytes of look-up tables that a network keeps */
#define PN_CHUNK 128 /* groups, a multiple of 16: their table stays in the nearest cache */

struct pn_mode_t {
  int lanes, positions, vector, table; /* vector and table: bytes, table for one group */
  int many; /* vectors in a block */
  void (*conv)(const pn_conv_job *job);
  /* Table of `groups` groups from weights [groups][3][lanes]; groups behind `real` count nothing. */
  void (*expand)(uint8_t *table, const uint8_t *weights, int real, int groups);
};

/* Sums over windows of pixels: see pixels.inc.h. */
typedef struct {
  const int16_t *values;  /* 2 x - 255, or 0 outside */
  const int32_t *offset;  /* of each input in `values` */
  const uint16_t *codes;  /* [outputs][(inputs + 2) / 3]: which of a group's eight sums, plus 8 times the group */
  const int16_t *limit;   /* of each output; 32767: never */
  int inputs, outputs, positions;
  uint8_t *out;           /* out[(outputs + 7) / 8][out_stride], all of it written */
  size_t out_stride;
} pn_pixel_job;

#define PN_MAX_PIXELS 128 /* inputs whose sum fits in 16 bits */

typedef struct {
  const uint8_t *plane, *mask; /* padded bits; 255 where inside the image */
  const int32_t *offset;
  const uint8_t *weights;      /* one byte a tap */
  int taps, planes;
  const uint8_t *start, *odd;
  size_t start_stride;
  uint8_t odd_lanes;
  const uint8_t *threshold;    /* planes bytes */
  int positions;
  uint8_t *out;
} pn_depthwise_job;

/* A wide dense layer: see dense.inc.h. */
typedef struct {
  const uint32_t *list;   /* rows of the inputs that are set, filled with the last row, which is zero */
  uint32_t count;         /* a multiple of 16 */
  size_t rows;
  const uint8_t *weights; /* [vectors][rows] vectors */
  const uint8_t *limit;   /* [vectors][planes] vectors */
  uint32_t start;         /* first value of every counter */
  int vectors, planes;
  uint8_t *out;
} pn_dense_job;

typedef struct pn_window pn_window;

struct pn_kernels_t {
  const char *name;
  int (*available)(void);
  const pn_mode_t *const *modes;
  int mode_count, vector; /* vector: bytes */
  void (*depthwise)(const pn_depthwise_job *job);
  /* Differing bits of `x` and each of `rows` rows of `bytes` bytes (a multiple of 64). */
  void (*dense)(const uint8_t *x, const uint8_t *weights, int rows, size_t bytes, int32_t *mismatches);
  void (*dense_rows)(const pn_dense_job *job);
  uint32_t *(*set_bits)(const uint8_t *bytes, size_t count, uint32_t first, uint32_t per_byte, uint32_t *list);
  /* Index planes of padded bits: see common.inc.h. */
  void (*index_bits)(const uint8_t *padded, size_t size, uint32_t channels, const uint8_t *pads, uint8_t *index,
                     size_t carry);
  void (*index_image)(const uint8_t *padded, size_t size, uint32_t channels, const uint8_t *pads, uint8_t *index,
                      size_t carry);
  void (*pool_bits)(const uint8_t *plane, const uint8_t *inside, const int32_t *offset, int taps, int positions,
                    uint8_t *out);
  void (*pool_pixels)(const uint8_t *plane, const uint8_t *inside, const int32_t *offset, int taps, int positions,
                      uint8_t *out);
  void (*pixels)(const pn_pixel_job *job);
  void (*center_pixels)(const uint8_t *padded, const uint8_t *inside, size_t size, int16_t *values);
  /* Rows: see rows.inc.h. */
  void (*pad)(const pn_window *window, const uint8_t *plane, uint32_t count, uint32_t h, uint32_t w, uint8_t *padded);
  void (*crop)(const uint8_t *from, uint32_t rows, uint32_t width, size_t pitch, uint8_t *to);
  void (*merge)(const uint8_t *from, uint32_t rows, uint32_t width, size_t pitch, unsigned shift, uint8_t *to,
                uint8_t *next);
};

extern const pn_kernels_t pn_portable, pn_avx2, pn_avx512, pn_avx512_popcnt, pn_neon;

/* Where the taps of a window lie once a map is padded and split into stride x stride phases. */
struct pn_window {
  uint32_t kh, kw, stride, ph, pw;
  uint32_t oh, ow;     /* output size */
  uint32_t rows, pitch; /* of a phase */
  size_t phase, size;  /* bytes of a phase, of all phases */
  int positions;       /* flattened output positions: (oh - 1) * pitch + ow */
  int32_t *tap;        /* kh * kw offsets */
  uint8_t *inside;     /* size bytes: 255 inside the image, 0 outside */
};

typedef struct {
  uint8_t kind, relation, width; /* relation: form of the logits; width: bytes of a threshold */
  uint16_t src0, src1, dst, offset, cout;
  pn_window window;
  uint32_t k;            /* inputs of one output */
  uint8_t *weights;      /* as the kernel wants them */
  size_t weight_bytes;
  int32_t *threshold;    /* cout */
  const float *floats;   /* of the logits */
  /* convolution */
  const pn_mode_t *mode;
  int vectors, real, groups, segments, planes;
  int vector;            /* bytes of one, of a wide dense layer */
  uint8_t *index_pads;   /* 128 outside the image */
  int32_t *index_offset;
  uint8_t *tables;       /* all of them, or NULL: built on the way */
  uint8_t *levels;       /* threshold planes: vectors * planes * vector bytes */
  uint8_t *odd_lanes;
  uint8_t *start, *odd;
  size_t start_stride;
  size_t row_bytes;      /* dense: bytes of a row of weights, or 0: a row for each input, levels for even and odd counts */
  int direct;            /* few pixels: 16-bit sums, weights are codes */
  int16_t *limit;        /* cout, for 16-bit sums */
} pn_op;

struct pn_network {
  const pn_kernels_t *kernels;
  int flags;
  pn_tensor_t *tensors;
  uint32_t tensor_count;
  pn_op *ops;
  uint32_t op_count;
  uint8_t *copy; /* the file's bytes */
  size_t tensor_bytes, padded_bytes, index_bytes, out_bytes, table_bytes, sum_bytes, counter_bytes, weight_bytes;
  size_t kept; /* bytes of look-up tables kept so far */
};

struct pn_workspace {
  const pn_network *network;
  uint8_t *tensors, *padded, *index, *out, *table, *counters;
  int32_t *sums;
  uint64_t *profile;
};

/* window.c */
int pn_window_init(pn_window *window, const pn_tensor_t *source);
void pn_window_free(pn_window *window);
/* build.c */
int pn_build(pn_network *network, pn_op *op, const uint8_t *bits);
/* tables.c */
void *pn_take(size_t bytes);
void pn_release(void *memory);
/* run.c */
void pn_execute(const pn_network *network, const pn_op *op, pn_workspace *work);

#endif
