// peak_memory FILE PROGRAM WORDS...: runs the program and writes its largest resident memory, in
// bytes, to FILE.RANK. Exits as the program did.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const pid_t child = fork();
  if (child == 0) {
    execv(argv[2], argv + 2);
    std::perror(argv[2]);
    _exit(127);
  }
  int status = 0;
  rusage usage{};
  if (child < 0 || wait4(child, &status, 0, &usage) != child) return 126;
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  std::ofstream(std::string(argv[1]) + "." + (rank != nullptr ? rank : "0"))
      << int64_t{1024} * usage.ru_maxrss;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
