/* The convolution kernel, once for every vector shape. Included with these macros:
 *   NAME(x)                names of this instance
 *   LANES, POS             a vector holds LANES bytes of 8 output channels times POS positions
 *   TABLE                  bytes of the table of one group
 *   LOOK(table, index)     partial sums of one group at POS positions: the plane of ones or of twos
 *   SPREAD(pointer)        POS bytes, repeated for each lane
 *   STORE(job, position, v)
 * and, the same for every shape of a kernel set: V (a vector of VB bytes), LOAD, ZERO, ONES, XOR, AND, XOR3, MAJ,
 * GE(count, limit, ge) = (count & ~limit) | (~(count ^ limit) & ge).
 *
 * Three inputs make a group. For each combination of their bits the table holds how many of them agree with the
 * weights of 8 output channels, as two bit planes (ones, twos); one byte shuffle looks up 8 channels at every position of
 * a vector. Planes are added by full adders, so counters stay bit-sliced, and comparing them with a threshold gives
 * packed bits. An index whose top bit is set (a tap outside the image) adds nothing: zero padding costs nothing. */

static inline __attribute__((always_inline)) void NAME(add)(V *sum, V *carry, V a, V b) {
  V s = *sum;
  *carry = MAJ(s, a, b);
  *sum = XOR3(s, a, b);
}

static inline __attribute__((always_inline)) V NAME(half)(V *sum, V a) {
  V carry = AND(*sum, a);
  *sum = XOR(*sum, a);
  return carry;
}

/* Four groups at `position`: ones and twos are updated, three fours come out. */
static inline __attribute__((always_inline)) void NAME(quad)(const pn_conv_job *job, const int32_t *offset,
                                                             const uint8_t *table, const uint8_t *index, V *ones,
                                                             V *twos, V *fours) {
  V low[4], high[4], t0, t1;
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const uint8_t *at = index + offset[i];
    low[i] = LOOK(table + i * TABLE, at);
    high[i] = LOOK(table + i * TABLE, at + job->carry);
  }
  NAME(add)(ones, &t0, low[0], low[1]);
  NAME(add)(ones, &t1, low[2], low[3]);
  NAME(add)(twos, &fours[0], high[0], high[1]);
  NAME(add)(twos, &fours[1], high[2], high[3]);
  NAME(add)(twos, &fours[2], t0, t1);
}

/* Counter planes of one segment, added to `p`. */
static inline __attribute__((always_inline)) void NAME(count)(const pn_conv_job *job, const int32_t *offset,
                                                              const uint8_t *index, V *p) {
  const uint8_t *table = job->table;
  V p0 = p[0], p1 = p[1], p2 = p[2], p3 = p[3], p4 = p[4], p5 = p[5];
  int left = job->groups, planes = job->planes;
  for (; left >= 16; left -= 16, offset += 16, table += 16 * TABLE) {
    V f[6], e[6], x0, x1, x2, y0, y1, z;
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
      NAME(quad)(job, offset + 8 * i, table + 8 * i * TABLE, index, &p0, &p1, f);
      NAME(quad)(job, offset + 8 * i + 4, table + (8 * i + 4) * TABLE, index, &p0, &p1, f + 3);
      NAME(add)(&p2, &e[3 * i], f[0], f[1]);
      NAME(add)(&p2, &e[3 * i + 1], f[2], f[3]);
      NAME(add)(&p2, &e[3 * i + 2], f[4], f[5]);
    }
    NAME(add)(&p3, &x0, e[0], e[1]);
    NAME(add)(&p3, &x1, e[2], e[3]);
    NAME(add)(&p3, &x2, e[4], e[5]);
    NAME(add)(&p4, &y0, x0, x1);
    y1 = NAME(half)(&p4, x2);
    NAME(add)(&p5, &z, y0, y1);
    for (int b = 6; b < planes; b++) z = NAME(half)(&p[b], z);
  }
  for (; left > 0; left -= 4, offset += 4, table += 4 * TABLE) {
    V f[3], e0, e1, x;
    NAME(quad)(job, offset, table, index, &p0, &p1, f);
    NAME(add)(&p2, &e0, f[0], f[1]);
    e1 = NAME(half)(&p2, f[2]);
    NAME(add)(&p3, &x, e0, e1);
    x = NAME(half)(&p4, x);
    x = NAME(half)(&p5, x);
    for (int b = 6; b < planes; b++) x = NAME(half)(&p[b], x);
  }
  p[0] = p0, p[1] = p1, p[2] = p2, p[3] = p3, p[4] = p4, p[5] = p5;
}

static void NAME(conv)(const pn_conv_job *job) {
  int planes = job->planes, extra = job->segments > 1;
  for (int at = 0; at < job->positions; at += POS) {
    V p[PN_MAX_PLANES + 1];
    for (int b = 0; b < planes || b < 6; b++) p[b] = ZERO;
    for (int b = 0; !extra && job->start && b < planes; b++) p[b] = SPREAD(job->start + b * job->start_stride + at);
    for (int s = 0; s < job->segments; s++) {
      for (int b = planes < 6 ? 5 : planes - 1; s && b > 0; b--) p[b] = p[b - 1];
      if (s) p[0] = ZERO;
      NAME(count)(job, job->offset + s * job->groups, job->index + at, p);
    }
    if (extra && job->start) {
      V carry = ZERO;
      for (int b = 0; b < planes; b++) {
        V next;
        NAME(add)(&p[b], &next, SPREAD(job->start + b * job->start_stride + at), carry);
        carry = next;
      }
    }
    if (job->odd) {
      V one = AND(SPREAD(job->odd + at), LOAD(job->odd_lanes));
      for (int b = 0; b < planes; b++) one = NAME(half)(&p[b], one);
    }
    V ge = ONES;
    for (int b = 0; b < planes; b++) ge = GE(p[b], LOAD(job->threshold + b * VB), ge);
    STORE(job, at, ge);
  }
}

/* Tables of 16 entries for each group: 8 times ones, 8 times twos. */
static void NAME(expand)(uint8_t *table, const uint8_t *weights, int real, int groups) {
  EXPAND(LANES, TABLE, table, weights, real);
  memset(table + (size_t)real * TABLE, 0, (size_t)(groups - real) * TABLE);
}

static const pn_mode_t NAME(mode) = {LANES, POS, VB, TABLE, NAME(conv), NAME(expand)};

#undef NAME
#undef TABLE
#undef LOOK
#undef SPREAD
#undef STORE
#undef POS
#undef LANES
