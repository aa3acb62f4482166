/* The convolution kernel, once for every vector shape. Included with these macros:
 *   NAME(x)                names of this instance
 *   LANES, POS             a vector holds LANES bytes of 8 output channels times POS positions
 *   TABLE                  bytes of the table of one group
 *   LOOK(table, index)     partial sums of one group at POS positions: the plane of ones or of twos
 *   SPREAD(pointer)        POS bytes, repeated for each lane
 *   STORE(job, position, v)
 * and, the same for every shape of a kernel set: MANY (vectors of positions worked on together), V (a vector of VB bytes), LOAD, ZERO, ONES, XOR, AND, XOR3, MAJ,
 * GE(count, limit, ge) = (count & ~limit) | (~(count ^ limit) & ge).
 *
 * Three inputs make a group. For each combination of their bits the table holds how many of them agree with the
 * weights of 8 output channels, as two bit planes (ones, twos); one byte shuffle looks up 8 channels at every position of
 * a vector. Planes are added by full adders, so counters stay bit-sliced, and comparing them with a threshold gives
 * packed bits. An index whose top bit is set (a tap outside the image) adds nothing: zero padding costs nothing. */

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)

#define R 1
#define NAMER(x) PASTE(NAME(x), _single)
#include "block.inc.h"
#undef R
#undef NAMER

#if MANY > 1
#define R MANY
#define NAMER(x) PASTE(NAME(x), _many)
#include "block.inc.h"
#undef R
#undef NAMER
#endif

/* Tables of 16 entries for each group: 8 times ones, 8 times twos. */
static void NAME(expand)(uint8_t *table, const uint8_t *weights, int real, int groups) {
  EXPAND(LANES, TABLE, table, weights, real);
  memset(table + (size_t)real * TABLE, 0, (size_t)(groups - real) * TABLE);
}

/* Blocks of MANY vectors as far as they are more than half full, then single vectors: `middle` is where those begin. */
static void NAME(tile)(const pn_conv_job *job, int at, int middle, int end) {
  int planes = job->planes < 6 ? 6 : job->planes;
  for (int first = 0, left; first < job->groups; first += left) {
    const uint8_t *table = job->table ? job->table + (size_t)first * TABLE : job->room;
    left = job->groups - first < PN_CHUNK ? job->groups - first : PN_CHUNK;
    if (!job->table) {
      int real = job->real - first < left ? job->real - first : left;
      NAME(expand)(job->room, job->weights + (size_t)first * 3 * LANES, real, left);
    }
#if MANY > 1
    PASTE(NAME(chunk), _many)(job, at, middle, first, left, table, job->counters);
#endif
    PASTE(NAME(chunk), _single)(job, middle, end, first, left, table,
                                job->counters + (size_t)(middle - at) / POS * planes * VB);
  }
}

static void NAME(conv)(const pn_conv_job *job) {
  enum { BLOCK = MANY * POS, MOST = (PN_TILE - 1) * BLOCK };
  int blocks = MANY > 1 ? (job->positions + POS - 1) / BLOCK : 0, middle = blocks * BLOCK, at = 0;
  if (job->segments > 1) {
#if MANY > 1
    PASTE(NAME(segments), _many)(job, 0, middle);
#endif
    PASTE(NAME(segments), _single)(job, middle, job->positions);
    return;
  }
  for (int end; at < job->positions; at = end) {
    int rest = job->positions - at;
    end = rest > MOST + POS ? at + MOST : job->positions;
    NAME(tile)(job, at, middle < at ? at : rest > MOST + POS && middle > end ? end : middle, end);
  }
}

static const pn_mode_t NAME(mode) = {LANES, POS, VB, TABLE, MANY, NAME(conv), NAME(expand)};

#undef NAME
#undef TABLE
#undef LOOK
#undef SPREAD
#undef STORE
#undef POS
#undef LANES
#undef PASTE
#undef PASTE_
