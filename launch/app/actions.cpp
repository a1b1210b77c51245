#include "launch/app/actions.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "launch/app/output.h"
#include "launch/config/nearest.h"

namespace troupe {
namespace {

std::string help(const std::string& command, const std::vector<Action>& actions) {
  std::string text;
  for (const Action& action : actions) {
    text += fmt::format("{}troupe {}\n", text.empty() ? "usage: " : "       ", action.line.usage());
  }
  for (const Action& action : actions) {
    text += fmt::format("\n{}: {}\n", action.name, action.line.summary());
  }
  return text +
         fmt::format("\n`troupe {} ACTION --help` shows the options of an action.\n", command);
}

}  // namespace

int run_action(const std::string& command, const std::vector<Action>& actions,
               std::span<const std::string> words) {
  std::vector<std::string> names;
  names.reserve(actions.size());
  for (const Action& action : actions) names.push_back(action.name);
  if (words.empty()) {
    fail(ExitCode::usage, "troupe {}: name an action: {}", command, fmt::join(names, ", "));
  }
  if (words[0] == "--help" || words[0] == "-h") {
    output::print("{}", help(command, actions));
    return 0;
  }
  const auto action = std::find_if(actions.begin(), actions.end(),
                                   [&](const Action& one) { return one.name == words[0]; });
  if (action == actions.end()) {
    fail(ExitCode::usage, "troupe {}: no action '{}'{}; there are {}", command, words[0],
         did_you_mean(words[0], names), fmt::join(names, ", "));
  }
  const std::optional<Arguments> arguments = action->line.parse(words.subspan(1));
  return arguments ? action->run(*arguments) : 0;
}

}  // namespace troupe
