#include "tests/parallel/checkpoint/support/mutate.h"

#include <algorithm>
#include <array>

#include "core/base/error.h"
#include "core/io/seal.h"

namespace troupe::test {
namespace {

std::string number_word(Dice& dice) {
  constexpr std::array<const char*, 16> words = {"0",
                                                 "1",
                                                 "7",
                                                 "8",
                                                 "511",
                                                 "512",
                                                 "513",
                                                 "1024",
                                                 "4096",
                                                 "65536",
                                                 "2147483648",
                                                 "4294967296",
                                                 "9223372036854775807",
                                                 "9223372036854775808",
                                                 "-1",
                                                 "99999999999999999999999"};
  return dice.one_in(3) ? std::to_string(dice.below(5000)) : dice.pick(words);
}

const std::vector<std::string>& words_of_a_seal() {
  static const std::vector<std::string> words = {
      "f32",           "f64", "bf16", "i64",         "i32",           "u8", "text", "-",
      "4x3",           "0x3", "3",    "1x1x1x1x1x1", "2x2x2x2x2x2x2", "/",  "/w",   "/config",
      "/scalars/step", "x",   ""};
  return words;
}

}  // namespace

void mutate_text(std::string& text, Dice& dice, const std::vector<std::string>& names) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t stop = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, stop - at));
    at = stop + 1;
  }
  std::string& line = lines[dice.below(lines.size())];
  switch (dice.below(9)) {
    case 0:
    case 1:
    case 2: {  // a word of the line
      std::vector<size_t> spaces = {std::string::npos};
      for (size_t i = 0; i < line.size(); ++i) {
        if (line[i] == ' ') spaces.push_back(i);
      }
      const size_t space = spaces[dice.below(spaces.size())];
      const size_t begin = space == std::string::npos ? 0 : space + 1;
      const size_t end = std::min(line.find(' ', begin), line.size());
      line.replace(begin, end - begin,
                   dice.one_in(2) ? number_word(dice) : names[dice.below(names.size())]);
      break;
    }
    case 3:  // a byte
      if (!line.empty()) line[dice.below(line.size())] = static_cast<char>(dice.below(256));
      break;
    case 4:  // a digit
      for (char& c : line) {
        if (c >= '0' && c <= '9' && dice.one_in(6)) c = static_cast<char>('0' + dice.below(10));
      }
      break;
    case 5:
      line.clear();
      break;
    case 6:
      line = lines[dice.below(lines.size())];
      break;
    case 7:
      std::swap(line, lines[dice.below(lines.size())]);
      break;
    default:
      line.insert(dice.below(line.size() + 1), std::string(1 + dice.below(40), 'x'));
  }
  text.clear();
  for (const std::string& one : lines) text += one + "\n";
}

// Gives the parts of the file the digests that its own table asks for, where the table can be read.
void mend(std::string& file, size_t block) {
  std::string text = file.substr(0, std::min(file.find('\0'), block));
  const size_t at = text.rfind("seal ");
  if (at == std::string::npos) return;
  text.resize(at);
  text += "seal " + digest_of(text).hex() + "\n";
  if (text.size() > block) return;
  text.resize(block, '\0');
  file.replace(0, block, text);
  try {
    Seal seal = parse_seal(file.substr(0, block), "mutant");
    seal.size = static_cast<int64_t>(file.size());
    std::vector<const SealEntry*> order;
    for (SealEntry& entry : seal.entries) {
      if (entry.offset + entry.bytes > seal.size) return;
      entry.digest = digest_of(std::string_view(file).substr(static_cast<size_t>(entry.offset),
                                                             static_cast<size_t>(entry.bytes)));
      if (entry.bytes > 0) order.push_back(&entry);
    }
    std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
    Hasher rest;
    int64_t end = seal.block;
    for (const SealEntry* entry : order) {
      rest.add(file.data() + end, entry->offset - end);
      end = entry->offset + entry->bytes;
    }
    rest.add(file.data() + end, seal.size - end);
    seal.rest = rest.digest();
    file.replace(0, block, format_seal(seal));
  } catch (const Error&) {
    return;  // it stays as it is: refused by the parser
  }
}

std::string mutant(const std::string& original, uint64_t number) {
  Dice dice(number, "fuzz");
  std::string file = original;
  const auto block = static_cast<size_t>(announced_block(original, "original"));
  const uint64_t kind = dice.below(10);
  if (kind < 6) {  // the seal
    std::string text = file.substr(0, file.find('\0'));
    for (uint64_t i = 0; i <= dice.below(3); ++i) mutate_text(text, dice, words_of_a_seal());
    text.resize(block, '\0');
    file.replace(0, block, text);
  } else if (kind < 9) {  // HDF5's part
    for (uint64_t i = 0; i <= dice.below(8); ++i) {
      file[block + dice.below(file.size() - block)] = static_cast<char>(dice.below(256));
    }
  } else {  // the length
    file.resize(dice.below(2 * file.size()), static_cast<char>(dice.below(256)));
  }
  if (!dice.one_in(4) && file.size() >= block) mend(file, block);
  return file;
}

}  // namespace troupe::test
