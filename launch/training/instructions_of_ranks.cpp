#include "launch/training/instructions_of_ranks.h"

#include <fmt/format.h>

#include <map>

#include "core/tensor/host_memory.h"
#include "core/tensor/tensor.h"

namespace troupe {
namespace {

std::string ranks_text(const std::vector<int64_t>& ranks) {
  constexpr size_t kNamed = 4;
  if (ranks.size() == 1) return fmt::format("rank {}", ranks[0]);
  if (ranks.size() <= kNamed) return fmt::format("ranks {}", fmt::join(ranks, ", "));
  return fmt::format("{} ranks: {}, ...", ranks.size(),
                     fmt::join(ranks.begin(), ranks.begin() + kNamed, ", "));
}

}  // namespace

std::vector<kernels::cpu::InstructionSet> instructions_of_ranks(
    kernels::cpu::InstructionSet own, Communicator& world, const std::shared_ptr<Device>& device) {
  const Tensor codes =
      Tensor::full({world.size()}, DType::f64, 0.0, device, MemoryKind::communication);
  host_update<double>(codes)[world.rank()] = static_cast<double>(own);
  world.all_reduce_sum(codes.view(), "instructions of the ranks").finish();
  std::vector<kernels::cpu::InstructionSet> all;
  for (const double code : codes.values())
    all.push_back(static_cast<kernels::cpu::InstructionSet>(static_cast<int>(code)));
  return all;
}

std::string describe(const std::vector<kernels::cpu::InstructionSet>& of_ranks) {
  std::map<kernels::cpu::InstructionSet, std::vector<int64_t>> ranks;
  for (size_t rank = 0; rank < of_ranks.size(); ++rank)
    ranks[of_ranks[rank]].push_back(static_cast<int64_t>(rank));
  if (ranks.size() == 1) return kernels::cpu::name(ranks.begin()->first);
  std::string text;
  for (const auto& [set, own] : ranks)
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", kernels::cpu::name(set),
                        ranks_text(own));
  return text;
}

}  // namespace troupe
