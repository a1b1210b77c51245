// A whole run as plain data: what one YAML file says, checked and with every rule applied.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/field.h"
#include "core/text/text_options.h"
#include "launch/config/config_values.h"
#include "launch/config/recorded_inputs.h"
#include "launch/config/recorded_lineage.h"
#include "models/engine/engine_config.h"
#include "parallel/mesh/parallelism.h"

namespace troupe {

struct RunIdentityConfig {
  std::string name;
  std::string dir;  // relative to the working directory
  uint64_t seed = 1234;
};

struct DataSource {
  std::string path;
  double weight = 1.0;
};

struct DataConfig {
  std::string tokenizer;  // "byte" or a path
  std::vector<DataSource> train;
  std::string val;                   // empty = the last val_fraction of train
  double val_fraction = 0.1;         // 0 when `val` is given
  TextOptions text;                  // how files are read
  std::string end_of_text = "auto";  // the text of a token, auto or none
  std::string separator;             // empty = none
  // Sentences about files of a stored configuration that are neither here nor where they were.
  std::vector<std::string> missing;
};

struct CheckpointConfig {
  int64_t every = 200;              // 0 = only the last step
  int64_t keep = 3;                 // 0 = all
  std::string resume = "auto";      // auto | never | a path
  bool async = true;                // saves beside training
  int64_t shard_above = 1LL << 30;  // bytes of tensors
};

struct EvalConfig {
  int64_t every = 200;  // 0 = never
  int64_t tokens = 0;   // 0 = the whole held-out part
};

struct LoggingConfig {
  int64_t every = 10;
  bool tensorboard = true;
};

struct RuntimeConfig {
  int threads = 0;  // 0 = auto
  std::chrono::milliseconds timeout{600000};
  bool check_collectives = false;
};

struct BenchConfig {
  std::string routing = "natural";  // natural | balanced | zipf
};

struct RouterConfig {
  std::string type;
  Options options;              // of the router's field list
  std::vector<int64_t> layers;  // of a list of routers: those that it serves
};

// What `moe` says; what each layer has of it stands in ModelConfig::moe.
struct MoESection {
  // The layers with experts, if they were listed; else every n-th after the first dense ones.
  std::optional<std::vector<int64_t>> layers;
  int64_t every = 1;
  int64_t first_dense = 0;
  RouterConfig router;                    // where there is one for all layers
  std::vector<RouterConfig> routers;      // else
  std::optional<DType> router_precision;  // none = by the compute type
  MoEConfig common;                       // of all layers, without a router
};

struct RunConfig {
  RunIdentityConfig run;
  MoESection moe;
  std::string init = "none";  // model.init: a checkpoint whose weights are the first ones
  // model and moe. vocab is 0 while it depends on a tokenizer that was not opened: see
  // resolve_vocab().
  ModelConfig model;
  DataConfig data;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  TrainConfig train;
  Parallelism parallel;  // dp, edp and sp resolved
  CheckpointConfig checkpoint;
  EvalConfig eval;
  LoggingConfig logging;
  RuntimeConfig runtime;
  BenchConfig bench;

  // Of the files that were read for it; empty until they were.
  std::vector<RecordedInput> inputs;
  // Checkpoints that the run was given to go on from; empty until it is known.
  std::vector<Ancestor> lineage;

  // Every value with its origin: for messages, the resolved file and comparison on resume.
  ConfigValues values;
};

}  // namespace troupe
