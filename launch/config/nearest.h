// The nearest word, for "did you mean".
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace troupe {

// Damerau-Levenshtein distance (optimal string alignment): insert, delete, replace, swap.
int edit_distance(std::string_view a, std::string_view b);

// The nearest of `words` (ties: the first); empty when none is near enough. Near are words at most
// max(2, a third of the length) edits away (1 for words of up to three letters), abbreviations,
// extensions, and the initials ("expert_parallel": ep).
std::string nearest(std::string_view word, const std::vector<std::string>& words);

// "; did you mean PREFIX and the nearest of the words?"; empty when none is near enough.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& words,
                         std::string_view prefix = "");

}  // namespace troupe
