// The messages that a user sees, word for word. Each golden/NAME.yaml must be refused with the text
// of golden/NAME.txt. Its first lines may say `# ranks: N` and `# with: key=value`.
// TROUPE_UPDATE_GOLDEN=1 writes the texts anew: read the difference before committing it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/base/error.h"
#include "launch/config/load.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::string answer(const fs::path& path) {
  const std::string text = read(path);
  int ranks = 0;
  std::vector<std::string> overrides;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# ranks: ", 0) == 0) ranks = std::stoi(line.substr(9));
    if (line.rfind("# with: ", 0) == 0) overrides.push_back(line.substr(8));
  }
  try {
    load_config_text(text, path.filename().string(), overrides, ranks);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return std::string(error.what()) + "\n";
  }
  return "accepted\n";
}

TEST(Golden, Messages) {
  const fs::path folder = fs::path(TROUPE_SOURCE_DIR) / "tests/launch/config/golden";
  const bool update = std::getenv("TROUPE_UPDATE_GOLDEN") != nullptr;
  int seen = 0;
  for (const auto& file : fs::directory_iterator(folder)) {
    if (file.path().extension() != ".yaml") continue;
    ++seen;
    fs::path expected = file.path();
    expected.replace_extension(".txt");
    const std::string text = answer(file.path());
    if (update) {
      std::ofstream(expected) << text;
    } else {
      EXPECT_EQ(text, read(expected)) << file.path();
    }
  }
  EXPECT_GE(seen, 10);
}

// The samples of the project are sound.
TEST(Golden, SamplesAreAccepted) {
  const fs::path folder = fs::path(TROUPE_SOURCE_DIR) / "configs";
  int seen = 0;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (file.path().extension() != ".yaml") continue;
    ++seen;
    EXPECT_NO_THROW(load_config(file.path().string(), {}, 0)) << file.path();
  }
  EXPECT_GE(seen, 2);
}

}  // namespace
}  // namespace troupe
