/* Wide dense layers, outputs side by side in vectors: no sums across a vector. Included once by each kernel set.
 *
 * Only the rows of inputs that are set are read, half of them on average: with S the sum of their weight bits (1 for +1), n of
 * k inputs set and W the sum of an output's k weight bits, z = 4 S - 2 W - 2 n + k. So z >= t <=> S - n / 2 >=
 * (t - k + 2 W) / 4: counters are bit-sliced, begin with a number common to all outputs, and are compared with limits of
 * their own, one set for even n and one for odd n. */

/* Numbers of the set bits of `bytes`, `per_byte` of which there are in each. */
static uint32_t *set_bits(const uint8_t *bytes, size_t count, uint32_t first, uint32_t per_byte, uint32_t *list) {
  size_t i = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  for (; per_byte == 8 && i + 8 <= count; i += 8, first += 64)
    for (uint64_t x = load64(bytes + i); x; x &= x - 1) *list++ = first + (uint32_t)__builtin_ctzll(x);
#endif
  for (; i < count; i++, first += per_byte)
    for (uint32_t k = 0; k < per_byte; k++)
      if (bytes[i] >> k & 1) *list++ = first + k;
  return list;
}

#define ROW(i) LOAD(rows + (size_t)list[i] * VB)

/* Four rows into ones and twos; what leaves them comes back. */
static inline V four_rows(const uint8_t *rows, const uint32_t *list, V *ones, V *twos) {
  V a = add_planes(ones, ROW(0), ROW(1)), b = add_planes(ones, ROW(2), ROW(3));
  return add_planes(twos, a, b);
}

static inline V eight_rows(const uint8_t *rows, const uint32_t *list, V *p) {
  V a = four_rows(rows, list, &p[0], &p[1]), b = four_rows(rows, list + 4, &p[0], &p[1]);
  return add_planes(&p[2], a, b);
}

static void dense_rows(const pn_dense_job *job) {
  for (int v = 0; v < job->vectors; v++) {
    const uint8_t *rows = job->weights + (size_t)v * job->rows * VB, *limit = job->limit + (size_t)v * job->planes * VB;
    const uint32_t *list = job->list;
    V p[PN_MAX_PLANES], ge = ONES;
    for (int b = 0; b < PN_MAX_PLANES; b++) p[b] = job->start >> b & 1 ? ONES : ZERO;
    for (uint32_t left = job->count; left; left -= 16, list += 16) {
      V a = eight_rows(rows, list, p), c = eight_rows(rows, list + 8, p);
      c = add_planes(&p[3], a, c);
      for (int b = 4; b < job->planes; b++) {
        V next = AND(p[b], c);
        p[b] = XOR(p[b], c);
        c = next;
      }
    }
    for (int b = 0; b < job->planes; b++) ge = GE(p[b], LOAD(limit + b * VB), ge);
    SAVE(job->out + (size_t)v * VB, ge);
  }
}

#undef ROW
