// What memory is used for, and how much of it: current and peak bytes by kind.
#pragma once

#include <array>
#include <cstdint>

namespace troupe {

enum class MemoryKind : uint8_t {
  parameter,
  gradient,
  optimizer,
  activation,
  communication,
  checkpoint
};
constexpr int kMemoryKinds = 6;
const char* name(MemoryKind kind);

struct MemoryUse {
  int64_t current = 0;
  int64_t peak = 0;
};

struct MemoryReport {
  std::array<MemoryUse, kMemoryKinds> by_kind;
  MemoryUse total;                 // peak of the sum, not the sum of the peaks
  int64_t system_bytes = 0;        // address space held from the system, free blocks included
  int64_t system_allocations = 0;  // how often the system was asked
  const MemoryUse& of(MemoryKind kind) const { return by_kind[static_cast<int>(kind)]; }
};

}  // namespace troupe
