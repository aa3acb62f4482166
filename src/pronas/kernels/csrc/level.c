/* Which of this library's variants a processor can run, and how wide the vectors of this one are: see simd.h. */
#include "simd.h"

/* 4 and 3: the x86-64 microarchitecture levels (System V ABI); 5: 4 and products of bytes (VNNI); 0: any processor. */
EXPORT int pronas_level(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd"))
        return __builtin_cpu_supports("avx512vnni") ? 5 : 4;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return 3;
#endif
    return 0;
}

EXPORT int pronas_lanes(void) { return LANES; }
