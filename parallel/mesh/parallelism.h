// How a model is spread over the ranks: the sizes of the axes and the choices that go with them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/parameter/layout.h"
#include "parallel/mesh/planted_bug.h"

namespace troupe {

// The degrees that a layout is chosen by; edp follows from them.
struct Degrees {
  int pp = 1, dp = 1, cp = 1, tp = 1, ep = 1, etp = 1;
};

struct MeshShape {
  std::array<int, kAxes> size{1, 1, 1, 1, 1, 1, 1};
  int operator[](Axis axis) const { return size[static_cast<size_t>(axis)]; }
  int& operator[](Axis axis) { return size[static_cast<size_t>(axis)]; }
  int world() const;  // pp * dp * cp * tp
  static MeshShape of(const Degrees& degrees);
  // edp from the other degrees: dp x cp x tp / (ep x etp); 1 where that does not divide, a shape
  // that Mesh refuses.
  void derive_edp();
  // dp data ranks, of which groups of ep share the experts: edp = dp / ep.
  static MeshShape data_expert(int dp, int ep);
};

// Where `rank` stands on every axis. Pure arithmetic, no communicator.
std::array<int, kAxes> coordinates(const MeshShape& shape, int rank);

// How attention sees all keys when sequences are cut over cp: keys travel round the ranks, or heads
// are exchanged for positions.
enum class CpKind : uint8_t { ring, all_to_all };
// How token rows travel over ep: straight to each rank, or once per node and from there.
enum class EpKind : uint8_t { flat, hierarchical };
enum class PipelineSchedule : uint8_t { gpipe, one_f_one_b, interleaved, zero_bubble };

struct Parallelism {
  MeshShape shape;
  // Sequence parallelism: between the tensor parallel products each tp rank keeps its part of the
  // tokens instead of a copy of all.
  bool sp = false;
  CpKind cp_kind = CpKind::ring;
  EpKind ep_kind = EpKind::flat;
  int zero = 0;  // 0: nothing of the data parallel state is sharded ... 3: parameters too
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  int virtual_stages = 1;  // chunks of layers per pipeline rank
  int ranks_per_node = 0;  // 0 = all ranks that share memory
  // Only in tests: a bug to be caught (planted_bug.h).
  std::optional<PlantedBug> planted;
  Parallelism() = default;
  // Everything else at its default: sp where tp > 1.
  Parallelism(const MeshShape& mesh)  // NOLINT(google-explicit-constructor)
      : shape(mesh), sp(mesh[Axis::tp] > 1) {}
};

}  // namespace troupe
