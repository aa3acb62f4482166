/* Packed binary networks: the public face of the C core. No Python, no globals but the kernel choice.
 *
 * A network is loaded from the bytes of a packed file, which are checked in full before use, and classifies 8-bit
 * images. One network may be used by many threads at once, each with a workspace of its own. */
#ifndef PRONAS_PACKED_H
#define PRONAS_PACKED_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define PN_API __declspec(dllexport)
#else
#define PN_API __attribute__((visibility("default")))
#endif

typedef struct pn_network pn_network;
typedef struct pn_workspace pn_workspace;

/* Flags of pn_load. */
enum { PN_SMALL = 1 }; /* keep 1 bit a weight in memory and build look-up tables on the way, a layer at a time */

/* Kernel sets this processor can run: names, best first, NULL at the end. */
PN_API const char *const *pn_kernels(void);

/* Check `size` bytes and build the network for the kernel set called `kernel` (NULL: the best). Returns 0, or a
 * negative number with one line in `error` (at most `error_size` bytes, always terminated). The bytes are copied. */
PN_API int pn_load(const uint8_t *data, size_t size, const char *kernel, int flags, pn_network **network, char *error,
                   size_t error_size);
PN_API void pn_free(pn_network *network);

/* Bytes of one image and number of classes. */
PN_API size_t pn_image_bytes(const pn_network *network);
PN_API int32_t pn_classes(const pn_network *network);
/* Bytes that the weights take in memory. */
PN_API size_t pn_weight_bytes(const pn_network *network);

PN_API pn_workspace *pn_workspace_new(const pn_network *network);
PN_API void pn_workspace_free(pn_workspace *workspace);

/* Classify `count` images (count, C, H, W). Each output may be NULL: integers and logits are (count, classes),
 * classes is (count). Returns 0, or a negative number when the workspace is of another network. */
PN_API int pn_run(const pn_network *network, pn_workspace *workspace, const uint8_t *images, size_t count,
                  int32_t *integers, float *logits, int32_t *classes);

/* Tensor `index` of the last image run, one byte an element (C, H, W), bits as 0 and 1; returns the number of
 * elements, or -1 when there is no such tensor. `out` may be NULL, to ask for the number. */
PN_API int64_t pn_tensor(const pn_network *network, const pn_workspace *workspace, uint32_t index, uint8_t *out);

/* Nanoseconds spent in each operation since the workspace was made; returns the number of operations. Counting begins
 * with the first call. */
PN_API int32_t pn_profile(const pn_network *network, pn_workspace *workspace, uint64_t *nanoseconds);

#ifdef __cplusplus
}
#endif
#endif
