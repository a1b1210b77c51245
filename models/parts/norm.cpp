#include "models/parts/norm.h"

#include "core/ops/norm.h"

namespace troupe {
namespace {

class RmsNorm final : public Norm {
 public:
  RmsNorm(const std::vector<ParameterSpec>& specs, const ModuleContext& context, double eps)
      : parameters_(specs, context), weight_(parameters_.at(specs[0].name)), eps_(eps) {}
  Tensor forward(const Tensor& x_TD) const override { return rms_norm(x_TD, weight_, eps_); }
  void parameters(std::vector<Parameter*>& out) const override { parameters_.append_to(out); }

 private:
  ParameterSet parameters_;
  Parameter& weight_;
  double eps_;
};

class LayerNorm final : public Norm {
 public:
  LayerNorm(const std::vector<ParameterSpec>& specs, const ModuleContext& context, double eps)
      : parameters_(specs, context),
        weight_(parameters_.at(specs[0].name)),
        bias_(parameters_.at(specs[1].name)),
        eps_(eps) {}
  Tensor forward(const Tensor& x_TD) const override {
    return layer_norm(x_TD, weight_, bias_, eps_);
  }
  void parameters(std::vector<Parameter*>& out) const override { parameters_.append_to(out); }

 private:
  ParameterSet parameters_;
  Parameter& weight_;
  Parameter& bias_;
  double eps_;
};

ParameterSpec vector(const ParameterContext& context, const std::string& name, int64_t dim,
                     Init::Kind init) {
  return replicated_parameter(context, name, {dim}, {init}, TpGradient::stream);
}

class RmsNormPart final : public Part<Norm> {
 public:
  RmsNormPart(int64_t dim, double eps) : dim_(dim), eps_(eps) {}
  std::vector<ParameterSpec> parameters(const std::string& name,
                                        const ParameterContext& context) const override {
    return {vector(context, name + ".weight", dim_, Init::Kind::ones)};
  }
  // Its input and the statistic.
  PartMemory memory(const MemoryContext& context) const override {
    return {.saved = context.stream(dim_) + context.wide_rows(1)};
  }
  std::unique_ptr<Norm> make(const std::string& name, const ModuleContext& context) const override {
    return std::make_unique<RmsNorm>(parameters(name, context.parameters), context, eps_);
  }

 private:
  int64_t dim_;
  double eps_;
};

class LayerNormPart final : public Part<Norm> {
 public:
  LayerNormPart(int64_t dim, double eps) : dim_(dim), eps_(eps) {}
  std::vector<ParameterSpec> parameters(const std::string& name,
                                        const ParameterContext& context) const override {
    return {vector(context, name + ".weight", dim_, Init::Kind::ones),
            vector(context, name + ".bias", dim_, Init::Kind::zeros)};
  }
  // Its input and both statistics.
  PartMemory memory(const MemoryContext& context) const override {
    return {.saved = context.stream(dim_) + 2 * context.wide_rows(1)};
  }
  std::unique_ptr<Norm> make(const std::string& name, const ModuleContext& context) const override {
    return std::make_unique<LayerNorm>(parameters(name, context.parameters), context, eps_);
  }

 private:
  int64_t dim_;
  double eps_;
};

}  // namespace

NormPart rms_norm_part(int64_t dim, double eps) { return std::make_shared<RmsNormPart>(dim, eps); }

NormPart layer_norm_part(int64_t dim, double eps) {
  return std::make_shared<LayerNormPart>(dim, eps);
}

}  // namespace troupe
