/* Refuses processors below x86-64-v3 before anything else of the program runs. This file alone is
   compiled for every x86-64 processor, uses no library code that is not, and runs before all
   constructors of the program. */
#include <unistd.h>

__attribute__((constructor(101))) static void check_processor(void) {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v3")) return;
  static const char text[] =
      "error: this processor lacks AVX2, FMA, BMI2 or another part of x86-64-v3, which Troupe "
      "needs (Intel Haswell, AMD "
      "Zen or later)\n";
  ssize_t ignored = write(2, text, sizeof(text) - 1);
  (void)ignored;
  _exit(5);
}
