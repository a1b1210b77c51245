#include "tests/parallel/checkpoint/support/fuzz.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <exception>
#include <vector>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/io/sealed_file.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/compare.h"
#include "parallel/checkpoint/structure_check.h"
#include "parallel/comm/self_communicator.h"
#include "tests/parallel/checkpoint/support/state_fixture.h"

// There when the program is built for line coverage: _exit does not write the counts.
extern "C" void __gcov_dump() __attribute__((weak));

namespace troupe::test {
namespace {

State small_state() {
  State state;
  const auto add = [&](const std::string& name, DType dtype, const Shape& shape) {
    Shape zero = shape;
    for (int i = 0; i < zero.rank(); ++i) zero[i] = 0;
    state.tensors.push_back({name,
                             Layout::replicated(shape, MeshKind::attention, {}),
                             {zero, shape},
                             Tensor::full(shape, dtype, 1.0, Device::cpu())});
  };
  add("parameters/w", DType::f32, Shape{4, 3});
  add("parameters/b", DType::bf16, Shape{3});
  add("optimizer/m", DType::f64, Shape{2, 1, 2});
  add("router/t", DType::i32, Shape{5});
  state.scalars = {{"step", int64_t{7}}, {"lr", 0.25}, {"name", std::string("fuzz")}};
  return state;
}

// Draws for one mutant.
class Dice {
 public:
  explicit Dice(uint64_t number) : random_(number, "fuzz") {}
  uint64_t below(uint64_t n) { return random_.below(at_++, n); }
  bool one_in(uint64_t n) { return below(n) == 0; }
  template <size_t N>
  std::string pick(const std::array<const char*, N>& words) {
    return words[below(N)];
  }

 private:
  Random random_;
  uint64_t at_ = 0;
};

std::string number_word(Dice& dice) {
  constexpr std::array<const char*, 16> words = {"0",
                                                 "1",
                                                 "7",
                                                 "8",
                                                 "511",
                                                 "512",
                                                 "513",
                                                 "1024",
                                                 "4096",
                                                 "65536",
                                                 "2147483648",
                                                 "4294967296",
                                                 "9223372036854775807",
                                                 "9223372036854775808",
                                                 "-1",
                                                 "99999999999999999999999"};
  return dice.one_in(3) ? std::to_string(dice.below(5000)) : dice.pick(words);
}

// Changes one word, line, or byte of the seal's text.
void mutate_text(std::string& text, Dice& dice) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t stop = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, stop - at));
    at = stop + 1;
  }
  std::string& line = lines[dice.below(lines.size())];
  switch (dice.below(9)) {
    case 0:
    case 1:
    case 2: {  // a word of the line
      constexpr std::array<const char*, 19> words = {
          "f32",           "f64", "bf16", "i64",         "i32",           "u8", "text", "-",
          "4x3",           "0x3", "3",    "1x1x1x1x1x1", "2x2x2x2x2x2x2", "/",  "/w",   "/config",
          "/scalars/step", "x",   ""};
      std::vector<size_t> spaces = {std::string::npos};
      for (size_t i = 0; i < line.size(); ++i) {
        if (line[i] == ' ') spaces.push_back(i);
      }
      const size_t space = spaces[dice.below(spaces.size())];
      const size_t begin = space == std::string::npos ? 0 : space + 1;
      const size_t end = std::min(line.find(' ', begin), line.size());
      line.replace(begin, end - begin, dice.one_in(2) ? number_word(dice) : dice.pick(words));
      break;
    }
    case 3:  // a byte
      if (!line.empty()) line[dice.below(line.size())] = static_cast<char>(dice.below(256));
      break;
    case 4:  // a digit
      for (char& c : line) {
        if (c >= '0' && c <= '9' && dice.one_in(6)) c = static_cast<char>('0' + dice.below(10));
      }
      break;
    case 5:
      line.clear();
      break;
    case 6:
      line = lines[dice.below(lines.size())];
      break;
    case 7:
      std::swap(line, lines[dice.below(lines.size())]);
      break;
    default:
      line.insert(dice.below(line.size() + 1), std::string(1 + dice.below(40), 'x'));
  }
  text.clear();
  for (const std::string& one : lines) text += one + "\n";
}

// Gives the parts of the file the digests that its own table asks for, where the table can be read.
void mend(std::string& file, size_t block) {
  std::string text = file.substr(0, std::min(file.find('\0'), block));
  const size_t at = text.rfind("seal ");
  if (at == std::string::npos) return;
  text.resize(at);
  text += "seal " + digest_of(text).hex() + "\n";
  if (text.size() > block) return;
  text.resize(block, '\0');
  file.replace(0, block, text);
  try {
    Seal seal = parse_seal(file.substr(0, block), "mutant");
    seal.size = static_cast<int64_t>(file.size());
    std::vector<const SealEntry*> order;
    for (SealEntry& entry : seal.entries) {
      if (entry.offset + entry.bytes > seal.size) return;
      entry.digest = digest_of(std::string_view(file).substr(static_cast<size_t>(entry.offset),
                                                             static_cast<size_t>(entry.bytes)));
      if (entry.bytes > 0) order.push_back(&entry);
    }
    std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
    Hasher rest;
    int64_t end = seal.block;
    for (const SealEntry* entry : order) {
      rest.add(file.data() + end, entry->offset - end);
      end = entry->offset + entry->bytes;
    }
    rest.add(file.data() + end, seal.size - end);
    seal.rest = rest.digest();
    file.replace(0, block, format_seal(seal));
  } catch (const Error&) {
    return;  // it stays as it is: refused by the parser
  }
}

// Everything that reads a checkpoint. Any exception but Error(checkpoint) is a finding.
void consume(const std::string& good, const std::string& path, bool ask_hdf5, FuzzCounts& counts) {
  const auto survive = [](auto&& work) {
    try {
      work();
      return true;
    } catch (const Error& error) {
      if (error.code() != ExitCode::checkpoint) throw;
      return false;
    }
  };
  if (!survive([&] { SealedFile{path}; })) return;
  ++counts.passed_first_check;
  survive([&] { checkpoint::read_info(path); });
  if (survive([&] { checkpoint::verify(path); })) ++counts.passed_verify;
  survive([&] { checkpoint::compare(good, path); });
  const auto world = self_communicator();
  State state = small_state();
  if (survive([&] { checkpoint::load(path, state, *world); })) ++counts.loaded;
  if (ask_hdf5) checkpoint::check_structure(path);  // in a child of its own
}

struct Shared {
  uint64_t current = 0;
  FuzzCounts counts;
  std::array<char, 400> message{};
};

void limit(__rlimit_resource_t resource, rlim_t value) {
  const rlimit limits{value, value};
  ::setrlimit(resource, &limits);
}

[[noreturn]] void run_child(const std::string& dir, uint64_t begin, uint64_t end, Shared& shared) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  limit(RLIMIT_DATA, 1ULL << 30);  // the sanitizers reserve more for themselves
#endif
  limit(RLIMIT_CORE, 0);
  try {
    const std::string original = fuzz_original();
    write_file(dir + "/good.h5", original);
    for (uint64_t number = begin; number < end; ++number) {
      shared.current = number;
      ::alarm(20);  // a mutant that takes longer is a hang
      write_file(dir + "/mutant.h5", mutant(original, number));
      consume(dir + "/good.h5", dir + "/mutant.h5", number % 64 == 0, shared.counts);
    }
  } catch (const std::exception& error) {
    std::string(error.what()).copy(shared.message.data(), shared.message.size() - 1);
    ::_exit(1);
  }
  if (__gcov_dump != nullptr) __gcov_dump();
  ::_exit(0);
}

}  // namespace

std::string fuzz_original() {
  const TemporaryDirectory dir;
  const auto world = self_communicator();
  checkpoint::save(dir / "original.h5", small_state(), *world, {.config = "version: 1\n"});
  return read_file(dir / "original.h5");
}

std::string mutant(const std::string& original, uint64_t number) {
  Dice dice(number);
  std::string file = original;
  const auto block = static_cast<size_t>(announced_block(original, "original"));
  const uint64_t kind = dice.below(10);
  if (kind < 6) {  // the seal
    std::string text = file.substr(0, file.find('\0'));
    for (uint64_t i = 0; i <= dice.below(3); ++i) mutate_text(text, dice);
    text.resize(block, '\0');
    file.replace(0, block, text);
  } else if (kind < 9) {  // HDF5's part
    for (uint64_t i = 0; i <= dice.below(8); ++i) {
      file[block + dice.below(file.size() - block)] = static_cast<char>(dice.below(256));
    }
  } else {  // the length
    file.resize(dice.below(2 * file.size()), static_cast<char>(dice.below(256)));
  }
  if (!dice.one_in(4) && file.size() >= block) mend(file, block);
  return file;
}

std::string run_fuzz(uint64_t begin, uint64_t end, FuzzCounts& counts) {
  const TemporaryDirectory dir;
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto& shared = *new (memory) Shared;
  const pid_t child = ::fork();
  if (child == 0) run_child(dir.path(), begin, end, shared);
  int status = 0;
  ::waitpid(child, &status, 0);
  std::string found;
  if (WIFSIGNALED(status)) found = "ended by signal " + std::to_string(WTERMSIG(status));
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) found = shared.message.data();
  if (!found.empty()) found = "mutant " + std::to_string(shared.current) + ": " + found;
  counts.passed_first_check += shared.counts.passed_first_check;
  counts.passed_verify += shared.counts.passed_verify;
  counts.loaded += shared.counts.loaded;
  ::munmap(memory, sizeof(Shared));
  return found;
}

}  // namespace troupe::test
