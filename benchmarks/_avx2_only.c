/* Hides AVX-512 from whatever is loaded after it into this process (Linux, x86-64, a processor that can make CPUID
 * fault), so that every peer chooses its AVX2 code: benchmarks/packed.py --avx2. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012

static int cpuid_allowed(long yes) { return (int)syscall(SYS_arch_prctl, ARCH_SET_CPUID, yes); }

/* Do the CPUID that faulted, without the bits of AVX-512 (leaf 7) and of VNNI and BF16 for AVX (leaf 7.1). */
static void answer(int number, siginfo_t *info, void *context) {
  greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
  const unsigned char *code = (const unsigned char *)r[REG_RIP];
  unsigned leaf = (unsigned)r[REG_RAX], sub = (unsigned)r[REG_RCX], a, b, c, d;
  (void)info;
  if (code[0] != 0x0f || code[1] != 0xa2) {
    signal(number, SIG_DFL);
    return;
  }
  cpuid_allowed(1);
  __cpuid_count(leaf, sub, a, b, c, d);
  cpuid_allowed(0);
  if (leaf == 7 && sub == 0) b &= ~0xdc230000u, c &= ~0x00005842u, d &= ~0x03c0010cu;
  if (leaf == 7 && sub == 1) a &= ~0x00000030u;
  r[REG_RAX] = a, r[REG_RBX] = b, r[REG_RCX] = c, r[REG_RDX] = d;
  r[REG_RIP] += 2;
}

/* 0 if it worked. Threads made afterwards inherit it. */
int hide_avx512(void) {
  struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
  if (sigaction(SIGSEGV, &action, NULL)) return 1;
  return cpuid_allowed(0);
}
