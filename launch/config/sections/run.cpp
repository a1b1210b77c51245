// Keys of run.
#include "launch/config/key_maker.h"
#include "launch/config/schema_keys.h"

namespace troupe {
namespace {

std::string stem_of(const std::string& file) {
  const size_t slash = file.rfind('/');
  std::string stem = slash == std::string::npos ? file : file.substr(slash + 1);
  const size_t dot = stem.find('.');
  if (dot != std::string::npos) stem.resize(dot);
  return stem.empty() ? "run" : stem;
}

}  // namespace

std::vector<Key> run_keys() {
  return {
      KeyMaker("run.name", FieldType::text, "Name of the run, shown in banners and reports.")
          .into([](RunConfig & c) -> auto& { return c.run.name; })
          .resolves("auto",
                    [](const RunConfig& c, int) { return FieldValue(stem_of(c.values.file)); })
          .words({"auto"})
          .word("auto")
          .may_change(),
      KeyMaker("run.dir", FieldType::run_path,
               "Directory of everything that the run leaves; auto = runs/ and the run's name.")
          .into([](RunConfig & c) -> auto& { return c.run.dir; })
          .resolves("auto",
                    [](const RunConfig& c, int) { return FieldValue("runs/" + c.run.name); })
          .of_job()
          .words({"auto"})
          .word("auto")
          .may_change(),
      integer_key("run.seed", "Seed of initial values, data order and every other random draw.")
          .into([](RunConfig & c) -> auto& { return c.run.seed; })
          .value(int64_t{1234})
          .from(0),
  };
}

}  // namespace troupe
