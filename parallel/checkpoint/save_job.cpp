#include "parallel/checkpoint/save_job.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "core/base/error.h"
#include "core/io/sealed_file.h"
#include "parallel/checkpoint/shard_files.h"
#include "parallel/checkpoint/single_file.h"

namespace troupe::checkpoint {
namespace {

int64_t bytes_of(const CoveragePlan& plan) {
  int64_t bytes = 0;
  for (const TensorPlan& tensor : plan.tensors) bytes += tensor.bytes();
  return bytes;
}

std::string bytes_of(const std::vector<Digest>& digests) {
  std::string out;
  for (const Digest& digest : digests) {
    out.append(reinterpret_cast<const char*>(&digest.high), sizeof(digest.high));
    out.append(reinterpret_cast<const char*>(&digest.low), sizeof(digest.low));
  }
  return out;
}

// Takes the next digest from the front.
Digest take_digest(std::string_view& bytes) {
  Digest out;
  require(bytes.size() >= sizeof(out.high) + sizeof(out.low),
          "checkpoint: a list of digests ends early");
  std::memcpy(&out.high, bytes.data(), sizeof(out.high));
  std::memcpy(&out.low, bytes.data() + sizeof(out.high), sizeof(out.low));
  bytes.remove_prefix(sizeof(out.high) + sizeof(out.low));
  return out;
}

// One piece of a tensor on rank 0, from the ranks that hold it.
class Gatherer {
 public:
  Gatherer(const TensorPlan& plan, size_t number, const std::vector<OwnShare>& shares,
           Communicator& world)
      : plan_(plan), element_(size_of(plan.dtype)), world_(world) {
    for (const OwnShare& share : shares) {
      if (share.tensor == number) mine_.push_back(&share);
    }
  }

  // The elements of `piece` on rank 0, null elsewhere.
  const std::byte* piece(const Box& piece) {
    const bool root = world_.rank() == 0;
    if (root) assembled_.resize(static_cast<size_t>(volume(piece)) * element_);
    for (size_t i = 0; i < plan_.shares.size(); ++i) {
      const auto region = intersection(plan_.shares[i].box, piece);
      if (!region) continue;
      if (plan_.shares[i].writer == world_.rank()) {
        give(i, *region, piece);
      } else if (root) {
        parcel_.resize(static_cast<size_t>(volume(*region)) * element_);
        world_.receive(parcel_view(), plan_.shares[i].writer, "checkpoint save " + plan_.name)
            .finish();
        copy_region(*region, element_, packed(*region, parcel_.data()),
                    packed(piece, assembled_.data()));
      }
    }
    return root ? assembled_.data() : nullptr;
  }

 private:
  // This rank's share: straight into place on rank 0, else packed and sent.
  void give(size_t share, const Box& region, const Box& piece) {
    const auto mine = std::find_if(mine_.begin(), mine_.end(),
                                   [&](const OwnShare* own) { return own->share == share; });
    if (world_.rank() == 0) {
      copy_region(region, element_, (*mine)->source, packed(piece, assembled_.data()));
      return;
    }
    parcel_.resize(static_cast<size_t>(volume(region)) * element_);
    copy_region(region, element_, (*mine)->source, packed(region, parcel_.data()));
    world_.send(parcel_view(), 0, "checkpoint save " + plan_.name).finish();
  }
  View parcel_view() { return bytes_view(parcel_.data(), static_cast<int64_t>(parcel_.size())); }

  const TensorPlan& plan_;
  size_t element_;
  Communicator& world_;
  std::vector<const OwnShare*> mine_;
  std::vector<std::byte> assembled_;
  std::vector<std::byte> parcel_;
};

}  // namespace

SaveJob::SaveJob(SaveRequest request, std::vector<OwnShare> shares, Communicator& world)
    : request_(std::move(request)),
      shares_(std::move(shares)),
      world_(world),
      leader_(world.rank() == 0),
      sharded_(bytes_of(*request_.plan) > request_.options.shard_above),
      digests_(request_.plan->tensors.size()) {
  failure_ = attempt([&] {
    if (sharded_) {
      target_ = std::make_unique<ShardFiles>(request_, world_.rank());
    } else {
      target_ = std::make_unique<SingleFile>(request_, leader_);
    }
  });
}

SaveJob::~SaveJob() = default;

void SaveJob::work() {
  if (failure_) return;
  failure_ = attempt([&] {
    switch (phase_) {
      case Phase::create:
        if (leader_) told_ = target_->create();
        break;
      case Phase::write:
        own_digests_ = target_->write(shares_, report_);
        break;
      case Phase::check:
        for (size_t i = 0; i < checkers_.size(); ++i) {
          if (checkers_[i] == world_.rank()) check_tensor(i);
        }
        break;
      case Phase::finish:
        if (!leader_) break;
        target_->finish(digests_);
        if (request_.then) request_.then();
        break;
      case Phase::done:
        break;
    }
  });
}

bool SaveJob::advance() {
  try {
    agree(failure_, world_, "checkpoint save");
    switch (phase_) {
      case Phase::create:
        open_together();
        break;
      case Phase::write:
        exchange_shares();
        break;
      case Phase::check:
        exchange_digests();
        break;
      case Phase::finish:
      case Phase::done:
        phase_ = Phase::done;
        break;
    }
  } catch (...) {
    target_.reset();  // removes what was written
    phase_ = Phase::done;
    throw;
  }
  if (phase_ == Phase::done) target_.reset();
  return phase_ == Phase::done;
}

void SaveJob::open_together() {
  if (gathering_) return gather();
  told_ = broadcast_text(told_, 0, world_, "checkpoint file");
  bool sees = true;
  agree(attempt([&] { sees = leader_ || target_->join(told_); }), world_, "checkpoint file");
  const std::vector<std::string> all =
      gather_texts(sees ? "1" : "0", world_, "checkpoint file seen");
  const auto blind = std::find(all.begin(), all.end(), "0");
  if (leader_) warn_of_other_disk(blind == all.end() ? -1 : blind - all.begin());
  if (blind == all.end()) {
    phase_ = Phase::write;
    return;
  }
  gathering_ = true;
  if (!sharded_) return gather();
  // One file instead, made first.
  sharded_ = false;
  target_.reset();
  failure_ = attempt([&] { target_ = std::make_unique<SingleFile>(request_, leader_); });
}

void SaveJob::warn_of_other_disk(int64_t rank) const {
  std::set<std::string> warnings;
  if (rank >= 0) {
    warnings.insert(fmt::format(
        "rank {} does not see {}: its file system is another one, so rank 0 writes the whole "
        "checkpoint. A directory that all hosts share lets every rank write its part.",
        rank, std::filesystem::path(request_.path).parent_path().string()));
  }
  request_.options.warnings->say("another file system", std::move(warnings));
}

void SaveJob::gather() {
  auto* file = dynamic_cast<SingleFile*>(target_.get());
  require(file != nullptr, "checkpoint: only one file can be gathered");
  // Rank 0 keeps receiving after a failure, so that no peer waits for ever.
  std::optional<Failure> failure;
  for (size_t i = 0; i < request_.plan->tensors.size(); ++i) {
    const TensorPlan& tensor = request_.plan->tensors[i];
    Gatherer gatherer(tensor, i, shares_, world_);
    Hasher hasher;
    for_each_piece(tensor.global, size_of(tensor.dtype), request_.options.piece_bytes,
                   [&](const Box& piece) {
                     const std::byte* data = gatherer.piece(piece);
                     if (data == nullptr || failure) return;
                     hasher.add(data, volume(piece) * static_cast<int64_t>(size_of(tensor.dtype)));
                     failure = attempt([&] { file->put(i, piece, data); });
                   });
    digests_[i] = hasher.digest();
  }
  if (leader_ && !failure) failure = attempt([&] { file->sync(); });
  agree(failure, world_, "checkpoint save");
  checkers_.assign(request_.plan->tensors.size(), 0);
  phase_ = Phase::check;
}

// The digests of all shares on every rank.
void SaveJob::exchange_shares() {
  const std::vector<std::string> all =
      gather_texts(bytes_of(own_digests_), world_, "checkpoint digests");
  std::vector<std::string_view> rest(all.begin(), all.end());
  for (const TensorPlan& tensor : request_.plan->tensors) {
    std::vector<Digest>& digests = share_digests_.emplace_back();
    for (const Share& share : tensor.shares) {
      digests.push_back(take_digest(rest[static_cast<size_t>(share.writer)]));
    }
  }
  const std::vector<std::string> reports = gather_texts(report_, world_, "checkpoint reports");
  agree(attempt([&] { target_->all_written(reports); }), world_, "checkpoint reports");
  assign_checkers();
  phase_ = Phase::check;
}

// Whoever has the least to read so far reads the next tensor.
void SaveJob::assign_checkers() {
  std::vector<int64_t> given(static_cast<size_t>(world_.size()), 0);
  for (const TensorPlan& tensor : request_.plan->tensors) {
    const auto least = std::min_element(given.begin(), given.end());
    checkers_.push_back(static_cast<int>(least - given.begin()));
    *least += tensor.bytes();
  }
}

void SaveJob::check_tensor(size_t number) {
  const TensorPlan& tensor = request_.plan->tensors[number];
  const size_t element = size_of(tensor.dtype);
  Hasher all;
  // Row-major pieces of the tensor have the elements of every share in its own row-major order.
  std::vector<Hasher> parts(gathering_ || tensor.shares.size() < 2 ? 0 : tensor.shares.size());
  std::vector<std::byte>& data = read_back_;
  const int64_t limit = std::min(request_.options.piece_bytes, kCachedBytes);
  for_each_piece(tensor.global, element, limit, [&](const Box& piece) {
    data.resize(static_cast<size_t>(volume(piece)) * element);
    target_->read(number, piece, data.data());
    all.add(data.data(), static_cast<int64_t>(data.size()));
    for (size_t i = 0; i < parts.size(); ++i) {
      const auto region = intersection(tensor.shares[i].box, piece);
      if (!region) continue;
      for_each_common_run(*region, packed(piece, data.data()), packed(*region, nullptr),
                          [&](int64_t at, int64_t, int64_t count) {
                            parts[i].add(data.data() + static_cast<size_t>(at) * element,
                                         count * static_cast<int64_t>(element));
                          });
    }
  });
  const auto compare = [&](const Digest& expected, const Digest& found) {
    if (expected == found) return;
    try {
      fail_digest(request_.path + ".tmp", tensor.name, expected, found);
    } catch (const Error& error) {
      fail_read_back(error);
    }
  };
  for (size_t i = 0; i < parts.size(); ++i) {
    compare(share_digests_[number][i], parts[i].digest());
  }
  if (gathering_) compare(digests_[number], all.digest());
  if (!gathering_ && tensor.shares.size() == 1) {
    compare(share_digests_[number][0], all.digest());
  }
  digests_[number] = all.digest();
}

// The digests of all tensors on every rank.
void SaveJob::exchange_digests() {
  std::vector<Digest> mine;
  for (size_t i = 0; i < checkers_.size(); ++i) {
    if (checkers_[i] == world_.rank()) mine.push_back(digests_[i]);
  }
  const std::vector<std::string> all = gather_texts(bytes_of(mine), world_, "checkpoint digests");
  std::vector<std::string_view> rest(all.begin(), all.end());
  for (size_t i = 0; i < checkers_.size(); ++i) {
    digests_[i] = take_digest(rest[static_cast<size_t>(checkers_[i])]);
  }
  phase_ = Phase::finish;
}

}  // namespace troupe::checkpoint
