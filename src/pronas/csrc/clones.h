/* Functions compiled for several generations of processors; the loader takes the newest that this one can run. */
#ifndef PRONAS_CLONES_H
#define PRONAS_CLONES_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif
#define EXPORT __attribute__((visibility("default"))) CLONES

#endif
