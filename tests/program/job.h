// Runs the real program, alone or under mpirun, with a time limit, and sees what it leaves behind.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace troupe::program {

struct Outcome {
  int code = -1;         // as a shell gives it: 128 + signal for an end by a signal
  bool expired = false;  // ended by the time limit
  double seconds = 0;
  std::string out;
  std::string err;
};

// One job in a working directory of its own, as are its TMPDIR and OpenMPI's shared memory. Every
// process of it carries a mark in its environment, by which it is found again, whatever its group.
class Job {
 public:
  explicit Job(std::vector<std::string> words, const std::string& input = {});
  ~Job();  // ends what is left of the job
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Waits for the end of the first process; after the limit all of the job is killed.
  Outcome wait(std::chrono::seconds limit = std::chrono::seconds(100));
  bool running();
  pid_t pid() const { return pid_; }
  // The process that is this rank, waiting until it is there; -1 if the job ends before.
  pid_t rank(int rank);
  // Processes of the job that live (no zombies).
  std::vector<pid_t> processes() const;
  // Polls until no process of the job is left; false after the limit.
  bool gone_within(std::chrono::milliseconds limit) const;
  // Files that the job left in its temporary directory, its shared memory and its working
  // directory (core files).
  std::vector<std::string> left_overs() const;
  // What it said on stderr so far.
  std::string said() const;
  // Polls until its stderr holds `text`; false when the job ends or 60 s pass before.
  bool says(const std::string& text);

 private:
  bool ended_ = false;
  int status_ = 0;
  pid_t pid_ = -1;
  std::string mark_;
  std::string folder_;  // stdin, stdout, stderr, tmp, cwd
  std::string memory_;  // below /dev/shm
  std::chrono::steady_clock::time_point started_;
};

// troupe WORDS..., alone.
std::vector<std::string> alone(const std::vector<std::string>& words);
// mpirun -n RANKS troupe WORDS...
std::vector<std::string> under_mpirun(int ranks, const std::vector<std::string>& words);

// Runs to the end. The test fails when it expires or leaves anything behind.
Outcome run(const std::vector<std::string>& words, const std::string& input = {},
            std::chrono::seconds limit = std::chrono::seconds(100));

// Number of times that `part` occurs in `text`.
int occurrences(const std::string& text, const std::string& part);
std::string read_text(const std::string& path);
void write_text(const std::string& path, const std::string& text);

}  // namespace troupe::program
