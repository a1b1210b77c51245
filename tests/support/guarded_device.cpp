#include "tests/support/guarded_device.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/error.h"

namespace troupe::testing {
namespace {

constexpr size_t kAlignment = 64;

// The devices that the handler of faults asks.
struct Registry {
  std::mutex mutex;
  std::vector<GuardedDevice*> devices;
};
Registry& registry() {
  static Registry registry;
  return registry;
}

void say(std::string_view text) {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

// Names the functions that lie around the addresses, those of unnamed namespaces, too: addr2line of
// the binutils reads them from this program's file.
void say_functions(std::span<void* const> addresses) {
  const auto here = [](const void* address) {
    Dl_info info{};
    return dladdr(address, &info) != 0 ? static_cast<const std::byte*>(info.dli_fbase) : nullptr;
  };
  const std::byte* program = here(reinterpret_cast<const void*>(&say_functions));
  std::string command = "addr2line -Cfpe /proc/" + std::to_string(getpid()) + "/exe";
  for (const void* address : addresses) {
    if (here(address) == program)
      command += fmt::format(" {:#x}", static_cast<const std::byte*>(address) - program);
  }
  if (std::system((command + " >&2").c_str()) != 0)
    backtrace_symbols_fd(addresses.data(), static_cast<int>(addresses.size()), STDERR_FILENO);
}

// Says whose memory was touched and by whom, then lets the fault end the program.
void on_fault(int signal, siginfo_t* info, void* /*context*/) {
  static std::atomic_flag speaking;
  while (speaking.test_and_set()) pause();  // another rank's thread speaks, and ends the program
  for (GuardedDevice* device : registry().devices) {
    const std::string what = device->describe(info->si_addr);
    if (what.empty()) continue;
    say("the host touched device memory: " + what + "\n");
    std::array<void*, 32> frames{};
    const int count = backtrace(frames.data(), static_cast<int>(frames.size()));
    say_functions({frames.data(), static_cast<size_t>(count)});
  }
  std::signal(signal, SIG_DFL);
}

void install_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    std::array<void*, 1> first{};
    backtrace(first.data(), 1);  // loads what it needs now, not in the handler
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, nullptr);
  });
}

std::byte* mapped(int file, size_t bytes, int access) {
  void* memory = mmap(nullptr, bytes, access, MAP_SHARED | MAP_NORESERVE, file, 0);
  require(memory != MAP_FAILED, "{} bytes of address space could not be had", bytes);
  return static_cast<std::byte*>(memory);
}

}  // namespace

TwoMappings::TwoMappings(size_t bytes) : bytes_(bytes) {
  const int file = memfd_create("guarded device", MFD_CLOEXEC);
  require(file >= 0 && ftruncate(file, static_cast<off_t>(bytes)) == 0, "no memory file");
  closed_ = mapped(file, bytes, PROT_NONE);
  open_ = mapped(file, bytes, PROT_READ | PROT_WRITE);
  close(file);
}

TwoMappings::~TwoMappings() {
  munmap(closed_, bytes_);
  munmap(open_, bytes_);
}

std::shared_ptr<GuardedDevice> GuardedDevice::make(int threads, size_t bytes) {
  return std::make_shared<GuardedDevice>(threads, bytes);
}

GuardedDevice::GuardedDevice(int threads, size_t bytes)
    : TwoMappings(bytes), Device(DeviceKind::guarded, threads) {
  free_[0] = bytes;
  install_handler();
  std::lock_guard lock(registry().mutex);
  registry().devices.push_back(this);
}

GuardedDevice::~GuardedDevice() {
  drop_kernel_cache();
  std::lock_guard lock(registry().mutex);
  std::erase(registry().devices, this);
}

void GuardedDevice::label(const Tensor& tensor, const std::string& name) {
  const auto offset = static_cast<std::byte*>(tensor.view().data) - closed_;
  std::lock_guard lock(mutex_);
  labels_[static_cast<size_t>(offset)] = {tensor.bytes(), name};
}

void GuardedDevice::label_if_guarded(const Tensor& tensor, const std::string& name) {
  if (!tensor.defined() || !tensor.storage()->held()) return;
  if (auto* device = dynamic_cast<GuardedDevice*>(tensor.device().get()))
    device->label(tensor, name);
}

std::string GuardedDevice::describe(const void* address) {
  const auto* at = static_cast<const std::byte*>(address);
  if (at < closed_ || at >= closed_ + bytes_) return "";
  const auto offset = static_cast<size_t>(at - closed_);
  auto after = used_.upper_bound(offset);
  if (after == used_.begin()) return "memory that no tensor holds";
  const auto& [begin, block] = *--after;
  if (offset >= begin + block.taken) return "memory that no tensor holds";
  std::string out = std::to_string(block.bytes) + " bytes of " + troupe::name(block.kind) +
                    ", at byte " + std::to_string(offset - begin);
  auto label = labels_.upper_bound(offset);
  if (label == labels_.begin()) return out;
  const auto& [from, labelled] = *--label;
  return offset < from + labelled.bytes ? out + ", \"" + labelled.name + "\"" : out;
}

void GuardedDevice::count(MemoryKind kind, int64_t bytes) {
  for (MemoryUse* use : {&report_.by_kind[static_cast<int>(kind)], &report_.total}) {
    use->current += bytes;
    use->peak = std::max(use->peak, use->current);
  }
}

// The first gap that is long enough. Its bytes become those of NaN: nobody may count on zeros.
void* GuardedDevice::allocate(size_t bytes, MemoryKind kind) {
  const size_t taken = (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  std::lock_guard lock(mutex_);
  const auto gap = std::find_if(free_.begin(), free_.end(),
                                [&](const auto& entry) { return entry.second >= taken; });
  if (gap == free_.end())
    fail(ExitCode::resource, "out of memory: {} bytes of a guarded device", bytes);
  const auto [offset, length] = *gap;
  free_.erase(gap);
  if (length > taken) free_[offset + taken] = length - taken;
  used_[offset] = {bytes, taken, kind};
  count(kind, static_cast<int64_t>(taken));
  std::memset(open_ + offset, 0xff, taken);
  return closed_ + offset;
}

void GuardedDevice::release(void* pointer, size_t /*bytes*/, MemoryKind kind) {
  size_t offset = static_cast<size_t>(static_cast<std::byte*>(pointer) - closed_);
  std::lock_guard lock(mutex_);
  const auto found = used_.find(offset);
  require(found != used_.end(), "memory of a guarded device was given back twice");
  size_t length = found->second.taken;
  count(kind, -static_cast<int64_t>(length));
  std::memset(open_ + offset, 0xff, length);
  used_.erase(found);
  labels_.erase(labels_.lower_bound(offset), labels_.lower_bound(offset + length));
  if (const auto next = free_.find(offset + length); next != free_.end()) {
    length += next->second;
    free_.erase(next);
  }
  if (auto before = free_.lower_bound(offset); before != free_.begin()) {
    --before;
    if (before->first + before->second == offset) {
      before->second += length;
      return;
    }
  }
  free_[offset] = length;
}

MemoryReport GuardedDevice::memory() const {
  std::lock_guard lock(mutex_);
  return report_;
}

void GuardedDevice::reset_peak() {
  std::lock_guard lock(mutex_);
  for (MemoryUse& use : report_.by_kind) use.peak = use.current;
  report_.total.peak = report_.total.current;
}

void* GuardedDevice::for_kernels(void* pointer) const {
  if (pointer == nullptr) return nullptr;
  auto* at = static_cast<std::byte*>(pointer);
  require(at >= closed_ && at <= closed_ + bytes_, "a kernel was given memory of another device");
  return at + (open_ - closed_);
}

const std::byte* GuardedDevice::reachable(const void* address, size_t bytes) const {
  const auto* at = static_cast<const std::byte*>(address);
  require(at >= closed_ && at + bytes <= closed_ + bytes_,
          "a copy of {} bytes leaves the memory of its device", bytes);
  return at + (open_ - closed_);
}

void GuardedDevice::read(const void* from, void* to, size_t bytes) {
  std::memcpy(to, reachable(from, bytes), bytes);
}

void GuardedDevice::write(const void* from, void* to, size_t bytes) {
  std::memcpy(const_cast<std::byte*>(reachable(to, bytes)), from, bytes);
}

void GuardedDevice::fill(void* to, int byte, size_t bytes) {
  std::memset(const_cast<std::byte*>(reachable(to, bytes)), byte, bytes);
}

std::shared_ptr<Device> chosen_device(int threads) {
  const char* wanted = std::getenv("TROUPE_TEST_DEVICE");
  if (wanted != nullptr && std::string_view(wanted) == "guarded")
    return GuardedDevice::make(threads);
  return Device::cpu(threads);
}

}  // namespace troupe::testing
