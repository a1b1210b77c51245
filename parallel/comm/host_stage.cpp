#include "parallel/comm/host_stage.h"

#include "core/base/error.h"

namespace troupe {
namespace {

class StagedWork final : public Work::Impl {
 public:
  StagedWork(Work running, std::unique_ptr<HostStage> in, std::unique_ptr<HostStage> out)
      : in_(std::move(in)), out_(std::move(out)), running_(std::move(running)) {}
  bool done() override {
    if (!running_.done()) return false;
    end();
    return true;
  }
  void finish() override {
    running_.finish();
    end();
  }

 private:
  void end() {
    if (out_ != nullptr) out_->write_back();
    out_ = nullptr;
  }
  std::unique_ptr<HostStage> in_;
  std::unique_ptr<HostStage> out_;
  Work running_;  // after the memory: what still runs ends before it goes
};

}  // namespace

HostStage::HostStage(std::shared_ptr<Device> device, const View& there, bool read)
    : device_(std::move(device)),
      there_(there),
      bytes_(static_cast<size_t>(there.elements()) * size_of(there.dtype)),
      memory_(std::make_unique_for_overwrite<std::byte[]>(bytes_)) {
  require(device_ != nullptr && device_->kind() == there.device,
          "an operation of ranks on {} memory: World::set_device names its device first",
          name(there.device));
  if (read) device_->copy_to_host(there_.data, memory_.get(), bytes_);
}

View HostStage::view() {
  View view = there_;
  view.data = memory_.get();
  view.device = DeviceKind::cpu;
  return view;
}

void HostStage::write_back() { device_->copy_from_host(memory_.get(), there_.data, bytes_); }

Work staged(Work running, std::unique_ptr<HostStage> in, std::unique_ptr<HostStage> out) {
  return Work(std::make_unique<StagedWork>(std::move(running), std::move(in), std::move(out)));
}

}  // namespace troupe
