/* Refuses processors below x86-64-v3 before anything else of the program runs. This file alone is compiled for
   every x86-64 processor, uses no library code that is not, and runs before all constructors of the program. */
#include <unistd.h>

__attribute__((constructor(101))) static void check_processor(void) {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
      __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt")) {
    return;
  }
  static const char text[] =
      "error: this processor lacks AVX2, FMA or BMI2; Troupe needs an x86-64-v3 processor (Intel Haswell, AMD Zen or "
      "later)\n";
  ssize_t ignored = write(2, text, sizeof(text) - 1);
  (void)ignored;
  _exit(5);
}
