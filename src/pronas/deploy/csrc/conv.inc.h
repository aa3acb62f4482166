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

#define TILE 4
#define CHUNK 128 /* groups: a multiple of 16 */
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

static void NAME(conv)(const pn_conv_job *job) {
  int at = 0;
#if MANY > 1
  at = PASTE(NAME(run), _many)(job, at, job->positions);
#endif
  PASTE(NAME(run), _single)(job, at, job->positions);
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
#undef TILE
#undef CHUNK
#undef PASTE
#undef PASTE_
