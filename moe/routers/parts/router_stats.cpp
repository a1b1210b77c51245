#include "moe/routers/router_stats.h"

#include <algorithm>
#include <numeric>

#include "core/base/error.h"
#include "parallel/comm/communicator.h"

namespace troupe {
namespace {

int64_t sum(const std::vector<int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), int64_t{0});
}

template <typename T>
void add_to(std::vector<T>& into, const std::vector<T>& values) {
  require(into.size() == values.size(), "statistics of {} experts added to those of {}",
          values.size(), into.size());
  for (size_t i = 0; i < into.size(); ++i) into[i] += values[i];
}

// Calls f on every integer (or double) of the statistics, in a fixed order.
template <typename F>
void each_integer(RouterStats& stats, F&& f) {
  for (auto* counts : {&stats.selected, &stats.first, &stats.kept}) {
    for (int64_t& count : *counts) f(count);
  }
  f(stats.tokens);
  f(stats.rows);
}

template <typename F>
void each_real(RouterStats& stats, F&& f) {
  if (!stats.probability_sum.empty()) f(stats.entropy_sum);
  for (auto* sums : {&stats.probability_sum, &stats.load_sum}) {
    for (double& value : *sums) f(value);
  }
}

template <typename T, typename Each>
void exchange(std::span<RouterStats> layers, Communicator& group, const char* site, Each&& each) {
  std::vector<T> packed;
  for (RouterStats& layer : layers) each(layer, [&](T& value) { packed.push_back(value); });
  const auto n = static_cast<int64_t>(packed.size());
  group.all_reduce_sum(View{packed.data(), DTypeOf<T>::value, Shape{n}, Shape{1}}, site).finish();
  size_t next = 0;
  for (RouterStats& layer : layers) each(layer, [&](T& value) { value = packed[next++]; });
}

}  // namespace

RouterStats RouterStats::zeros(int64_t experts, const CountedKinds& kinds) {
  const auto n = static_cast<size_t>(experts);
  RouterStats stats;
  stats.selected.assign(n, 0);
  stats.kept.assign(n, 0);
  if (kinds.first_choices) stats.first.assign(n, 0);
  if (kinds.probabilities) stats.probability_sum.assign(n, 0.0);
  if (kinds.load) stats.load_sum.assign(n, 0.0);
  return stats;
}

int64_t RouterStats::dropped() const { return sum(selected) - sum(kept); }

double RouterStats::entropy() const {
  return tokens > 0 ? entropy_sum / static_cast<double>(tokens) : 0.0;
}

double RouterStats::dropped_fraction() const {
  const int64_t pairs = sum(selected);
  return pairs > 0 ? static_cast<double>(dropped()) / static_cast<double>(pairs) : 0.0;
}

double RouterStats::load_max_over_mean() const {
  const int64_t pairs = sum(selected);
  if (pairs == 0) return 1.0;
  const int64_t most = *std::max_element(selected.begin(), selected.end());
  return static_cast<double>(most * experts()) / static_cast<double>(pairs);
}

int64_t RouterStats::dead_experts() const {
  return std::count(selected.begin(), selected.end(), 0);
}

void RouterStats::add(const RouterStats& other) {
  add_to(selected, other.selected);
  add_to(first, other.first);
  add_to(kept, other.kept);
  add_to(probability_sum, other.probability_sum);
  add_to(load_sum, other.load_sum);
  tokens += other.tokens;
  rows += other.rows;
  entropy_sum += other.entropy_sum;
}

std::vector<int64_t> RouterStats::counts() const {
  std::vector<int64_t> out;
  for (const auto* part : {&selected, &kept, &first}) {
    out.insert(out.end(), part->begin(), part->end());
  }
  return out;
}

int64_t RouterStats::summed_integers() const {
  return static_cast<int64_t>(selected.size() + kept.size() + first.size()) + 2;
}

int64_t RouterStats::summed_reals() const {
  const size_t entropy = probability_sum.empty() ? 0 : 1;
  return static_cast<int64_t>(entropy + probability_sum.size() + load_sum.size());
}

void add_over_ranks(std::span<RouterStats> layers, Communicator& group) {
  exchange<int64_t>(layers, group, "router counts",
                    [](RouterStats& stats, auto&& f) { each_integer(stats, f); });
  exchange<double>(layers, group, "router sums",
                   [](RouterStats& stats, auto&& f) { each_real(stats, f); });
}

}  // namespace troupe
