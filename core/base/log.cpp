#include "core/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace troupe::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// spdlog's registry owns the logger; the process has one stderr, so it has one logger.
std::shared_ptr<spdlog::logger> logger() {
  if (auto existing = spdlog::get("troupe")) return existing;
  try {
    auto created = spdlog::stderr_logger_mt("troupe");
    created->set_pattern("%v");
    return created;
  } catch (const spdlog::spdlog_ex&) {  // another thread was first
    return spdlog::get("troupe");
  }
}

}  // namespace

void configure(Level level, int rank, bool leader, bool over_live_line) {
  auto target = logger();
  target->set_level(leader ? to_spdlog(level) : spdlog::level::warn);
  target->set_pattern(fmt::format("{}{}%v", over_live_line ? "\r\x1b[K" : "",
                                  leader ? std::string() : fmt::format("rank {}: ", rank)));
  target->flush_on(spdlog::level::debug);
}

void write(Level level, const std::string& message) {
  const char* prefix = level == Level::warning ? "warning: "
                       : level == Level::error ? "error: "
                                               : "";
  logger()->log(to_spdlog(level), "{}{}", prefix, message);
}

}  // namespace troupe::log
