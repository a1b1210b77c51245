// The trace of `bench step --profile`: a file that others read, so it is read back as they do.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "launch/bench/step_profile.h"
#include "launch/bench/trace_events.h"
#include "launch/config/load.h"
#include "parallel/comm/thread/thread_world.h"

namespace troupe {
namespace {

using Json = nlohmann::json;

RunConfig small_model(int ranks) {
  return load_config(TROUPE_SOURCE_DIR "/configs/bench/moe_8x2.yaml",
                     {"model.layers=2", "model.dim=64", "model.heads=2", "model.kv_heads=1",
                      "moe.ffn_dim=32", "model.seq_len=64", "train.global_batch=4",
                      "train.micro_batch=1", "parallel.ep=" + std::to_string(ranks)},
                     ranks)
      .config;
}

struct Span {
  std::string name;
  int64_t begin;  // ns
  int64_t end;
};

// Complete events by (rank, track name), in the order of their begin.
struct Tracks {
  std::map<std::pair<int, std::string>, std::vector<Span>> spans;
  std::map<std::string, Json> open;  // messages that began
  size_t messages = 0;
  std::set<std::string> kinds;  // of messages

  explicit Tracks(const Json& document) {
    std::map<std::pair<int, int>, std::string> names;
    for (const Json& event : document["traceEvents"]) {
      if (event["ph"] == "M" && event["name"] == "thread_name") {
        names[{event["pid"], event["tid"]}] = event["args"]["name"];
      }
    }
    for (const Json& event : document["traceEvents"]) add(event, names);
    for (auto& [track, list] : spans) {
      std::stable_sort(list.begin(), list.end(),
                       [](const Span& a, const Span& b) { return a.begin < b.begin; });
    }
  }
  void add(const Json& event, const std::map<std::pair<int, int>, std::string>& names) {
    const std::string kind = event["ph"];
    if (kind == "M") return;
    const auto track = names.find({event["pid"], event["tid"]});
    ASSERT_NE(track, names.end()) << event;
    const int64_t begin = std::llround(event["ts"].get<double>() * 1e3);
    if (kind == "X") {
      const int64_t length = std::llround(event["dur"].get<double>() * 1e3);
      EXPECT_GE(length, 0);
      spans[{track->first.first, track->second}].push_back({event["name"], begin, begin + length});
    } else if (kind == "b") {
      EXPECT_TRUE(open.emplace(event["id"], event).second) << event;
      kinds.insert(event["args"]["kind"]);
      EXPECT_GE(event["args"]["bytes"].get<int64_t>(), 0);
    } else {
      ASSERT_EQ(kind, "e") << event;
      const auto started = open.find(event["id"]);
      ASSERT_NE(started, open.end()) << event;
      EXPECT_EQ(started->second["name"], event["name"]);
      EXPECT_LE(started->second["ts"], event["ts"]);
      open.erase(started);
      ++messages;
    }
  }
  const std::vector<Span>& at(int rank, const std::string& track) { return spans[{rank, track}]; }
};

void expect_nested(const std::vector<Span>& track) {
  std::vector<Span> open;
  for (const Span& span : track) {
    while (!open.empty() && open.back().end <= span.begin) open.pop_back();
    if (!open.empty()) {
      EXPECT_LE(span.end, open.back().end) << span.name << " in " << open.back().name;
    }
    open.push_back(span);
  }
}

int64_t length_within(const std::vector<Span>& spans, const Span& whole) {
  int64_t sum = 0;
  for (const Span& span : spans) {
    sum += std::max<int64_t>(std::min(span.end, whole.end) - std::max(span.begin, whole.begin), 0);
  }
  return sum;
}

TEST(StepProfile, WritesATraceOfNestedEventsOfEveryRank) {
  std::string text;
  constexpr int kRanks = 2;
  run_ranks(kRanks, [&](int rank, const std::shared_ptr<Communicator>& world) {
    const auto device = Device::cpu(2);
    world->world().set_device(device);
    const StepProfile profile = profile_steps(small_model(kRanks), world, device, 1, 2);
    EXPECT_EQ(profile.trace.empty(), rank != 0);
    if (rank == 0) text = profile.trace;
    EXPECT_EQ(profile.steps, 2);
    ASSERT_GE(profile.operators.size(), 10U);
    double sum = 0;
    for (size_t i = 0; i < profile.operators.size(); ++i) {
      const OperatorCost& cost = profile.operators[i];
      sum += cost.ms;
      EXPECT_GE(cost.ms, 0) << cost.name;
      EXPECT_LE(cost.busy, 1) << cost.name;
      if (i > 0) {
        EXPECT_LE(cost.ms, profile.operators[i - 1].ms);
      }
    }
    EXPECT_GT(sum, 0);
    EXPECT_LE(sum, profile.step_ms) << "rank " << rank;
    EXPECT_EQ(device->stream().trace, nullptr);
  });
  EXPECT_TRUE(is_trace(text.substr(0, 1024)));
  EXPECT_FALSE(is_trace("{\"traceEvents\": []}"));
  const Json document = Json::parse(text);
  Tracks tracks(document);
  EXPECT_TRUE(tracks.open.empty());
  for (const char* kind : {"all_to_all", "all_reduce"})
    EXPECT_EQ(tracks.kinds.count(kind), 1U) << kind;
  for (int rank = 0; rank < kRanks; ++rank) {
    SCOPED_TRACE(rank);
    for (const char* track : {"steps", "phases", "layers", "operators", "thread 0", "thread 1"}) {
      SCOPED_TRACE(track);
      EXPECT_FALSE(tracks.at(rank, track).empty());
      expect_nested(tracks.at(rank, track));
    }
    std::set<std::string> names;
    for (const Span& span : tracks.at(rank, "operators")) names.insert(span.name);
    for (const char* name :
         {"embedding", "rms_norm", "linear", "linear backward", "linear weight gradient", "rope",
          "attention", "attention backward", "routed_experts", "routed_experts backward",
          "routed_experts weight gradient", "linear_cross_entropy",
          "linear_cross_entropy weight gradient", "gradient norm", "optimizer update"}) {
      EXPECT_EQ(names.count(name), 1U) << name;
    }
    std::set<std::string> layers;
    for (const Span& span : tracks.at(rank, "layers")) layers.insert(span.name);
    EXPECT_EQ(layers, (std::set<std::string>{"layer 0 backward", "layer 0 forward",
                                             "layer 1 backward", "layer 1 forward"}));
    // A step is made of its phases, and everything that ran lies in a step.
    ASSERT_EQ(tracks.at(rank, "steps").size(), 2U);
    int64_t operators = 0;
    for (const Span& step : tracks.at(rank, "steps")) {
      EXPECT_EQ(length_within(tracks.at(rank, "phases"), step), step.end - step.begin);
      for (const Span& span : tracks.at(rank, "operators")) {
        operators += span.begin >= step.begin && span.end <= step.end ? 1 : 0;
      }
    }
    EXPECT_EQ(operators, static_cast<int64_t>(tracks.at(rank, "operators").size()));
  }
}

}  // namespace
}  // namespace troupe
