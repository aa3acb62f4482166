/* Passes over maps for batch norm, written for one kind of number; norm.h includes this file once for each. NUMBER is the
 * kind, GET and PUT read and write LANES of them as floats, OF gives names for them. */
/* Sums and sums of squares of some rows, less the shift. */
INLINE void OF(moments)(const NUMBER *x, int64_t rows, Norm norm) {
    int64_t c = norm.c;
    for (int64_t start = 0, size = rows_of_tile(c); start < rows; start += size) {
        int64_t count = rows - start < size ? rows - start : size;
        for (int64_t index = 0; index < (c + LANES - 1) / LANES; index++) {
            Unit unit = unit_at(1, c, index);
            const NUMBER *at = x + start * c + unit.channel;
            vec from = READ(norm.shift + unit.channel), sum = {0}, square = {0}, sum2 = {0}, square2 = {0};
            int64_t row = 0;
            for (; row + 1 < count; row += 2, at += 2 * c) {
                vec one = GET(at) - from, two = GET(at + c) - from;
                sum += one, square += one * one;
                sum2 += two, square2 += two * two;
            }
            if (row < count) {
                vec one = GET(at) - from;
                sum += one, square += one * one;
            }
            add_lanes(norm.sums, sum + sum2, unit.channel, unit.fresh);
            add_lanes(norm.products, square + square2, unit.channel, unit.fresh);
        }
    }
}

INLINE void OF(apply_as)(const NUMBER *x, NUMBER *y, int64_t between, int64_t rows, Norm norm, const int kind) {
    int64_t c = norm.c;
    for (int64_t size = rows_of_tile(c), start = last_tile(rows, size); start >= 0; start -= size) {
        int64_t count = rows - start < size ? rows - start : size;
        for (int64_t index = 0; index < (c + LANES - 1) / LANES; index++) {
            int64_t at = unit_at(1, c, index).channel;
            vec a = READ(norm.slope + at), b = READ(norm.offset + at);
            const NUMBER *from = x + start * c + at;
            NUMBER *to = y + start * between + at;
            for (int64_t row = 0; row < count; row++, from += c, to += between) PUT(to, activate(GET(from) * a + b, kind));
        }
    }
}

/* y: the normalised map after its activation, in rows `between` floats apart. */
INLINE void OF(apply)(const NUMBER *x, NUMBER *y, int64_t between, int64_t rows, Norm norm, int64_t kind) {
    if (kind == RELU) OF(apply_as)(x, y, between, rows, norm, RELU);
    else if (kind == SIGN) OF(apply_as)(x, y, between, rows, norm, SIGN);
    else OF(apply_as)(x, y, between, rows, norm, NOTHING);
}

/* A gradient (images, rows, c) whose images and rows begin `image` and `row` floats after one another (0: the same for
 * all), with its input x. */
typedef struct {
    const NUMBER *gradient, *x;
    int64_t images, image, rows, row;
} OF(Pair);

/* saved: the mean, then 1 / deviation. */
INLINE void OF(gradient_sums_as)(OF(Pair) p, const float *saved, Norm norm, const int kind) {
    for (int64_t image = 0; image < p.images; image++)
        for (int64_t start = 0, size = rows_of_tile(norm.c); start < p.rows; start += size) {
            int64_t count = p.rows - start < size ? p.rows - start : size;
            for (int64_t index = 0; index < (norm.c + LANES - 1) / LANES; index++) {
                Unit unit = unit_at(1, norm.c, index);
                const NUMBER *from = p.gradient + image * p.image + start * p.row + unit.channel;
                const NUMBER *at = p.x + (image * p.rows + start) * norm.c + unit.channel;
                vec a = READ(norm.slope + unit.channel), b = READ(norm.offset + unit.channel);
                vec mean = READ(saved + unit.channel), sum = {0}, product = {0};
                for (int64_t row = 0; row < count; row++, from += p.row, at += norm.c) {
                    vec value = GET(at), gradient = before(GET(from), value * a + b, kind);
                    sum += gradient, product += gradient * (value - mean);
                }
                add_lanes(norm.sums, sum, unit.channel, unit.fresh);
                add_lanes(norm.products, product, unit.channel, unit.fresh);
            }
        }
}

/* The first pass of the gradient, over all images or some of them. */
INLINE void OF(gradient_sums)(OF(Pair) p, const float *saved, Norm norm, int64_t kind) {
    if (kind == RELU) OF(gradient_sums_as)(p, saved, norm, RELU);
    else if (kind == SIGN) OF(gradient_sums_as)(p, saved, norm, SIGN);
    else OF(gradient_sums_as)(p, saved, norm, NOTHING);
}

INLINE void OF(gradient_to_x_as)(OF(Pair) p, Norm norm, NUMBER *result, int64_t between, const int kind) {
    for (int64_t image = p.images - 1; image >= 0; image--)
        for (int64_t size = rows_of_tile(norm.c), start = last_tile(p.rows, size); start >= 0; start -= size) {
            int64_t count = p.rows - start < size ? p.rows - start : size;
            for (int64_t index = 0; index < (norm.c + LANES - 1) / LANES; index++) {
                int64_t channel = unit_at(1, norm.c, index).channel, row = image * p.rows + start;
                const NUMBER *from = p.gradient + image * p.image + start * p.row + channel, *at = p.x + row * norm.c + channel;
                NUMBER *to = result + row * between + channel;
                vec a = READ(norm.slope + channel), b = READ(norm.offset + channel);
                vec s = READ(norm.straight + channel), t = READ(norm.constant + channel);
                for (int64_t left = count; left > 0; left--, from += p.row, at += norm.c, to += between) {
                    vec value = GET(at);
                    PUT(to, a * before(GET(from), value * a + b, kind) + (value * s + t));
                }
            }
        }
}

/* After `settle_gradient`: the gradient to x, of any images, in rows `between` floats apart. */
INLINE void OF(gradient_to_x)(OF(Pair) p, Norm norm, NUMBER *result, int64_t between, int64_t kind) {
    if (kind == RELU) OF(gradient_to_x_as)(p, norm, result, between, RELU);
    else if (kind == SIGN) OF(gradient_to_x_as)(p, norm, result, between, SIGN);
    else OF(gradient_to_x_as)(p, norm, result, between, NOTHING);
}

/* All of the forward pass of a map on its own: see pronas_norm. */
INLINE int OF(norm_forward)(const NUMBER *x, const float *gain, const float *bias, float *running_mean, float *running_variance,
                         float *saved, NUMBER *y, int64_t between, int64_t rows, int64_t c, int64_t kind, double epsilon,
                         double momentum) {
    Norm norm = norm_of(c);
    if (!norm.sums) return 1;
    for (int64_t index = 0; index < (c + LANES - 1) / LANES; index++) {
        int64_t at = unit_at(1, c, index).channel;
        AT(norm.shift + at) = GET(x + at);
    }
    OF(moments)(x, rows, norm);
    settle(norm, rows, gain, bias, running_mean, running_variance, saved, epsilon, momentum);
    OF(apply)(x, y, between, rows, norm, kind);
    free(norm.sums);
    return 0;
}

/* All of its gradients: see pronas_norm_backward. */
INLINE int OF(norm_backward)(OF(Pair) p, const float *gain, const float *bias, const float *saved, NUMBER *result,
                         float *gain_gradient, float *bias_gradient, int64_t c, int64_t kind) {
    Norm norm = norm_of(c);
    if (!norm.sums) return 1;
    recall(norm, gain, bias, saved);
    OF(gradient_sums)(p, saved, norm, kind);
    settle_gradient(norm, p.images * p.rows, saved, gain_gradient, bias_gradient);
    OF(gradient_to_x)(p, norm, result, c, kind);
    free(norm.sums);
    return 0;
}

#undef NUMBER
#undef GET
#undef PUT
#undef OF
