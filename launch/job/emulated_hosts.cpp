#include "launch/job/emulated_hosts.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/base/error.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
constexpr int kNotAllowed = 77;  // the script's code

[[noreturn]] void become(pid_t parent, int out, const std::vector<std::string>& words) {
  // The script ends its hosts when it is asked to end.
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(static_cast<int>(ExitCode::internal));
  dup2(out, STDOUT_FILENO);
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  _exit(127);
}

// Everything until the end of the file.
std::string read_all(int file) {
  std::string text;
  char part[4096];
  for (;;) {
    const ssize_t got = read(file, part, sizeof(part));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(part, static_cast<size_t>(got));
  }
}

}  // namespace

std::string file_beside_program(const std::string& path, int kept) {
  fs::path installed = "share/troupe";
  const fs::path whole = path;
  auto part = whole.end();
  for (int i = 0; i < kept; ++i) --part;
  for (; part != whole.end(); ++part) installed /= *part;
  std::error_code error;
  fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (;;) {
    for (const fs::path& candidate : {folder / whole, folder / installed}) {
      if (fs::is_regular_file(candidate, error)) return candidate.string();
    }
    if (folder == folder.parent_path()) return "";
    folder = folder.parent_path();
  }
}

std::string run_on_emulated_hosts(int hosts, const std::string& rate,
                                  const std::vector<std::string>& words) {
  const std::string script = file_beside_program("launch/scripts/emulated-hosts", 2);
  if (script.empty()) {
    fail(ExitCode::resource,
         "launch/scripts/emulated-hosts is in no folder above this program: run the program where "
         "it was built or installed");
  }
  std::vector<std::string> line{script, "run", std::to_string(hosts)};
  if (!rate.empty()) line.insert(line.end(), {"--rate", rate});
  line.insert(line.end(), words.begin(), words.end());
  int channel[2];
  if (pipe2(channel, O_CLOEXEC) != 0) fail(ExitCode::resource, "no pipe: {}", strerror(errno));
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) fail(ExitCode::resource, "cannot start {}: {}", script, strerror(errno));
  if (child == 0) become(parent, channel[1], line);
  close(channel[1]);
  std::string said = read_all(channel[0]);
  close(channel[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (code == kNotAllowed) {
    fail(ExitCode::resource,
         "emulated hosts need network namespaces and limited links, which this machine does not "
         "allow (the reason stands above). Run as root outside of a container without such rights, "
         "or on real machines: troupe launch --hosts a:2,b:2 bench moe_nodes CONFIG");
  }
  if (code != 0) {
    const bool own = code >= 1 && code <= static_cast<int>(ExitCode::verification);
    fail(own ? static_cast<ExitCode>(code) : ExitCode::distributed,
         "the job on {} emulated hosts ended with code {}", hosts, code);
  }
  return said;
}

}  // namespace troupe
