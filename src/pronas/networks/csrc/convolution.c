/* Dense convolution with odd kernel sides and "same" zero padding, and the batch norm and activation after it, in
 * training: see product.h, norm.h and _convolution.py. Maps (n, h, w, c), weights (f, c, kernel
 * height, kernel width) or, with `last`, (f, kernel height, kernel width, c). */
#include "norm.h"
#include "product.h"

#define MOST_STRIDE 2
#define MOST_UNFOLDED 32  /* numbers in a result of few channels and several taps: these are laid out side by side first */
#define GROUPED_PIXELS 64 /* that a tile of the gradient to the weights should sum over: images are taken together */

typedef struct {
    int64_t n, h, w, c, f, tall, wide, stride; /* tall, wide: of the kernel */
    int64_t oh, ow, taps, lanes;               /* lanes: f, rounded up to vectors */
    int64_t unfolded;                          /* numbers in a result, where they are laid out side by side, or 0 */
    int64_t binary;                            /* whether the weights' signs are used */
    int64_t channel, tap;                      /* floats from one of a filter's weights to the next of these */
} Shape;

/* The tensors of a call; what is not wanted is NULL. */
typedef struct {
    const float *x, *weights, *gain, *bias;
    float *running_mean, *running_variance, *saved, *y, *result;
    int64_t between, kind; /* between: floats from one of the result's rows to the next */
    double epsilon, momentum;
} Forward;

typedef struct {
    const float *output, *x, *weights, *y, *gain, *bias, *saved;
    int64_t image, row; /* distances in output */
    float *to_x, *to_weights, *to_gain, *to_bias;
    int64_t kind, add;
} Backward;

static Shape shape_of(int64_t n, int64_t h, int64_t w, int64_t c, int64_t f, int64_t tall, int64_t wide, int64_t stride,
                      int64_t binary, int64_t last) {
    int64_t lanes = (f + LANES - 1) / LANES * LANES, taps = tall * wide, unfolded = taps > 1 && taps * c <= MOST_UNFOLDED;
    return (Shape){n, h, w, c, f, tall, wide, stride, (h + stride - 1) / stride, (w + stride - 1) / stride, taps, lanes,
                   unfolded ? taps * c : 0, binary, last ? 1 : taps, last ? c : 1};
}

/* Results at every `to`-th pixel of a map from one on, which read every `from`-th pixel of another. */
typedef struct {
    int64_t rows, columns, from, to, to_y, to_x;
} Grid;

/* Room for a table of `rows` results of `taps` taps, and its weights. Returns whether there was memory; free_gather then. */
static int make_gather(Gather *g, int64_t rows, int64_t taps, int64_t depth, int64_t width) {
    int64_t numbers = (width + STEP - 1) / STEP * STEP * taps * depth;
    *g = (Gather){rows, taps, depth, width, malloc((size_t)(rows * (taps + 1)) * sizeof(int32_t)), NULL, NULL};
    if (!g->from || !(g->weights = room(numbers / LANES))) return 0;
    memset(g->weights, 0, (size_t)numbers * sizeof(float));
    g->to = g->from + rows * taps;
    return 1;
}

static void free_gather(Gather *g) {
    free(g->from);
    free(g->weights);
}

/* down, across: where a tap reads, from the first pixel that a result's grid reads on; h, w, between: the map read, and
 * the floats between its pixels. */
static void place_tap(Gather *g, Grid grid, int64_t tap, int64_t down, int64_t across, int64_t h, int64_t w, int64_t between) {
    int32_t *from = g->from + tap * g->rows;
    for (int64_t p = 0; p < grid.rows; p++)
        for (int64_t q = 0; q < grid.columns; q++) {
            int64_t y = p * grid.from + down, x = q * grid.from + across;
            *from++ = y < 0 || x < 0 || y >= h || x >= w ? -1 : (int32_t)((y * w + x) * between);
        }
}

static void place_results(Gather *g, Grid grid, int64_t w, int64_t between) {
    int32_t *to = g->to;
    for (int64_t p = 0; p < grid.rows; p++)
        for (int64_t q = 0; q < grid.columns; q++)
            *to++ = (int32_t)(((p * grid.to + grid.to_y) * w + q * grid.to + grid.to_x) * between);
}

/* A tap's matrix (rows, width), the two `down` and `across` floats apart in `from`, into the panels from row `first` on. */
static void place_weights(Gather *g, int64_t first, int64_t rows, const float *from, int64_t down, int64_t across, int64_t binary) {
    int64_t panel = g->taps * g->depth * STEP;
    float *to = g->weights + first * STEP;
    if (across < down) { /* what lies side by side first */
        for (int64_t k = 0; k < rows; k++)
            for (int64_t lane = 0; lane < g->width; lane++)
                to[lane / STEP * panel + k * STEP + lane % STEP] = used_weight(from[k * down + lane * across], binary);
        return;
    }
    for (int64_t lane = 0; lane < g->width; lane++)
        for (int64_t k = 0; k < rows; k++)
            to[lane / STEP * panel + k * STEP + lane % STEP] = used_weight(from[k * down + lane * across], binary);
}

static int gather_inputs(Shape s, const float *weights, Gather *g) {
    Grid grid = {s.oh, s.ow, s.stride, 1, 0, 0}, same = {s.oh, s.ow, 1, 1, 0, 0};
    if (!make_gather(g, s.oh * s.ow, s.unfolded ? 1 : s.taps, s.unfolded ? s.unfolded : s.c, s.f)) return 0;
    place_results(g, grid, s.ow, s.f);
    if (s.unfolded) place_tap(g, same, 0, 0, 0, s.oh, s.ow, s.unfolded);
    for (int64_t tap = 0; tap < s.taps; tap++) {
        if (!s.unfolded) place_tap(g, grid, tap, tap / s.wide - s.tall / 2, tap % s.wide - s.wide / 2, s.h, s.w, s.c);
        place_weights(g, tap * s.c, s.c, weights + tap * s.tap, s.channel, s.c * s.taps, s.binary);
    }
    return 1;
}

/* The gradient to the input pixels whose padded row and column leave these remainders: the taps that reach them. */
static int gather_gradients(Shape s, const float *weights, int64_t down, int64_t across, Gather *g) {
    int64_t first = (s.tall / 2 - down + s.stride - 1) / s.stride, left = (s.wide / 2 - across + s.stride - 1) / s.stride;
    int64_t y = first * s.stride + down - s.tall / 2, x = left * s.stride + across - s.wide / 2;
    Grid grid = {(s.h - y + s.stride - 1) / s.stride, (s.w - x + s.stride - 1) / s.stride, 1, s.stride, y, x};
    int64_t tall = (s.tall - down + s.stride - 1) / s.stride, wide = (s.wide - across + s.stride - 1) / s.stride;
    if (!make_gather(g, grid.rows * grid.columns, tall * wide, s.f, s.c)) return 0;
    place_results(g, grid, s.w, s.c);
    for (int64_t tap = 0; tap < tall * wide; tap++) {
        int64_t i = tap / wide, j = tap % wide, whole = (i * s.stride + down) * s.wide + j * s.stride + across;
        place_tap(g, grid, tap, first - i, left - j, s.oh, s.ow, s.lanes);
        place_weights(g, tap * s.f, s.f, weights + whole * s.tap, s.c * s.taps, s.channel, s.binary);
    }
    return 1;
}

INLINE void ask_for(const float *place, int64_t floats, const int write) {
    for (int64_t at = 0; at < floats; at += LANES) __builtin_prefetch(place + at, write, 2);
}

/* The first result whose tap `offset` lies in an image, and how many do. */
INLINE int64_t reached(int64_t offset, int64_t in, int64_t out, int64_t stride, int64_t *first) {
    *first = offset < 0 ? (-offset + stride - 1) / stride : 0;
    int64_t last = in - 1 - offset < 0 ? -1 : (in - 1 - offset) / stride;
    return (last < out - 1 ? last : out - 1) - *first + 1;
}

/* Buffers, zero at first: a row of zeros, an image with its border, its numbers laid out side by side (pixels of the result,
 * taps, c), the results of some images where these are not kept. */
typedef struct {
    float *zeros, *padded, *unfolded, *results;
} Buffers;

static int64_t padded_floats(Shape s) { return s.unfolded ? (s.h + s.tall - 1) * (s.w + s.wide - 1) * s.c + 4 : 0; }

static int64_t unfolded_floats(Shape s) { return s.unfolded ? s.oh * s.ow * s.unfolded + 4 : 0; }

typedef float quarter __attribute__((vector_size(16), aligned(4), may_alias));

/* A window's rows are copied four numbers at a time: what is too much the next row overwrites. */
static void unfold(Shape s, const float *x, Buffers at) {
    int64_t line = s.wide * s.c, row = (s.w + s.wide - 1) * s.c;
    for (int64_t y = 0; y < s.h; y++)
        memcpy(at.padded + (y + s.tall / 2) * row + s.wide / 2 * s.c, x + y * s.w * s.c, (size_t)(s.w * s.c) * sizeof(float));
    float *to = at.unfolded;
    for (int64_t y = 0; y < s.oh; y++)
        for (int64_t column = 0; column < s.ow; column++) {
            const float *from = at.padded + y * s.stride * row + column * s.stride * s.c;
            for (int64_t down = 0; down < s.tall; down++, from += row, to += line)
                for (int64_t k = 0; k < line; k += 4) *(quarter *)(to + k) = *(const quarter *)(from + k);
        }
}

/* Vectors that the buffers take, and where they lie in `memory`: zeros for `widest` channels, `images` images' results. */
static int64_t buffers_of(Shape s, int64_t widest, int64_t images, float *memory, Buffers *at) {
    int64_t sizes[] = {widest, padded_floats(s), unfolded_floats(s), images * s.oh * s.ow * s.f}, total = 0;
    float *places[4];
    for (int i = 0; i < 4; i++) {
        if (at) places[i] = memory + total * LANES;
        total += (sizes[i] + LANES - 1) / LANES;
    }
    if (at) *at = (Buffers){places[0], places[1], places[2], places[3]};
    return total;
}

static void compute(Shape s, const Gather *g, const float *x, Buffers at, float *results) {
    if (s.unfolded) unfold(s, x, at);
    gathered(g, s.unfolded ? at.unfolded : x, at.zeros, results, 0);
}

/* Some images' results before the norm: those kept in y or, where none are, computed afresh. */
static const float *results_of(Shape s, const Gather *g, const float *x, const float *y, int64_t first, int64_t images, Buffers at) {
    int64_t in = s.h * s.w * s.c, out = s.oh * s.ow * s.f;
    if (y) return y + first * out;
    for (int64_t image = 0; image < images; image++) compute(s, g, x + (first + image) * in, at, at.results + image * out);
    return at.results;
}

/* The convolution of all images and, where a norm follows, its moments while a result is still in a near cache. */
static void convolve(Shape s, const Gather *g, const Forward *job, Norm *norm, Buffers at) {
    int64_t in = s.h * s.w * s.c, out = s.oh * s.ow * s.f;
    for (int64_t image = 0; image < s.n; image++) {
        if (image + 1 < s.n) ask_for(job->x + (image + 1) * in, in, 0);
        float *results = job->y ? job->y + image * out : at.results;
        compute(s, g, job->x + image * in, at, results);
        if (!norm) continue;
        if (image == 0) memcpy(norm->shift, results, (size_t)s.f * sizeof(float));
        moments(results, s.oh * s.ow, *norm);
    }
}

static void normalise(Shape s, const Gather *g, const Forward *job, Norm norm, Buffers at) {
    int64_t pixels = s.oh * s.ow;
    settle(norm, s.n * pixels, job->gain, job->bias, job->running_mean, job->running_variance, job->saved, job->epsilon,
           job->momentum);
    for (int64_t image = s.n - 1; image >= 0; image--)
        apply(results_of(s, g, job->x, job->y, image, 1, at), job->result + image * pixels * job->between, job->between, pixels,
              norm, job->kind);
}

static int forward(Shape s, const Forward *job) {
    Gather g = {0};
    Norm norm = {0};
    int64_t vectors = buffers_of(s, s.c, job->y ? 0 : 1, NULL, NULL);
    float *memory = room(vectors);
    int ready = memory && gather_inputs(s, job->weights, &g);
    if (ready && job->gain) ready = (norm = norm_of(s.f)).sums != NULL;
    if (ready) {
        Buffers at;
        buffers_of(s, s.c, 1, memory, &at);
        fill(memory, vectors, 0.0f);
        convolve(s, &g, job, job->gain ? &norm : NULL, at);
        if (job->gain) normalise(s, &g, job, norm, at);
    }
    free(norm.sums);
    free_gather(&g);
    free(memory);
    return !ready;
}

/* sums (taps, c, lanes) += some images' gradient to the weights. */
static void add_to_weights(Shape s, const float *x, const float *gradient, int64_t images, float *sums) {
    int64_t size = even_share(s.c, ROWS);
    for (int64_t k = 0; k < s.c; k += size)
        for (int64_t tap = 0; tap < s.taps; tap++) {
            int64_t down = tap / s.wide - s.tall / 2, across = tap % s.wide - s.wide / 2, y, left;
            Extent extent = {images, reached(down, s.h, s.oh, s.stride, &y), reached(across, s.w, s.ow, s.stride, &left)};
            if (extent.rows < 1 || extent.columns < 1) continue;
            const float *from = x + ((y * s.stride + down) * s.w + left * s.stride + across) * s.c + k;
            Field a = {from, s.h * s.w * s.c, s.stride * s.w * s.c, s.stride * s.c};
            Field b = {gradient + (y * s.ow + left) * s.lanes, s.oh * s.ow * s.lanes, s.ow * s.lanes, s.lanes};
            outer_row(least(size, s.c - k), s.lanes, a, b, extent, sums + (tap * s.c + k) * s.lanes);
        }
}

/* The same where numbers are laid out side by side: one image after the other. */
static void add_unfolded(Shape s, const float *x, const float *gradient, int64_t images, Buffers at, float *sums) {
    int64_t size = even_share(s.unfolded, ROWS), pixels = s.oh * s.ow;
    Extent extent = {1, 1, pixels};
    for (int64_t image = 0; image < images; image++) {
        unfold(s, x + image * s.h * s.w * s.c, at);
        for (int64_t k = 0; k < s.unfolded; k += size) {
            Field a = {at.unfolded + k, 0, 0, s.unfolded}, b = {gradient + image * pixels * s.lanes, 0, 0, s.lanes};
            outer_row(least(size, s.unfolded - k), s.lanes, a, b, extent, sums + k * s.lanes);
        }
    }
}

static void store_weights(Shape s, const float *sums, const float *weights, float *gradient) {
    for (int64_t f = 0; f < s.f; f++)
        for (int64_t tap = 0; tap < s.taps; tap++)
            for (int64_t k = 0; k < s.c; k++) {
                int64_t place = f * s.c * s.taps + k * s.channel + tap * s.tap;
                gradient[place] = through_weight(sums[(tap * s.c + k) * s.lanes + f], weights[place], s.binary);
            }
}

/* What a backward pass works with. */
typedef struct {
    Gather results, phases[MOST_STRIDE * MOST_STRIDE]; /* results: to compute them afresh */
    Norm norm;
    int64_t group;     /* images taken together */
    float *sums;       /* the gradient to the weights so far, (taps, c, lanes) */
    float *rows;       /* a group's gradient to the results, rows of `lanes` floats of which those beyond f stay zero */
    Buffers at;        /* of a group's results, but one image laid out side by side */
} Work;

static void free_work(Work *work) {
    free_gather(&work->results);
    for (int phase = 0; phase < MOST_STRIDE * MOST_STRIDE; phase++) free_gather(work->phases + phase);
    free(work->norm.sums);
    free(work->sums);
}

/* Returns whether there was memory; free_work in any case. */
static int make_work(Shape s, const Backward *job, Work *work) {
    int64_t pixels = s.oh * s.ow, group = (GROUPED_PIXELS - 1) / pixels + 1, afresh = job->gain && !job->y;
    int64_t kernel = s.taps * s.c * s.lanes, rows = group * pixels * s.lanes, widest = s.c > s.lanes ? s.c : s.lanes;
    int64_t vectors = (kernel + rows) / LANES + buffers_of(s, widest, afresh ? group : 0, NULL, NULL);
    memset(work, 0, sizeof *work);
    work->group = group;
    if (!(work->sums = room(vectors))) return 0;
    fill(work->sums, vectors, 0.0f);
    work->rows = work->sums + kernel;
    buffers_of(s, widest, group, work->rows + rows, &work->at);
    for (int64_t phase = 0; phase < s.stride * s.stride && job->to_x; phase++)
        if (!gather_gradients(s, job->weights, phase / s.stride, phase % s.stride, work->phases + phase)) return 0;
    if (afresh && !gather_inputs(s, job->weights, &work->results)) return 0;
    return !job->gain || (work->norm = norm_of(s.f)).sums != NULL;
}

/* Some images' gradient to what the norm made, with the results that it read. */
static Pair pair_of(Shape s, const Backward *job, const Work *work, int64_t first, int64_t images) {
    const float *y = results_of(s, &work->results, job->x, job->y, first, images, work->at);
    return (Pair){job->output + first * job->image, y, images, job->image, s.oh * s.ow, job->row};
}

/* The norm's own gradients, and what those to the results need. */
static void to_norm(Shape s, const Backward *job, const Work *work) {
    recall(work->norm, job->gain, job->bias, job->saved);
    for (int64_t first = 0; first < s.n; first += work->group)
        gradient_sums(pair_of(s, job, work, first, least(work->group, s.n - first)), job->saved, work->norm, job->kind);
    settle_gradient(work->norm, s.n * s.oh * s.ow, job->saved, job->to_gain, job->to_bias);
}

/* Some images' gradient to the convolution's results, into the rows. */
static void to_results(Shape s, const Backward *job, const Work *work, int64_t first, int64_t images) {
    if (job->gain) {
        gradient_to_x(pair_of(s, job, work, first, images), work->norm, work->rows, s.lanes, job->kind);
        return;
    }
    float *to = work->rows;
    for (int64_t image = first; image < first + images; image++)
        for (int64_t p = 0; p < s.oh * s.ow; p++, to += s.lanes)
            memcpy(to, job->output + image * job->image + p * job->row, (size_t)s.f * sizeof(float));
}

static void gradients(Shape s, const Backward *job, const Work *work) {
    int64_t in = s.h * s.w * s.c, out = s.oh * s.ow * s.lanes;
    for (int64_t first = 0; first < s.n; first += work->group) {
        int64_t images = least(work->group, s.n - first), next = least(work->group, s.n - first - images);
        to_results(s, job, work, first, images);
        ask_for(job->x + (first + images) * in, next * in, 0);
        if (job->to_weights && s.unfolded)
            add_unfolded(s, job->x + first * in, work->rows, images, work->at, work->sums);
        else if (job->to_weights)
            add_to_weights(s, job->x + first * in, work->rows, images, work->sums);
        if (!job->to_x) continue;
        ask_for(job->to_x + (first + images) * in, next * in, 1);
        for (int64_t image = 0; image < images; image++)
            for (int64_t phase = 0; phase < s.stride * s.stride; phase++)
                gathered(work->phases + phase, work->rows + image * out, work->at.zeros, job->to_x + (first + image) * in, (int)job->add);
    }
}

static int backward(Shape s, const Backward *job) {
    Work work;
    int ready = make_work(s, job, &work);
    if (ready) {
        if (job->gain) to_norm(s, job, &work);
        gradients(s, job, &work);
        if (job->to_weights) store_weights(s, work.sums, job->weights, job->to_weights);
    }
    free_work(&work);
    return !ready;
}

/* y: (n, ceil(h / stride), ceil(w / stride), f), the convolution of x. Where gain is given (f at least 16): its batch norm
 * and what follows in result, as in pronas_norm, whose pixels are `between` floats apart; y may then be NULL, and is computed whenever it is read, which costs less
 * than memory where few numbers go into a result. Stride 1 or 2; binary: the weights' signs are used. Returns 0, or 1 if there is no memory. */
EXPORT int pronas_convolution(
    const float *x, const float *weights, const float *gain, const float *bias, float *running_mean, float *running_variance,
    float *saved, float *y, float *result, int64_t between, int64_t n, int64_t h, int64_t w, int64_t c, int64_t f, int64_t tall,
    int64_t wide, int64_t stride, int64_t binary, int64_t last, int64_t kind, double epsilon, double momentum) {
    Forward job = {x, weights, gain, bias, running_mean, running_variance, saved, y, result, between, kind, epsilon, momentum};
    return forward(shape_of(n, h, w, c, f, tall, wide, stride, binary, last), &job);
}

/* The gradients of pronas_convolution to x (NULL: not wanted; with add: on top of what is there), weights (NULL: not
 * wanted), gain and bias. output: gradient to result, or to y where there is no gain, whose images and pixels begin `image`
 * and `row` floats after one another. Sums go over images in order. Returns 0, or 1 if there is no memory. */
EXPORT int pronas_convolution_backward(
    const float *output, int64_t image, int64_t row, const float *x, const float *weights, const float *y, const float *gain,
    const float *bias, const float *saved, float *to_x, float *to_weights, float *to_gain, float *to_bias, int64_t n, int64_t h,
    int64_t w, int64_t c, int64_t f, int64_t tall, int64_t wide, int64_t stride, int64_t binary, int64_t last,
    int64_t kind, int64_t add) {
    Backward job = {output, x, weights, y, gain, bias, saved, image, row, to_x, to_weights, to_gain, to_bias, kind, add};
    return backward(shape_of(n, h, w, c, f, tall, wide, stride, binary, last), &job);
}
