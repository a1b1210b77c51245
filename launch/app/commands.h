// The commands of the program, one file each in launch/app/commands/. `args` are the words after
// the command's name. They return the exit code, or throw Error.
#pragma once

#include <span>
#include <string>

namespace troupe {

int command_bench(std::span<const std::string> args);
int command_check(std::span<const std::string> args);
int command_ckpt(std::span<const std::string> args);
int command_data(std::span<const std::string> args);
int command_eval(std::span<const std::string> args);
int command_generate(std::span<const std::string> args);
int command_help(std::span<const std::string> args);
int command_launch(std::span<const std::string> args);
int command_layout(std::span<const std::string> args);
int command_report(std::span<const std::string> args);
int command_selftest(std::span<const std::string> args);
int command_train(std::span<const std::string> args);
int command_verify(std::span<const std::string> args);
int command_version(std::span<const std::string> args);

}  // namespace troupe
