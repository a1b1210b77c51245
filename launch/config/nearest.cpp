#include "launch/config/nearest.h"

#include <fmt/core.h>

#include <algorithm>

namespace troupe {

int edit_distance(std::string_view a, std::string_view b) {
  a = a.substr(0, 64);  // far longer than any key
  b = b.substr(0, 64);
  std::vector<std::vector<int>> d(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = static_cast<int>(i);
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const int change = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

namespace {

// "expert_parallel" -> "ep".
std::string initials(std::string_view word) {
  std::string letters;
  bool start = true;
  for (const char c : word) {
    if (start && c != '_') letters += c;
    start = c == '_';
  }
  return letters;
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& words) {
  std::string best;
  int best_distance = 1 << 20;
  for (const std::string& candidate : words) {
    const int length = static_cast<int>(std::max(word.size(), candidate.size()));
    const bool extends = word.size() >= 3 && candidate.size() >= 3 &&
                         (candidate.rfind(word, 0) == 0 || word.rfind(candidate, 0) == 0);
    const int distance = edit_distance(word, candidate);
    const int allowed = length <= 3 ? 1 : std::max(2, length / 3);
    const bool near = distance <= allowed && distance < length;
    if (candidate.size() >= 2 && initials(word) == candidate) return candidate;
    if ((near || extends) && distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& words,
                         std::string_view prefix) {
  const std::string near = nearest(word, words);
  return near.empty() ? "" : fmt::format("; did you mean {}{}?", prefix, near);
}

}  // namespace troupe
