/* Dense convolution with odd kernel sides and "same" zero padding, and the batch norm and activation after it, in
 * training: see gemm.h, norm.h and _convolution.py. Maps (n, h, w, c), weights (f, c, kernel
 * height, kernel width) or, with `last`, (f, kernel height, kernel width, c). */
#include "norm.h"
#include "lut_grad.h"

#define GROUPED_PIXELS 64 /* that a tile of the gradient to the weights should sum over: images are taken together */

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

/* The tables of a forward pass; that of floats is made when an image first needs it. */
typedef struct {
    Gather g;
    Signs signs;
    Norm norm;
    float *memory;
    Buffers at;
} Pass;

static void free_pass(Pass *pass) {
    free_gather(&pass->g);
    free_signs(&pass->signs);
    free(pass->norm.sums);
    free(pass->memory);
}

/* Returns whether there was memory; free_pass in any case. */
static int make_pass(Shape s, const Forward *job, Pass *pass) {
    int64_t images = job->y ? 0 : 1, vectors = buffers_of(s, s.c, images, NULL, NULL);
    memset(pass, 0, sizeof *pass);
    if (!(pass->memory = allocate(vectors)) || (job->gain && !(pass->norm = norm_of(s.f)).sums)) return 0;
    fill(pass->memory, vectors, 0.0f);
    buffers_of(s, s.c, images, pass->memory, &pass->at);
    if (job->y && fits_signs(s)) make_signs(s, job->weights, &pass->signs);
    return pass->signs.starts || gather_inputs(s, job->weights, &pass->g);
}

/* One image's results. Returns whether there was memory. */
static int convolve_image(Shape s, const Forward *job, Pass *pass, const float *x, float *results) {
    if (pass->signs.starts && compute_signs(s, &pass->signs, x, results)) return 1;
    if (!pass->g.from && !gather_inputs(s, job->weights, &pass->g)) return 0;
    compute(s, &pass->g, x, pass->at, results);
    return 1;
}

/* The convolution of all images and, where a norm follows, its moments while a result is still in a near cache. */
static int convolve(Shape s, const Forward *job, Pass *pass) {
    int64_t in = s.h * s.w * s.c, out = s.oh * s.ow * s.f;
    for (int64_t image = 0; image < s.n; image++) {
        if (image + 1 < s.n) ask_for(job->x + (image + 1) * in, in, 0);
        float *results = job->y ? job->y + image * out : pass->at.results;
        if (!convolve_image(s, job, pass, job->x + image * in, results)) return 0;
        if (!job->gain) continue;
        if (image == 0) memcpy(pass->norm.shift, results, (size_t)s.f * sizeof(float));
        moments(results, s.oh * s.ow, pass->norm);
    }
    return 1;
}

static void normalise(Shape s, const Forward *job, const Pass *pass) {
    int64_t pixels = s.oh * s.ow;
    settle(pass->norm, s.n * pixels, job->gain, job->bias, job->running_mean, job->running_variance, job->saved, job->epsilon,
           job->momentum);
    for (int64_t image = s.n - 1; image >= 0; image--)
        apply(results_of(s, &pass->g, job->x, job->y, image, 1, pass->at), job->result + image * pixels * job->between,
              job->between, pixels, pass->norm, job->kind);
}

static int forward(Shape s, const Forward *job) {
    Pass pass;
    int ready = make_pass(s, job, &pass) && convolve(s, job, &pass);
    if (ready && job->gain) normalise(s, job, &pass);
    free_pass(&pass);
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

/* In the order in which a filter's weights lie. */
static void store_weights(Shape s, const float *sums, const float *weights, float *gradient) {
    int64_t each = s.c * s.taps;
    for (int64_t place = 0; place < each; place++) {
        int64_t k = s.tap == 1 ? place / s.taps : place % s.c, tap = s.tap == 1 ? place % s.taps : place / s.c;
        const float *from = sums + (tap * s.c + k) * s.lanes;
        for (int64_t f = 0; f < s.f; f++)
            gradient[f * each + place] = through_weight(from[f], weights[f * each + place], s.binary);
    }
}

/* What a backward pass works with. */
typedef struct {
    Gather results, phases[MOST_STRIDE * MOST_STRIDE]; /* results: to compute them afresh */
    Lookup lookup;
    Norm norm;
    int64_t group;     /* images taken together */
    float *sums;       /* the gradient to the weights so far, (taps, c, lanes) */
    float *rows;       /* a group's gradient to the results, rows of `lanes` floats of which those beyond f stay zero */
    Buffers at;        /* of a group's results, but one image laid out side by side */
} Work;

static void free_work(Work *work) {
    free_gather(&work->results);
    free_lookup(&work->lookup);
    for (int phase = 0; phase < MOST_STRIDE * MOST_STRIDE; phase++) free_gather(work->phases + phase);
    free(work->norm.sums);
    free(work->sums);
}

/* Returns whether there was memory; free_work in any case. */
static int make_work(Shape s, const Backward *job, Work *work) {
    memset(work, 0, sizeof *work);
    if (fits_lookup(s)) make_lookup(s, job->weights, &work->lookup);
    int64_t pixels = s.oh * s.ow, looked_up = work->lookup.memory != NULL, afresh = job->gain && !job->y;
    int64_t group = looked_up ? work->lookup.pixels / pixels : (GROUPED_PIXELS - 1) / pixels + 1;
    int64_t kernel = s.taps * s.c * s.lanes, rows = (group * pixels + FOUR - 1) * s.lanes, widest = s.c > s.lanes ? s.c : s.lanes;
    int64_t vectors = (kernel + rows) / LANES + buffers_of(s, widest, afresh ? group : 0, NULL, NULL);
    work->group = group;
    if (!(work->sums = allocate(vectors))) return 0;
    fill(work->sums, vectors, 0.0f);
    work->rows = work->sums + kernel;
    buffers_of(s, widest, group, work->rows + rows, &work->at);
    for (int64_t phase = 0; phase < s.stride * s.stride && job->to_x && !looked_up; phase++)
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

/* Some images' gradient to the weights. */
static void to_weights(Shape s, const Backward *job, const Work *work, int64_t first, int64_t images) {
    const float *x = job->x + first * s.h * s.w * s.c;
    if (work->lookup.memory && lookup_to_weights(s, &work->lookup, x, work->rows, images)) return;
    if (s.unfolded) add_unfolded(s, x, work->rows, images, work->at, work->sums);
    else add_to_weights(s, x, work->rows, images, work->sums);
}

/* One image's gradient to the inputs. */
static void to_inputs(Shape s, const Work *work, const float *rows, float *to_x, int add) {
    if (work->lookup.memory) {
        lookup_to_x(s, &work->lookup, rows, to_x, add);
        return;
    }
    for (int64_t phase = 0; phase < s.stride * s.stride; phase++) gathered(work->phases + phase, rows, work->at.zeros, to_x, add);
}

static void gradients(Shape s, const Backward *job, const Work *work) {
    int64_t in = s.h * s.w * s.c, out = s.oh * s.ow * s.lanes;
    for (int64_t first = 0; first < s.n; first += work->group) {
        int64_t images = least(work->group, s.n - first), next = least(work->group, s.n - first - images);
        to_results(s, job, work, first, images);
        ask_for(job->x + (first + images) * in, next * in, 0);
        if (job->to_weights) to_weights(s, job, work, first, images);
        if (!job->to_x) continue;
        ask_for(job->to_x + (first + images) * in, next * in, 1);
        for (int64_t image = 0; image < images; image++)
            to_inputs(s, work, work->rows + image * out, job->to_x + (first + image) * in, (int)job->add);
    }
    if (job->to_weights && work->lookup.memory) finish_lookup(s, &work->lookup, work->sums);
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
