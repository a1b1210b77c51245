#include "launch/training/trained_model.h"

#include <fmt/core.h>

#include <filesystem>
#include <numeric>
#include <set>

#include "core/base/error.h"
#include "core/base/log.h"
#include "launch/config/load.h"
#include "launch/config/setting_names.h"
#include "launch/training/known_hashes.h"
#include "launch/training/training_data.h"
#include "models/families/lookup/configured_model.h"
#include "parallel/checkpoint/directory.h"

namespace troupe {
namespace {

// The largest ep that divides the ranks and the experts of every MoE layer.
int64_t fitting_ep(const ModelConfig& model, int64_t ranks) {
  int64_t common = ranks;
  for (const auto& moe : model.moe) {
    if (moe) common = std::gcd(common, moe->experts);
  }
  return common;
}

RunConfig config_for(const std::string& text, const std::string& place, int ranks) {
  std::vector<std::string> layout{"parallel={dp: 1}"};
  const RunConfig alone = load_config_text(text, place, layout, 1, Purpose::eval).config;
  const int64_t ep = alone.values.is_word("moe", "none") ? 1 : fitting_ep(alone.model, ranks);
  layout = {fmt::format("parallel={{dp: {}, ep: {}}}", ranks, ep)};
  return load_config_text(text, place, layout, ranks, Purpose::eval).config;
}

// What of the files is not what the checkpoint was trained with; "" where all is. Collective.
std::string changed_inputs(const TrainedModel& trained, const std::vector<Input>& inputs,
                           RankRuntime& runtime) {
  const std::vector<RecordedInput>& stored = trained.config.inputs;
  if (stored.empty() || inputs.empty()) return {};
  // RUN/checkpoints/step-N.h5
  const std::filesystem::path run =
      std::filesystem::absolute(trained.checkpoint).parent_path().parent_path();
  const std::vector<RecordedInput> now =
      fingerprints(inputs, (run / kKnownHashesFile).string(), false, *runtime.world());
  std::set<std::string> keys;
  for (const Input& input : inputs) keys.insert(input.key);
  std::string changed;
  for (const std::string& key : keys) {
    for (const InputChange& change : input_changes(stored, now, key)) {
      changed += fmt::format("\n  {}: was {}, is {}", key, change.before, change.after);
    }
  }
  if (changed.empty()) return changed;
  return fmt::format("{} was trained with other files than there are now:{}", trained.checkpoint,
                     changed);
}

// A tokenizer that does not fit the model is mostly another one than in training: then that is
// said.
std::unique_ptr<Tokenizer> fitting_tokenizer(TrainedModel& trained, RankRuntime& runtime) {
  RunConfig& config = trained.config;
  try {
    std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(config);
    resolve_vocab(config, tokenizer->vocab_size());
    return tokenizer;
  } catch (const Error& error) {
    std::unique_ptr<Tokenizer> other;
    try {
      other = load_tokenizer(config.data.tokenizer, {"none", key_names});
    } catch (const Error&) {
      // Then what is wrong with its files says it all.
    }
    if (!other) throw;
    const std::string changed = changed_inputs(trained, tokenizer_inputs(config, *other), runtime);
    if (changed.empty()) throw;
    fail(ExitCode::usage, "{}\n  put the old files back: these do not fit: {}", changed,
         error.what());
  }
}

}  // namespace

TrainedModel load_trained_model(const std::string& where, RankRuntime& runtime) {
  TrainedModel out;
  out.checkpoint = checkpoint::resolve(where, *runtime.world());
  const checkpoint::Info info = checkpoint::read_info(out.checkpoint);
  out.config = config_for(info.config, out.checkpoint, runtime.size());
  out.config.inputs = recorded_inputs(info.config);
  const bool imported = info.scalar("source.config") != nullptr;  // nothing was trained yet
  if (out.config.inputs.empty() && !imported && runtime.leader()) {
    log::warning("{}", unknown_inputs(out.checkpoint));
  }
  // A checkpoint does not know how long ranks may wait; the command does.
  out.config.runtime.timeout = runtime.world()->world().timeout();
  runtime.configure(out.config.runtime);
  // Stored before the key was there: rows were ended by a token of these names.
  if (out.config.data.end_of_text == "auto") out.config.data.end_of_text = "by_name";
  out.tokenizer = fitting_tokenizer(out, runtime);
  out.mesh = std::make_unique<Mesh>(out.config.parallel, runtime.world());
  out.model = make_model(out.config.model, *out.mesh, runtime.device(), out.config.run.seed);
  State state;
  for (Parameter* parameter : out.model->parameters()) {
    append_parts(state, "parameters/" + parameter->name(), parameter->layout(), parameter->slice(),
                 parameter->value());
  }
  for (MoELayer* layer : out.model->moe_layers()) layer->state(state);
  state.scalars = {{"step", int64_t{0}}};
  checkpoint::LoadOptions options;
  options.prefixes = {"parameters/", "router/", "step"};
  options.widen = true;  // imported ones have the types of their source
  checkpoint::load(out.checkpoint, state, *runtime.world(), options);
  for (Parameter* parameter : out.model->parameters()) parameter->value_changed();
  out.step = std::get<int64_t>(state.scalars[0].value);
  return out;
}

void check_inputs(const TrainedModel& trained, const std::vector<Input>& inputs, bool force,
                  RankRuntime& runtime) {
  const std::string message = changed_inputs(trained, inputs, runtime);
  if (message.empty()) return;
  if (!force) fail(ExitCode::usage, "{}\n  put the old files back, or pass --force", message);
  if (runtime.leader()) log::warning("--force: {}", message);
}

}  // namespace troupe
