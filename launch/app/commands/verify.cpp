// troupe verify CONFIG: proves that layouts train the same model.
#include <fmt/core.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/text/json_text.h"
#include "launch/app/command.h"
#include "launch/app/command_line.h"
#include "launch/app/listed_layouts.h"
#include "launch/app/output.h"
#include "launch/app/output_file.h"
#include "launch/config/engine_config.h"
#include "launch/config/layout_sentences.h"
#include "launch/config/load.h"
#include "launch/config/resolved.h"
#include "launch/training/rank_runtime.h"
#include "launch/training/trainer.h"
#include "models/layouts/layout_text.h"
#include "models/verify/shrink.h"
#include "models/verify/verifier.h"

namespace troupe {
namespace {

using nlohmann::ordered_json;

// Chunks of moe.overlap that the list of all layouts varies.
constexpr int kOverlap = 2;

ordered_json layout_json(const Parallelism& p) {
  const MeshShape& shape = p.shape;
  ordered_json json{{"dp", shape[Axis::dp]},
                    {"tp", shape[Axis::tp]},
                    {"sp", p.sp},
                    {"cp", shape[Axis::cp]},
                    {"pp", shape[Axis::pp]},
                    {"virtual_stages", p.virtual_stages},
                    {"ep", shape[Axis::ep]},
                    {"etp", shape[Axis::etp]},
                    {"zero", p.zero},
                    {"schedule", name(p.schedule)},
                    {"cp_kind", name(p.cp_kind)},
                    {"ep_kind", name(p.ep_kind)}};
  if (p.ranks_per_node > 0) {
    json["ranks_per_node"] = p.ranks_per_node;
  } else {
    json["ranks_per_node"] = "auto";
  }
  return json;
}

struct Job {
  RunConfig config;
  VerifyCase verify;
  ListOptions list;
  std::string layouts;  // "all" or a list
  bool full = false;
};

DType precision_of(const std::string& name) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    if (name == troupe::name(dtype)) return dtype;
  }
  fail(ExitCode::usage, "--precision {}: f64, f32 or bf16", name);
}

void set_precision(DType compute, EngineConfig& engine) {
  engine.model.compute = compute;
  for (auto& moe : engine.model.moe) {
    if (moe && (compute == DType::f64 || moe->router_precision != DType::f64)) {
      moe->router_precision = wide(compute);
    }
  }
}

LayoutInputs layout_inputs_of(const Job& job) {
  LayoutInputs subject = layout_inputs(job.config.model);
  subject.global_batch = job.config.train.global_batch;
  subject.micro_batch = job.config.train.micro_batch;
  return subject;
}

int most_chunks(const std::vector<VerifiedLayout>& layouts) {
  int most = 0;
  for (const VerifiedLayout& layout : layouts) {
    if (!layout.refused.empty()) continue;
    most = std::max(most, layout.parallelism.shape[Axis::pp] * layout.parallelism.virtual_stages);
  }
  return most;
}

constexpr const char* kCertificateMark = "troupe verify";

// Those made before have no generator.
bool is_certificate(std::string_view beginning) {
  return beginning.starts_with('{') &&
         (beginning.find(kCertificateMark) != std::string_view::npos ||
          beginning.find("\"config_hash\": ") != std::string_view::npos);
}

OutputFile certificate(const std::string& path) {
  OutputFile target;
  target.path = path;
  target.option = "certificate";
  target.ours = is_certificate;
  target.advice = "Move it, or choose another run.dir";
  return target;
}

class Report {
 public:
  Report(const Job& job, bool speaks) : job_(job), speaks_(speaks) {}

  void begin(const std::vector<VerifiedLayout>& layouts, const EngineConfig& engine) const {
    if (!speaks_) return;
    output::print("{} layouts of {} ranks, {} steps in {}; allowed difference {:.0e}\n",
                  layouts.size(), job_.list.ranks, job_.verify.steps, name(engine.model.compute),
                  tolerance_of(engine.model.compute));
    output::print(
        "model: {} layers, dim {}, {} heads, {} key heads, {} tokens, vocabulary {}{}\n\n",
        engine.model.layers, engine.model.dim, engine.model.heads, engine.model.kv_heads,
        engine.model.seq_len, engine.model.vocab,
        job_.full ? "" : " (shrunk; --full takes the model as it is)");
    output::print("{:<74} {:>9}  {:<44} {}\n", "layout", "worst", "in", "verdict");
  }

  void row(const Verdict& verdict, double tolerance) {
    const std::string word = !verdict.error.empty()    ? "FAILED"
                             : verdict.same(tolerance) ? "same"
                                                       : "DIFFERENT";
    ++run_;
    different_ += word == "same" ? 0 : 1;
    redrawn_ += word == "same" && verdict.draws > 1 ? 1 : 0;
    worst_ = std::max(worst_, verdict.worst);
    layouts_.push_back({{"layout", layout_json(verdict.layout.parallelism)},
                        {"worst", verdict.worst},
                        {"tensor", verdict.tensor},
                        {"verdict", word == "same" ? "same" : "different"}});
    if (!speaks_) return;
    const std::string where = verdict.error.empty() ? verdict.where : verdict.error;
    output::print("{:<74} {:>9.1e}  {:<44} {}\n", describe(verdict.layout), verdict.worst, where,
                  word);
    output::flush();
  }
  void refused(const VerifiedLayout& layout) {
    const std::string reason =
        layout_refusal(layout.refused, layout.parallelism, layout_inputs_of(job_), job_.list.ranks);
    ++reasons_[reason];
    refused_.push_back({{"layout", layout_json(layout.parallelism)}, {"reason", reason}});
  }

  int different() const { return different_; }

  void end(double seconds) const {
    if (!speaks_) return;
    size_t refused = 0;
    for (const auto& [reason, count] : reasons_) refused += count;
    if (refused > 0) output::print("\nrefused, because of what the configuration gives:\n");
    for (const auto& [reason, count] : reasons_) output::print("  {:>4}  {}\n", count, reason);
    output::print("\n{} layouts run, {} refused, {} differ", run_, refused, different_);
    output::print("; worst difference {:.1e}; {:.0f} s\n", worst_, seconds);
    if (redrawn_ == 0) return;
    output::print("{} of them differed with the first weights and not with others: rounding\n",
                  redrawn_);
  }

  void write(const std::string& file, const EngineConfig& engine) const {
    ordered_json json{{"generator", kCertificateMark},
                      {"version", TROUPE_VERSION},
                      {"config_hash", config_hash(job_.config)},
                      {"seed", job_.config.run.seed},
                      {"precision", name(engine.model.compute)},
                      {"tolerance", tolerance_of(engine.model.compute)},
                      {"worst", worst_},
                      {"layouts", layouts_},
                      {"refused", refused_}};
    write_output_file(certificate(file), json_text(json, 2));
    output::print("certificate: {}\n", file);
  }

 private:
  const Job& job_;
  bool speaks_;
  int run_ = 0;
  int different_ = 0;
  int redrawn_ = 0;  // the same with other weights only
  double worst_ = 0;
  std::map<std::string, size_t> reasons_;
  ordered_json layouts_ = ordered_json::array();
  ordered_json refused_ = ordered_json::array();
};

std::string certificate_path(const RunConfig& config) {
  std::error_code error;
  std::filesystem::create_directories(config.run.dir, error);
  if (error) {
    fail(ExitCode::resource, "{} cannot be made: {}; choose another run.dir", config.run.dir,
         error.message());
  }
  std::string path = (std::filesystem::path(config.run.dir) / "certificate.json").string();
  check_output_file(certificate(path));
  return path;
}

int verify(Job& job, RankRuntime& runtime) {
  const bool leader = runtime.leader();
  const std::string file = leader ? certificate_path(job.config) : std::string();
  const auto begin = std::chrono::steady_clock::now();
  const LayoutInputs subject = layout_inputs_of(job);
  const std::vector<VerifiedLayout> layouts = job.layouts == "all"
                                                  ? all_layouts(subject, job.list)
                                                  : listed_layouts(job.layouts, subject, job.list);
  EngineConfig& engine = job.verify.engine;
  if (!job.full) {
    // All layouts of a number of ranks ask for no more stages than there are ranks.
    engine = shrink(engine, job.list.ranks, most_chunks(layouts));
  }
  Report report(job, leader);
  report.begin(layouts, engine);
  Verifier verifier(job.verify);
  const LayoutRunner run = runtime.size() > 1 ? run_on_job(runtime.world())
                                              : run_on_threads(job.list.ranks, job.verify.timeout,
                                                               job.verify.check_collectives);
  for (const VerifiedLayout& layout : layouts) {
    if (!layout.refused.empty()) {
      report.refused(layout);
    } else {
      report.row(verifier.check(layout, run), tolerance_of(engine.model.compute));
    }
  }
  report.end(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  if (leader) report.write(file, engine);
  return static_cast<int>(report.different() == 0 ? ExitCode::ok : ExitCode::verification);
}

CommandLine command_line() {
  CommandLine line("verify", "CONFIG [key=value...] [options]",
                   "Trains the model on one rank and on other layouts and compares losses, the "
                   "gradient of each parameter, counts and parameters; code 8 on a difference.");
  line.option("layouts", "all|LIST", "all", "which: all, or a list as \"tp=2,pp=2;ep=8,zero=3\"")
      .flag("exhaustive", "every choice with every factorisation, not a cover of all pairs")
      .option("ranks", "N", "8", "ranks, as threads; under mpirun those of the job")
      .option("steps", "K", "3", "optimizer steps")
      .option("precision", "P", "f64", "f64, f32 or bf16")
      .flag("full", "the model as it is, not shrunk")
      .details(
          "The model is shrunk so that every layout that is legal for the large one is legal for "
          "the\nsmall one: sizes keep their divisors up to N, all kinds of layers stay. Tokens are "
          "drawn.\nWrites run.dir/certificate.json. A layout that cannot be is counted with its "
          "reason.\nexamples:\n  troupe verify configs/tiny/shakespeare.yaml "
          "train.micro_batch=1\n  troupe verify configs/tiny/shakespeare.yaml --ranks 2 --layouts "
          "\"ep=2;tp=2\"")
      .positionals(1, SIZE_MAX);
  return line;
}

int run(std::span<const std::string> args) {
  const std::optional<Arguments> arguments = command_line().parse(args);
  if (!arguments) return 0;
  const ConfigWords words = config_words(arguments->positionals);
  Job job;
  job.list.ranks = static_cast<int>(arguments->integer("ranks", 1, 4096));
  job.list.exhaustive = arguments->flag("exhaustive");
  job.layouts = arguments->text("layouts");
  job.full = arguments->flag("full");
  job.verify.steps = arguments->integer("steps", 1, 1000000);
  const DType precision = precision_of(arguments->text("precision"));

  RankRuntime runtime(words.file, words.overrides);
  if (runtime.size() > 1) job.list.ranks = runtime.size();
  // The layouts to compare are given apart: what the file says of its own does not matter here.
  // gpipe is the schedule that every model allows.
  std::vector<std::string> overrides = words.overrides;
  overrides.emplace_back("parallel={dp: 1, schedule: gpipe}");
  LoadedConfig loaded =
      load_config(words.file, overrides, 1, Purpose::train, runtime.environment());
  runtime.configure(loaded.config.runtime);
  if (loaded.config.model.vocab == 0) {
    resolve_vocab(loaded.config, open_tokenizer(loaded.config)->vocab_size());
  }
  job.config = std::move(loaded.config);
  // A size that follows the layout would differ between layouts: as small as it may be.
  if (!job.config.values.find("train.micro_batch")->automatic.empty()) {
    job.config.train.micro_batch = sequences_together(job.config.model);
  }
  job.list.longest_overlap = job.config.values.is_word("moe", "none") ? 1 : kOverlap;
  job.verify.engine = engine_config(job.config);
  job.verify.engine.steps = job.verify.steps;
  job.verify.timeout = job.config.runtime.timeout;
  job.verify.check_collectives = job.config.runtime.check_collectives;
  set_precision(precision, job.verify.engine);
  return verify(job, runtime);
}

}  // namespace

Command command_verify() {
  Command command;
  command.place = 110;
  command.name = "verify";
  command.arguments = "CONFIG [--layouts all|LIST]";
  command.summary = "proof that layouts train the same model";
  command.run = run;
  return command;
}

}  // namespace troupe
