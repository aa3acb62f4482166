/* Dense convolution with odd kernel sides and "same" zero padding, and the batch norm and activation after it, in
 * training: see product.h, norm.h and _convolution.py. Maps (n, h, w, c), weights (f, c, kernel height, kernel width). */
#include "norm.h"
#include "product.h"

#define MOST_STRIDE 2
#define GROUPED_PIXELS 64 /* that a tile of the gradient to the weights should sum over: images are taken together */

typedef struct {
    int64_t n, h, w, c, f, tall, wide, stride; /* tall, wide: of the kernel */
    int64_t oh, ow, taps, lanes;               /* lanes: f, rounded up to vectors */
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

static Shape shape_of(int64_t n, int64_t h, int64_t w, int64_t c, int64_t f, int64_t tall, int64_t wide, int64_t stride) {
    int64_t lanes = (f + LANES - 1) / LANES * LANES;
    return (Shape){n, h, w, c, f, tall, wide, stride, (h + stride - 1) / stride, (w + stride - 1) / stride, tall * wide, lanes};
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

/* A tap's matrix (depth, width), the two `down` and `across` floats apart in `from`, into the panels. */
static void place_weights(Gather *g, int64_t tap, const float *from, int64_t down, int64_t across) {
    int64_t panel = g->taps * g->depth * STEP;
    for (int64_t lane = 0; lane < g->width; lane++) {
        float *to = g->weights + lane / STEP * panel + tap * g->depth * STEP + lane % STEP;
        for (int64_t k = 0; k < g->depth; k++) to[k * STEP] = from[k * down + lane * across];
    }
}

static int gather_inputs(Shape s, const float *weights, Gather *g) {
    Grid grid = {s.oh, s.ow, s.stride, 1, 0, 0};
    if (!make_gather(g, s.oh * s.ow, s.taps, s.c, s.f)) return 0;
    place_results(g, grid, s.ow, s.f);
    for (int64_t tap = 0; tap < s.taps; tap++) {
        place_tap(g, grid, tap, tap / s.wide - s.tall / 2, tap % s.wide - s.wide / 2, s.h, s.w, s.c);
        place_weights(g, tap, weights + tap, s.taps, s.c * s.taps);
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
        place_weights(g, tap, weights + whole, s.c * s.taps, s.taps);
    }
    return 1;
}

INLINE void ask_for(const float *place, int64_t floats, const int write) {
    for (int64_t at = 0; at < floats; at += LANES) __builtin_prefetch(place + at, write, 2);
}

/* Some images' results, from the one before the norm on: those kept in y or, where none are, computed afresh into `place`. */
static const float *results_of(Shape s, const Gather *g, const float *x, const float *y, int64_t first, int64_t images,
                               const float *zeros, float *place) {
    int64_t in = s.h * s.w * s.c, out = s.oh * s.ow * s.f;
    if (y) return y + first * out;
    for (int64_t image = 0; image < images; image++) gathered(g, x + (first + image) * in, zeros, place + image * out, 0);
    return place;
}

/* The convolution of all images and, where a norm follows, its moments while a result is still in a near cache. */
static void convolve(Shape s, const Gather *g, const float *zeros, const Forward *job, Norm *norm, float *place) {
    int64_t in = s.h * s.w * s.c, out = s.oh * s.ow * s.f;
    for (int64_t image = 0; image < s.n; image++) {
        if (image + 1 < s.n) ask_for(job->x + (image + 1) * in, in, 0);
        float *results = job->y ? job->y + image * out : place;
        gathered(g, job->x + image * in, zeros, results, 0);
        if (!norm) continue;
        if (image == 0) memcpy(norm->shift, results, (size_t)s.f * sizeof(float));
        moments(results, s.oh * s.ow, *norm);
    }
}

static void normalise(Shape s, const Gather *g, const float *zeros, const Forward *job, Norm norm, float *place) {
    int64_t pixels = s.oh * s.ow;
    settle(norm, s.n * pixels, job->gain, job->bias, job->running_mean, job->running_variance, job->saved, job->epsilon,
           job->momentum);
    for (int64_t image = s.n - 1; image >= 0; image--)
        apply(results_of(s, g, job->x, job->y, image, 1, zeros, place), job->result + image * pixels * job->between,
              job->between, pixels, norm, job->kind);
}

static int forward(Shape s, const Forward *job) {
    Gather g = {0};
    Norm norm = {0};
    int64_t depth = (s.c + LANES - 1) / LANES;
    float *zeros = room(depth + (job->y ? 0 : s.oh * s.ow * s.f / LANES + 1));
    int ready = zeros && gather_inputs(s, job->weights, &g);
    if (ready && job->gain) ready = (norm = norm_of(s.f)).sums != NULL;
    if (ready) {
        float *place = zeros + depth * LANES;
        fill(zeros, depth, 0.0f);
        convolve(s, &g, zeros, job, job->gain ? &norm : NULL, place);
        if (job->gain) normalise(s, &g, zeros, job, norm, place);
    }
    free(norm.sums);
    free_gather(&g);
    free(zeros);
    return !ready;
}

/* The first result whose tap `offset` lies in an image, and how many do. */
INLINE int64_t reached(int64_t offset, int64_t in, int64_t out, int64_t stride, int64_t *first) {
    *first = offset < 0 ? (-offset + stride - 1) / stride : 0;
    int64_t last = in - 1 - offset < 0 ? -1 : (in - 1 - offset) / stride;
    return (last < out - 1 ? last : out - 1) - *first + 1;
}

/* sums (taps, c, lanes) += some images' gradient to the weights. */
INLINE void add_to_weights(Shape s, const float *x, const float *gradient, int64_t images, float *sums) {
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

static void store_weights(Shape s, const float *sums, float *weights) {
    for (int64_t f = 0; f < s.f; f++)
        for (int64_t k = 0; k < s.c; k++)
            for (int64_t tap = 0; tap < s.taps; tap++) *weights++ = sums[(tap * s.c + k) * s.lanes + f];
}

/* What a backward pass works with. */
typedef struct {
    Gather results, phases[MOST_STRIDE * MOST_STRIDE]; /* results: to compute them afresh */
    Norm norm;
    int64_t group;     /* images taken together */
    float *sums;       /* the gradient to the weights so far, (taps, c, lanes) */
    float *zeros;      /* a row of them */
    float *rows;       /* a group's gradient to the results, rows of `lanes` floats of which those beyond f stay zero */
    float *place;      /* for a group's results */
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
    int64_t widest = s.c > s.lanes ? s.c : s.lanes, kernel = s.taps * s.c * s.lanes, zeros = (widest + LANES - 1) / LANES * LANES;
    int64_t vectors = (kernel + zeros + group * pixels * (s.lanes + (afresh ? s.f : 0))) / LANES + 1;
    memset(work, 0, sizeof *work);
    work->group = group;
    if (!(work->sums = room(vectors))) return 0;
    fill(work->sums, vectors, 0.0f);
    work->zeros = work->sums + kernel, work->rows = work->zeros + zeros, work->place = work->rows + group * pixels * s.lanes;
    for (int64_t phase = 0; phase < s.stride * s.stride && job->to_x; phase++)
        if (!gather_gradients(s, job->weights, phase / s.stride, phase % s.stride, work->phases + phase)) return 0;
    if (afresh && !gather_inputs(s, job->weights, &work->results)) return 0;
    return !job->gain || (work->norm = norm_of(s.f)).sums != NULL;
}

/* Some images' gradient to what the norm made, with the results that it read. */
static Pair pair_of(Shape s, const Backward *job, const Work *work, int64_t first, int64_t images) {
    const float *y = results_of(s, &work->results, job->x, job->y, first, images, work->zeros, work->place);
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
        if (job->to_weights) add_to_weights(s, job->x + first * in, work->rows, images, work->sums);
        if (!job->to_x) continue;
        ask_for(job->to_x + (first + images) * in, next * in, 1);
        for (int64_t image = 0; image < images; image++)
            for (int64_t phase = 0; phase < s.stride * s.stride; phase++)
                gathered(work->phases + phase, work->rows + image * out, work->zeros, job->to_x + (first + image) * in, (int)job->add);
    }
}

static int backward(Shape s, const Backward *job) {
    Work work;
    int ready = make_work(s, job, &work);
    if (ready) {
        if (job->gain) to_norm(s, job, &work);
        gradients(s, job, &work);
        if (job->to_weights) store_weights(s, work.sums, job->to_weights);
    }
    free_work(&work);
    return !ready;
}

/* y: (n, ceil(h / stride), ceil(w / stride), f), the convolution of x. Where gain is given (f at least 16): its batch norm
 * and what follows in result, as in pronas_norm, whose pixels are `between` floats apart; y may then be NULL, and is computed whenever it is read, which costs less
 * than memory where few numbers go into a result. Stride 1 or 2. Returns 0, or 1 if there is no memory. */
EXPORT int pronas_convolution(
    const float *x, const float *weights, const float *gain, const float *bias, float *running_mean, float *running_variance,
    float *saved, float *y, float *result, int64_t between, int64_t n, int64_t h, int64_t w, int64_t c, int64_t f, int64_t tall,
    int64_t wide, int64_t stride, int64_t kind, double epsilon, double momentum) {
    Forward job = {x, weights, gain, bias, running_mean, running_variance, saved, y, result, between, kind, epsilon, momentum};
    return forward(shape_of(n, h, w, c, f, tall, wide, stride), &job);
}

/* The gradients of pronas_convolution to x (NULL: not wanted; with add: on top of what is there), weights (NULL: not
 * wanted), gain and bias. output: gradient to result, or to y where there is no gain, whose images and pixels begin `image`
 * and `row` floats after one another. Sums go over images in order. Returns 0, or 1 if there is no memory. */
EXPORT int pronas_convolution_backward(
    const float *output, int64_t image, int64_t row, const float *x, const float *weights, const float *y, const float *gain,
    const float *bias, const float *saved, float *to_x, float *to_weights, float *to_gain, float *to_bias, int64_t n, int64_t h,
    int64_t w, int64_t c, int64_t f, int64_t tall, int64_t wide, int64_t stride, int64_t kind, int64_t add) {
    Backward job = {output, x, weights, y, gain, bias, saved, image, row, to_x, to_weights, to_gain, to_bias, kind, add};
    return backward(shape_of(n, h, w, c, f, tall, wide, stride), &job);
}
