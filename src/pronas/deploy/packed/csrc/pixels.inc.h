/* Convolution over pixels: 16-bit sums. Included once by each kernel set.
 *
 * Three inputs make a group; at each position the eight sums that ±1 weights can give them are made once and shared by all
 * outputs, each of which adds one of the eight for every group. */

typedef uint16_t words __attribute__((vector_size(VB)));
typedef int16_t signed_words __attribute__((vector_size(VB)));
typedef uint8_t half_bytes __attribute__((vector_size(VB / 2)));

enum { STEP = VB / 2, WIDE = 2 }; /* positions in a vector, vectors worked on together */

typedef struct {
  words v[WIDE];
} wide_words;

static inline wide_words pixels_at(const pn_pixel_job *job, int input, int at) {
  wide_words x = {{{0}}};
  if (input < job->inputs) memcpy(&x, job->values + job->offset[input] + at, sizeof x);
  return x;
}

/* Entry i: bit 0, 1 and 2 of i say which of three inputs are added and not subtracted. */
static inline void sums_of_three(const pn_pixel_job *job, int group, int at, wide_words *entry) {
  wide_words a = pixels_at(job, 3 * group, at), b = pixels_at(job, 3 * group + 1, at),
             c = pixels_at(job, 3 * group + 2, at);
  for (int i = 0; i < WIDE; i++) {
    words sum = a.v[i] + b.v[i], difference = a.v[i] - b.v[i];
    entry[7].v[i] = sum + c.v[i], entry[3].v[i] = sum - c.v[i];
    entry[5].v[i] = difference + c.v[i], entry[1].v[i] = difference - c.v[i];
    for (int k = 1; k < 8; k += 2) entry[7 - k].v[i] = -entry[k].v[i];
  }
}

static inline __attribute__((always_inline)) void sum_groups(const pn_pixel_job *job, int groups) {
  wide_words entry[8 * ((PN_MAX_PIXELS + 2) / 3)];
  for (int at = 0; at < job->positions; at += WIDE * STEP) {
    const uint16_t *code = job->codes;
    for (int g = 0; g < groups; g++) sums_of_three(job, g, at, entry + 8 * g);
    for (int first = 0; first < job->outputs; first += 8) {
      wide_words bits = {{{0}}};
      for (int o = first; o < first + 8 && o < job->outputs; o++, code += groups) {
        wide_words sum = entry[code[0]];
        for (int g = 1; g < groups; g++)
          for (int i = 0; i < WIDE; i++) sum.v[i] += entry[code[g]].v[i];
        for (int i = 0; i < WIDE; i++) {
          signed_words above = (signed_words)sum.v[i] >= (signed_words){0} + job->limit[o];
          bits.v[i] |= (words)above & (uint16_t)(1 << (o - first));
        }
      }
      for (int i = 0; i < WIDE; i++) {
        half_bytes out = __builtin_convertvector(bits.v[i], half_bytes);
        memcpy(job->out + (size_t)(first / 8) * job->out_stride + at + i * STEP, &out, sizeof out);
      }
    }
  }
}

/* `positions` is a multiple of 64. 3x3 windows of one channel and of three have their sizes known to the compiler. */
static void sum_pixels(const pn_pixel_job *job) {
  int groups = (job->inputs + 2) / 3;
  if (groups == 3)
    sum_groups(job, 3);
  else if (groups == 9)
    sum_groups(job, 9);
  else
    sum_groups(job, groups);
}
