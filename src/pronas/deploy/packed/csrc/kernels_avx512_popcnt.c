/* AVX-512 with VPOPCNTDQ: the AVX-512 kernel set, compiled with one instruction more. */
#include "kernels_avx512.c"
