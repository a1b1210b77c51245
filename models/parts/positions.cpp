#include "models/parts/positions.h"

#include "core/ops/arithmetic.h"
#include "core/ops/embedding.h"

namespace troupe {
namespace {

class LearnedPositions final : public PositionEmbedding {
 public:
  LearnedPositions(const std::vector<ParameterSpec>& specs, const ModuleContext& context)
      : parameters_(specs, context), table_(parameters_.at(specs[0].name)) {}

  Tensor forward(const Tensor& x_TD, const MicroBatchContext& stream) const override {
    std::vector<int32_t> positions = stream.sharding->stream_rows();
    const auto seq_len = static_cast<int32_t>(stream.sharding->seq_len());
    for (int32_t& token : positions) token %= seq_len;
    const auto rows = static_cast<int64_t>(positions.size());
    return decode(x_TD, Tensor::from(positions, {rows}, x_TD.device()));
  }
  Tensor decode(const Tensor& x_TD, const Tensor& positions) const override {
    return add(x_TD, embedding(table_, positions));
  }
  void parameters(std::vector<Parameter*>& out) const override { parameters_.append_to(out); }

 private:
  ParameterSet parameters_;
  Parameter& table_;
};

class LearnedPositionsPart final : public Part<PositionEmbedding> {
 public:
  LearnedPositionsPart(int64_t positions, int64_t dim) : positions_(positions), dim_(dim) {}
  std::vector<ParameterSpec> parameters(const std::string& name,
                                        const ParameterContext& context) const override {
    ParameterSpec table =
        replicated_parameter(context, name + ".weight", {positions_, dim_},
                             {Init::Kind::normal, context.init_std}, TpGradient::stream);
    table.role = ParameterRole::table;
    table.in_products = false;
    return {table};
  }
  PartMemory memory(const MemoryContext&) const override { return {}; }
  std::unique_ptr<PositionEmbedding> make(const std::string& name,
                                          const ModuleContext& context) const override {
    return std::make_unique<LearnedPositions>(parameters(name, context.parameters), context);
  }

 private:
  int64_t positions_;
  int64_t dim_;
};

}  // namespace

PositionPart learned_positions_part(int64_t positions, int64_t dim) {
  return std::make_shared<LearnedPositionsPart>(positions, dim);
}

}  // namespace troupe
