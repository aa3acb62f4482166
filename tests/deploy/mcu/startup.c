/* Cortex-M4 start-up for QEMU's mps2-an386: vectors, then main; output and exit by semihosting. */
#include <stdint.h>

extern uint32_t stack_top;
int main(void);

static int32_t semihosting(int32_t operation, const void *argument) {
  register int32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void put_char(char c) { semihosting(3, &c); }

void start(void) {
  extern uint32_t data_load, data_begin, data_end, bss_begin, bss_end;
  const uint32_t *from = &data_load;
  for (uint32_t *to = &data_begin; to < &data_end;) *to++ = *from++;
  for (uint32_t *to = &bss_begin; to < &bss_end;) *to++ = 0;
  main();
  semihosting(0x18, (const void *)0x20026); /* ADP_Stopped_ApplicationExit */
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) const void *const vectors[] = {&stack_top, start};
