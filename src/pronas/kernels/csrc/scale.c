/* Bytes of images (n, c, h, w), pixel by channel, to scaled floats, channels last: see _layers.py, ImageScale. */
#include "simd.h"

EXPORT int pronas_scale(const uint8_t *images, const float *gain, const float *offset, float *scaled, int64_t n,
                        int64_t pixels, int64_t c) {
    for (int64_t image = 0; image < n; image++, images += c * pixels, scaled += c * pixels)
        for (int64_t k = 0; k < c; k++)
            for (int64_t p = 0; p < pixels; p++) scaled[p * c + k] = (float)images[k * pixels + p] * gain[k] + offset[k];
    return 0;
}
