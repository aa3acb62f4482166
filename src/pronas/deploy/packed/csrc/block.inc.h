/* The convolution kernel for R vectors of positions at once (R * POS positions share table loads and addresses).
 * Included by conv.inc.h, which says what the macros are. */

typedef struct {
  V v[R];
} NAMER(W);

#define W NAMER(W)
#define EACH for (int r = 0; r < R; r++)
#define INLINE static inline __attribute__((always_inline))

/* Full adder: the sum replaces `sum`, the carry is returned. */
INLINE W NAMER(add)(W *sum, W a, W b) {
  W carry, s = *sum;
  EACH carry.v[r] = MAJ(s.v[r], a.v[r], b.v[r]);
  EACH sum->v[r] = XOR3(s.v[r], a.v[r], b.v[r]);
  return carry;
}

INLINE W NAMER(half)(W *sum, W a) {
  W carry;
  EACH carry.v[r] = AND(sum->v[r], a.v[r]);
  EACH sum->v[r] = XOR(sum->v[r], a.v[r]);
  return carry;
}

INLINE W NAMER(zero)(void) {
  W zero;
  EACH zero.v[r] = ZERO;
  return zero;
}

/* Two groups: ones and twos take them in; the carry out of ones comes back in `low`, that out of twos in `high`. */
INLINE void NAMER(pair)(const pn_conv_job *job, const int32_t *offset, const uint8_t *table, const uint8_t *index,
                        W *ones, W *twos, W *low, W *high) {
  const uint8_t *a = index + offset[0], *b = index + offset[1];
  W x, y;
  EACH x.v[r] = LOOK(table, a + r * POS);
  EACH y.v[r] = LOOK(table + TABLE, b + r * POS);
  *low = NAMER(add)(ones, x, y);
  a += job->carry, b += job->carry;
  EACH x.v[r] = LOOK(table, a + r * POS);
  EACH y.v[r] = LOOK(table + TABLE, b + r * POS);
  *high = NAMER(add)(twos, x, y);
}

/* Four groups: ones and twos are updated, three fours come out. */
INLINE void NAMER(quad)(const pn_conv_job *job, const int32_t *offset, const uint8_t *table, const uint8_t *index,
                        W *ones, W *twos, W *fours) {
  W s, t;
  NAMER(pair)(job, offset, table, index, ones, twos, &s, &fours[0]);
  NAMER(pair)(job, offset + 2, table + 2 * TABLE, index, ones, twos, &t, &fours[1]);
  fours[2] = NAMER(add)(twos, s, t);
}

/* Eight groups: three eights come out. */
INLINE void NAMER(octet)(const pn_conv_job *job, const int32_t *offset, const uint8_t *table, const uint8_t *index,
                         W *ones, W *twos, W *fours, W *eights) {
  W f[6];
  NAMER(quad)(job, offset, table, index, ones, twos, f);
  eights[0] = NAMER(add)(fours, f[0], f[1]);
  NAMER(quad)(job, offset + 4, table + 4 * TABLE, index, ones, twos, f + 3);
  eights[1] = NAMER(add)(fours, f[2], f[3]);
  eights[2] = NAMER(add)(fours, f[4], f[5]);
}

/* Add `left` groups to the counter planes `p`. Not inlined: alone, its registers are allocated well (a tenth of the time). */
static __attribute__((noinline)) void NAMER(count)(const pn_conv_job *job, const int32_t *offset, const uint8_t *table,
                                                   int left, const uint8_t *index, W *p) {
  W p0 = p[0], p1 = p[1], p2 = p[2], p3 = p[3];
  int planes = job->planes;
  for (; left >= 16; left -= 16, offset += 16, table += 16 * TABLE) {
    W e[3], f[3], x, y, z;
    NAMER(octet)(job, offset, table, index, &p0, &p1, &p2, e);
    x = NAMER(add)(&p3, e[0], e[1]);
    NAMER(octet)(job, offset + 8, table + 8 * TABLE, index, &p0, &p1, &p2, f);
    y = NAMER(add)(&p3, e[2], f[0]);
    z = NAMER(add)(&p3, f[1], f[2]);
    x = NAMER(add)(&p[4], x, y);
    y = NAMER(half)(&p[4], z);
    x = NAMER(add)(&p[5], x, y);
    for (int b = 6; b < planes; b++) x = NAMER(half)(&p[b], x);
  }
  for (; left > 0; left -= 4, offset += 4, table += 4 * TABLE) {
    W f[3], e, x;
    NAMER(quad)(job, offset, table, index, &p0, &p1, f);
    e = NAMER(add)(&p2, f[0], f[1]);
    x = NAMER(add)(&p3, e, NAMER(half)(&p2, f[2]));
    for (int b = 4; b < planes; b++) x = NAMER(half)(&p[b], x);
  }
  p[0] = p0, p[1] = p1, p[2] = p2, p[3] = p3;
}

INLINE void NAMER(begin)(const pn_conv_job *job, int at, W *p) {
  int planes = job->planes;
  for (int b = 0; b < planes || b < 6; b++) p[b] = NAMER(zero)();
  for (int b = 0; job->segments == 1 && job->start && b < planes; b++)
    EACH p[b].v[r] = SPREAD(job->start + b * job->start_stride + at + r * POS);
}

/* What was counted, compared: one bit for each output. */
INLINE void NAMER(end)(const pn_conv_job *job, int at, W *p) {
  int planes = job->planes;
  if (job->segments > 1 && job->start) {
    W carry = NAMER(zero)(), start;
    for (int b = 0; b < planes; b++) {
      EACH start.v[r] = SPREAD(job->start + b * job->start_stride + at + r * POS);
      carry = NAMER(add)(&p[b], start, carry);
    }
  }
  if (job->odd) {
    W one;
    EACH one.v[r] = AND(SPREAD(job->odd + at + r * POS), LOAD(job->odd_lanes));
    for (int b = 0; b < planes; b++) one = NAMER(half)(&p[b], one);
  }
  W ge;
  EACH ge.v[r] = ONES;
  for (int b = 0; b < planes; b++) EACH ge.v[r] = GE(p[b].v[r], LOAD(job->threshold + b * VB), ge.v[r]);
  EACH STORE(job, at + r * POS, ge.v[r]);
}

/* Pixels: one segment a bit, counters doubling between them. */
static void NAMER(segments)(const pn_conv_job *job, int at, int end) {
  int planes = job->planes;
  W p[PN_MAX_PLANES];
  for (; at < end; at += R * POS) {
    NAMER(begin)(job, at, p);
    for (int s = 0; s < job->segments; s++) {
      for (int b = planes < 6 ? 5 : planes - 1; s && b > 0; b--) p[b] = p[b - 1];
      if (s) p[0] = NAMER(zero)();
      NAMER(count)(job, job->offset + s * job->groups, job->table, job->groups, job->index + at, p);
    }
    NAMER(end)(job, at, p);
  }
}

/* One chunk of groups for positions from `at` to `end`; counters stay in memory between chunks. */
static void NAMER(chunk)(const pn_conv_job *job, int at, int end, int first, int left, const uint8_t *table,
                         uint8_t *counters) {
  W *p = (W *)(void *)counters;
  for (; at < end; at += R * POS, p += job->planes < 6 ? 6 : job->planes) {
    if (!first) NAMER(begin)(job, at, p);
    NAMER(count)(job, job->offset + first, table, left, job->index + at, p);
    if (first + left == job->groups) NAMER(end)(job, at, p);
  }
}

#undef W
#undef EACH
#undef INLINE
