#include "core/formats/json_source.h"

#include <set>
#include <vector>

#include "core/base/error.h"
#include "core/formats/saved_tensor.h"
#include "core/formats/source_file.h"

namespace troupe {
namespace {

using nlohmann::json;
constexpr int kDeepest = 64;

// Told every event of the parser before a value is kept.
class Watch {
 public:
  explicit Watch(const std::string& place) : place_(place) {}

  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    if (depth > kDeepest)
      fail(ExitCode::checkpoint, "{}: is nested deeper than {}", place_, kDeepest);
    if (event == json::parse_event_t::object_start) keys_.emplace_back();
    if (event == json::parse_event_t::object_end) keys_.pop_back();
    if (event == json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys_.back().insert(key).second)
        fail(ExitCode::checkpoint, "{}: the key {} stands twice", place_, shown_name(key));
    }
    return true;
  }

 private:
  const std::string& place_;
  std::vector<std::set<std::string>> keys_;  // of the objects that are open
};

}  // namespace

json parse_json_object(const std::string& text, const std::string& place) {
  Watch watch(place);
  json root;
  try {
    root = json::parse(text, std::ref(watch));
  } catch (const json::exception& cause) {
    fail(ExitCode::checkpoint, "{}: is not valid JSON: {}", place, shown_name(cause.what()));
  }
  if (!root.is_object()) fail(ExitCode::checkpoint, "{}: is not a JSON object", place);
  return root;
}

json read_json_object(const std::string& path, int64_t most_bytes) {
  return parse_json_object(read_source(path, most_bytes), path);
}

}  // namespace troupe
