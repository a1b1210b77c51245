#include "moe/experts/expert_bank.h"

#include "core/ops/swiglu_experts.h"

namespace troupe {
namespace {

Init normal(double scale) { return {Init::Kind::normal, scale}; }

// hidden_dim: cut over etp.
Layout bank_layout(const Shape& global, int hidden_dim) {
  return Layout::replicated(global, MeshKind::experts, {Axis::edp})
      .shard(0, Axis::ep)
      .shard(hidden_dim, Axis::etp);
}

Layout gate_up_layout(Layout layout, int dim, int64_t ffn_dim) {
  layout.dims[static_cast<size_t>(dim)].sections = {ffn_dim, ffn_dim};
  return layout;
}

Layout shared_layout(const Shape& global, int hidden_dim) {
  return Layout::replicated(global, MeshKind::attention, {Axis::dp, Axis::cp})
      .shard(hidden_dim, Axis::tp);
}

Parameter make(const std::string& name, const Layout& layout, const Mesh& mesh, DType compute,
               double init_std, const std::shared_ptr<Device>& device) {
  return Parameter(name, layout, local_slice(layout, mesh.shape(), mesh.coordinates()), compute,
                   normal(init_std), /*decay=*/true, device);
}

}  // namespace

ExpertBank::ExpertBank(const ExpertInputs& inputs, const Mesh& mesh,
                       const std::shared_ptr<Device>& device)
    : gate_up_(make(inputs.name + ".gate_up",
                    gate_up_layout(bank_layout({inputs.experts, 2 * inputs.ffn_dim, inputs.dim}, 1),
                                   1, inputs.ffn_dim),
                    mesh, inputs.compute, inputs.init_std, device)),
      down_(make(inputs.name + ".down",
                 bank_layout({inputs.experts, inputs.dim, inputs.ffn_dim}, 2), mesh, inputs.compute,
                 inputs.down_init_std, device)) {}

Tensor ExpertBank::forward(const Tensor& x_RD, std::span<const int64_t> rows_per_expert,
                           const Tensor& weight_R) {
  return swiglu_experts(x_RD, rows_per_expert, weight_R, gate_up_, down_);
}

void ExpertBank::parameters(const std::function<void(Parameter&)>& visit) {
  visit(gate_up_);
  visit(down_);
}

SharedExperts::SharedExperts(const ExpertInputs& inputs, const Mesh& mesh,
                             const std::shared_ptr<Device>& device)
    : name_(inputs.name),
      region_(mesh),
      gate_up_(
          make(inputs.name + ".gate_up",
               gate_up_layout(shared_layout({2 * inputs.experts * inputs.ffn_dim, inputs.dim}, 0),
                              0, inputs.experts * inputs.ffn_dim),
               mesh, inputs.compute, inputs.init_std, device)),
      down_(make(inputs.name + ".down",
                 shared_layout({inputs.dim, inputs.experts * inputs.ffn_dim}, 1), mesh,
                 inputs.compute, inputs.down_init_std, device)) {}

Tensor SharedExperts::forward(const Tensor& x_TD) {
  const Tensor rows = region_.enter(x_TD, name_ + " in");
  return region_.leave(swiglu_feed_forward(rows, gate_up_, down_), name_ + " out");
}

void SharedExperts::parameters(const std::function<void(Parameter&)>& visit) {
  visit(gate_up_);
  visit(down_);
}

}  // namespace troupe
