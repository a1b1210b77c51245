#include "launch/config/resume.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/base/error.h"
#include "core/optim/lr_schedule.h"
#include "launch/config/scalar.h"

namespace troupe {
namespace {

constexpr const char* kAbsent = "(absent)";

std::string shown(const ConfigValue* entry) {
  return entry == nullptr ? kAbsent : ConfigValues::shown(*entry);
}

// What two values are compared by: paths by the file that they name.
std::string identity(const ConfigValue* entry) {
  if (entry == nullptr) return kAbsent;
  if (entry->key->type != FieldType::path || entry->word()) return ConfigValues::shown(*entry);
  std::error_code error;
  const std::filesystem::path path(std::get<std::string>(entry->value));
  return std::filesystem::weakly_canonical(std::filesystem::absolute(path), error).string();
}

bool may_change(const std::string& path, const ConfigValue* entry, const RunConfig& stored,
                const RunConfig& now) {
  if (path == "train.micro_batch") {
    return !micro_batch_matters(stored) && !micro_batch_matters(now);
  }
  return entry->key->on_resume == OnResume::may_change;
}

// Both name a file whose bytes are known: those count, not the path.
bool compared_by_bytes(const ConfigValue* before, const ConfigValue* after, const RunConfig& stored,
                       const RunConfig& now) {
  if (before == nullptr || after == nullptr || before->word() || after->word()) return false;
  const auto known = [&](const RunConfig& config) {
    return std::any_of(config.inputs.begin(), config.inputs.end(),
                       [&](const RecordedInput& input) { return input.key == before->path; });
  };
  return known(stored) && known(now);
}

// A word whose rule needs an open tokenizer: nothing to compare yet.
bool unresolved(const ConfigValue* entry) {
  return entry != nullptr &&
         ((entry->path == "model.vocab" && entry->word()) ||
          (entry->path == "data.end_of_text" && std::get<std::string>(entry->value) == "auto"));
}

// Of the step after `step` completed ones.
double learning_rate(const RunConfig& config, int64_t step) {
  return config.optimizer.lr * schedule_factor(config.schedule.schedule,
                                               config.schedule.schedule_options, step,
                                               config.train.steps);
}

}  // namespace

bool micro_batch_matters(const RunConfig& config) {
  for (const auto& moe : config.model.moe) {
    if (!moe) continue;
    for (const BalanceTerm& term : moe->balance) {
      if (term.scope == BalanceScope::microbatch && term.coef != 0) return true;
    }
  }
  return false;
}

std::vector<Change> changes(const RunConfig& stored, const RunConfig& now) {
  std::vector<std::string> paths;
  std::set<std::string> seen;
  for (const RunConfig* config : {&now, &stored}) {
    for (const ConfigValue& entry : config->values.entries()) {
      if (seen.insert(entry.path).second) paths.push_back(entry.path);
    }
  }
  std::vector<Change> list;
  for (const std::string& path : paths) {
    const ConfigValue* before = stored.values.find(path);
    const ConfigValue* after = now.values.find(path);
    if (compared_by_bytes(before, after, stored, now)) {
      for (InputChange& change : input_changes(stored.inputs, now.inputs, path)) {
        list.push_back({path, std::move(change.before), std::move(change.after), false});
      }
      continue;
    }
    if (identity(before) == identity(after) || unresolved(before) || unresolved(after)) continue;
    list.push_back(Change{path, shown(before), shown(after),
                          may_change(path, after != nullptr ? after : before, stored, now)});
  }
  return list;
}

std::vector<std::string> keep_what_held(const RunConfig& stored, RunConfig& now) {
  if (stored.data.text.format != TextFormat::by_name) return {};
  if (now.values.find("data.format")->place.source != Source::none) return {};
  now.values.replace("data.format", std::string("by_name"));
  now.data.text.format = TextFormat::by_name;
  return {
      "the run began before data.format was a key: it goes on by the names of files, without "
      "decompressing them (data.format: by_name)"};
}

std::vector<std::string> check_resume(const RunConfig& stored, const RunConfig& now, int64_t step,
                                      bool force) {
  std::vector<std::string> warnings;
  std::string refused;
  int count = 0;
  if (stored.inputs.empty() && !now.inputs.empty()) {
    warnings.push_back(unknown_inputs(stored.values.file));
  }
  for (const Change& change : changes(stored, now)) {
    if (change.allowed) continue;
    if (force) {
      warnings.push_back(fmt::format("--force: {} was {} in the stored run and is {} now",
                                     change.key, change.before, change.after));
      continue;
    }
    const ConfigValue* entry = now.values.find(change.key);
    refused += fmt::format("\n  {}: {}: was {}, is {}",
                           entry == nullptr ? "not given" : text(entry->place), change.key,
                           change.before, change.after);
    ++count;
  }
  if (count > 0) {
    fail(ExitCode::usage,
         "the run in {} was trained with another configuration: {} key{} may not change on "
         "resume (places in {}){}\n  put the old value or file back, choose another run.dir, or "
         "pass "
         "--force",
         now.run.dir, count, count == 1 ? "" : "s", now.values.file, refused);
  }
  if (stored.train.steps != now.train.steps && step < now.train.steps) {
    const double before = learning_rate(stored, step);
    const double after = learning_rate(now, step);
    if (before != after) {
      warnings.push_back(fmt::format(
          "train.steps was {} and is {}: the {} schedule's learning rate at step {} is {} instead "
          "of {}",
          stored.train.steps, now.train.steps, now.schedule.schedule, step + 1,
          format_computed(after, before), format_computed(before, after)));
    }
  }
  return warnings;
}

}  // namespace troupe
