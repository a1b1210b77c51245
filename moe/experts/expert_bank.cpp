#include "moe/experts/expert_bank.h"

#include "core/ops/swiglu_experts.h"

namespace troupe {
namespace {

Init normal(double scale) { return {Init::Kind::normal, scale}; }

Layout bank_layout(const Shape& global) {
  return Layout::replicated(global, MeshKind::experts, {Axis::edp}).shard(0, Axis::ep);
}

Layout gate_up_layout(Layout layout, int dim, int64_t ffn_dim) {
  layout.dims[static_cast<size_t>(dim)].sections = {ffn_dim, ffn_dim};
  return layout;
}

Layout shared_layout(const Shape& global) {
  return Layout::replicated(global, MeshKind::attention, {Axis::dp, Axis::cp});
}

Parameter make(const std::string& name, const Layout& layout, const Mesh& mesh, DType compute,
               double init_std, const std::shared_ptr<Device>& device) {
  return Parameter(name, layout, local_slice(layout, mesh.shape(), mesh.coordinates()), compute,
                   normal(init_std), /*decay=*/true, device);
}

}  // namespace

ExpertBank::ExpertBank(const ExpertSetup& setup, const Mesh& mesh,
                       const std::shared_ptr<Device>& device)
    : gate_up_(make(setup.name + ".gate_up",
                    gate_up_layout(bank_layout({setup.experts, 2 * setup.ffn_dim, setup.dim}), 1,
                                   setup.ffn_dim),
                    mesh, setup.compute, setup.init_std, device)),
      down_(make(setup.name + ".down", bank_layout({setup.experts, setup.dim, setup.ffn_dim}), mesh,
                 setup.compute, setup.down_init_std, device)) {}

Tensor ExpertBank::forward(const Tensor& x_RD, std::span<const int64_t> rows_per_expert,
                           const Tensor& weight_R) {
  return swiglu_experts(x_RD, rows_per_expert, weight_R, gate_up_, down_);
}

void ExpertBank::parameters(const std::function<void(Parameter&)>& visit) {
  visit(gate_up_);
  visit(down_);
}

SharedExperts::SharedExperts(const ExpertSetup& setup, const Mesh& mesh,
                             const std::shared_ptr<Device>& device)
    : gate_up_(make(setup.name + ".gate_up",
                    gate_up_layout(shared_layout({2 * setup.experts * setup.ffn_dim, setup.dim}), 0,
                                   setup.experts * setup.ffn_dim),
                    mesh, setup.compute, setup.init_std, device)),
      down_(make(setup.name + ".down", shared_layout({setup.dim, setup.experts * setup.ffn_dim}),
                 mesh, setup.compute, setup.down_init_std, device)) {}

Tensor SharedExperts::forward(const Tensor& x_TD) {
  return swiglu_feed_forward(x_TD, gate_up_, down_);
}

void SharedExperts::parameters(const std::function<void(Parameter&)>& visit) {
  visit(gate_up_);
  visit(down_);
}

}  // namespace troupe
