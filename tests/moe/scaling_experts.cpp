#include "tests/moe/scaling_experts.h"

namespace troupe::testing {
namespace {

Tensor like(const Tensor& x, const std::vector<double>& values) {
  return Tensor::from(values, x.shape(), x.dtype(), x.device());
}

class ScalingPart final : public ExpertsPart {
 public:
  explicit ScalingPart(std::vector<double> factor_R) : factor_R_(std::move(factor_R)) {}

  Tensor forward(const Tensor& x_RD, const Tensor& weight_R, bool keep) override {
    (void)keep;
    x_RD_ = x_RD;
    weight_R_ = weight_R;
    return scaled(x_RD);
  }
  std::pair<Tensor, Tensor> gradient(const Tensor& dy_RD) override {
    const std::vector<double> x = x_RD_.values();
    const std::vector<double> dy = dy_RD.values();
    std::vector<double> dw(factor_R_.size(), 0.0);
    for (size_t i = 0; i < x.size(); ++i) dw[row(i)] += dy[i] * x[i] * factor_R_[row(i)];
    return {scaled(dy_RD), like(weight_R_, dw)};
  }
  void add_gradient(size_t weight, const Tensor& target, bool fresh) override {
    (void)weight, (void)target, (void)fresh;
  }

 private:
  size_t row(size_t element) const { return element / static_cast<size_t>(x_RD_.dim(1)); }
  Tensor scaled(const Tensor& rows_RD) const {
    std::vector<double> values = rows_RD.values();
    const std::vector<double> w = weight_R_.values();
    for (size_t i = 0; i < values.size(); ++i) values[i] *= w[row(i)] * factor_R_[row(i)];
    return like(rows_RD, values);
  }

  std::vector<double> factor_R_;
  Tensor x_RD_;
  Tensor weight_R_;
};

}  // namespace

std::unique_ptr<ExpertsPart> ScalingExperts::part(int64_t first, int64_t experts,
                                                  const std::vector<int64_t>& rows_per_expert) {
  std::vector<double> factor_R;
  for (auto slot = static_cast<size_t>(first); slot < static_cast<size_t>(first + experts); ++slot)
    factor_R.insert(factor_R.end(), static_cast<size_t>(rows_per_expert[slot]), factor_[slot]);
  return std::make_unique<ScalingPart>(std::move(factor_R));
}

}  // namespace troupe::testing
