#include <nlohmann/json.hpp>

#include "core/text/byte_alphabet.h"
#include "tests/core/text/fuzz.h"

namespace troupe::test {
namespace {

using nlohmann::json;

int64_t below(FuzzRandom& random, int64_t n) {
  return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
}

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

int64_t nasty_number(FuzzRandom& random, int64_t now) {
  switch (below(random, 10)) {
    case 0:
      return 0;
    case 1:
      return -1;
    case 2:
      return now + 1;
    case 3:
      return now - 1;
    case 4:
      return INT32_MAX;
    case 5:
      return INT64_MAX;
    case 6:
      return INT64_MIN;
    case 7:
      return now << below(random, 40);
    case 8:
      return static_cast<int64_t>(random());
    default:
      return below(random, 300);
  }
}

// Changes that know nothing of the format.
void mutate_bytes(FuzzRandom& random, std::string& text) {
  const int64_t size = static_cast<int64_t>(text.size());
  const auto at = static_cast<size_t>(below(random, size + 1));
  switch (below(random, 5)) {
    case 0:
      text.resize(at);
      break;
    case 1:
      text.insert(at, static_cast<size_t>(below(random, 20)), static_cast<char>(random()));
      break;
    case 2:
      if (at < text.size()) text[at] = static_cast<char>(random());
      break;
    case 3:
      text.insert(at, text.substr(static_cast<size_t>(below(random, size + 1)), 40));
      break;
    default:
      text.erase(at, static_cast<size_t>(below(random, 10)));
      break;
  }
}

struct IndexFields {
  int64_t version = 1;
  int64_t type = 8;
  std::vector<int64_t> lengths;
  std::vector<int64_t> offsets;
  std::vector<int64_t> documents;
  bool modes = false;
};

IndexFields valid_index(FuzzRandom& random, int64_t& bin_bytes) {
  IndexFields fields;
  const int64_t types[] = {1, 2, 3, 4, 5, 8};
  const int64_t widths[] = {1, 1, 2, 4, 8, 2};
  const int64_t kind = below(random, 6);
  fields.type = types[kind];
  fields.documents.push_back(0);
  const int64_t sequences = below(random, 20);
  int64_t offset = 0;
  for (int64_t s = 0; s < sequences; ++s) {
    fields.lengths.push_back(below(random, 50));
    fields.offsets.push_back(offset);
    offset += fields.lengths.back() * widths[kind];
    if (s + 1 < sequences && below(random, 3) == 0) fields.documents.push_back(s + 1);
  }
  for (int64_t i = below(random, 3); i >= 0; --i) fields.documents.push_back(sequences);
  fields.modes = below(random, 4) == 0;
  bin_bytes = offset;
  return fields;
}

}  // namespace

IndexCase mutated_index(FuzzRandom& random) {
  IndexCase result;
  IndexFields fields = valid_index(random, result.bin_bytes);
  int64_t sequence_change = 0;
  int64_t document_change = 0;
  std::vector<int64_t>* lists[] = {&fields.lengths, &fields.offsets, &fields.documents};
  for (int64_t changes = 1 + below(random, 2); changes > 0; --changes) {
    std::vector<int64_t>& list = *lists[below(random, 3)];
    const auto at =
        list.empty() ? 0 : static_cast<size_t>(below(random, static_cast<int64_t>(list.size())));
    switch (below(random, 9)) {
      case 0:
        if (!list.empty()) list[at] = nasty_number(random, list[at]);
        break;
      case 1:
        if (!list.empty()) list.erase(list.begin() + static_cast<int64_t>(at));
        break;
      case 2:
        list.insert(list.begin() + static_cast<int64_t>(at), nasty_number(random, 3));
        break;
      case 3:
        if (list.size() > 1)
          std::swap(list[at],
                    list[static_cast<size_t>(below(random, static_cast<int64_t>(list.size())))]);
        break;
      case 4:
        fields.type =
            below(random, 8) == 0 ? nasty_number(random, fields.type) : 1 + below(random, 8);
        break;
      case 5:
        sequence_change = nasty_number(random, 0);
        break;
      case 6:
        document_change = nasty_number(random, 0);
        break;
      case 7:
        result.bin_bytes = std::max<int64_t>(0, nasty_number(random, result.bin_bytes));
        break;
      default:
        if (below(random, 4) == 0) fields.version = nasty_number(random, 1);
        break;
    }
  }
  std::string& out = result.idx;
  out.assign("MMIDIDX\0\0", 9);
  put<int64_t>(out, fields.version);
  put<uint8_t>(out, static_cast<uint8_t>(fields.type));
  const auto sum = [](size_t a, int64_t b) {
    return static_cast<uint64_t>(a) + static_cast<uint64_t>(b);
  };
  put<uint64_t>(out, sum(fields.lengths.size(), sequence_change));
  put<uint64_t>(out, sum(fields.documents.size(), document_change));
  for (const int64_t value : fields.lengths) put<int32_t>(out, static_cast<int32_t>(value));
  for (const int64_t value : fields.offsets) put<int64_t>(out, value);
  for (const int64_t value : fields.documents) put<int64_t>(out, value);
  if (fields.modes) out.append(fields.lengths.size(), '\0');
  if (below(random, 8) == 0) mutate_bytes(random, out);
  return result;
}

namespace {

// A small but whole tokenizer: 256 bytes, some merges, two added tokens.
json small_tokenizer(FuzzRandom& random) {
  json vocab = json::object();
  json merges = json::array();
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte)
    tokens.push_back(bytes_to_alphabet(std::string(1, static_cast<char>(byte))));
  for (size_t i = 0; i < tokens.size(); ++i) vocab[tokens[i]] = i;
  const bool pairs = below(random, 2) == 0;
  for (int i = 0; i < 12; ++i) {
    const std::string left =
        tokens[static_cast<size_t>(below(random, static_cast<int64_t>(tokens.size())))];
    const std::string right = i % 2 == 0 ? "e" : "\xC4\xA0";
    if (vocab.contains(left + right)) continue;
    vocab[left + right] = vocab.size();
    tokens.push_back(left + right);
    if (pairs) {
      merges.push_back(json::array({left, right}));
    } else {
      merges.push_back(left + " " + right);
    }
  }
  const auto added = [&](const char* content, size_t id, bool special) {
    return json{{"id", id},          {"content", content}, {"single_word", false},
                {"lstrip", false},   {"rstrip", false},    {"normalized", !special},
                {"special", special}};
  };
  json file = {{"version", "1.0"},          {"truncation", nullptr},
               {"padding", nullptr},        {"normalizer", nullptr},
               {"post_processor", nullptr}, {"decoder", {{"type", "ByteLevel"}}}};
  file["added_tokens"] = json::array(
      {added("<|endoftext|>", vocab.size(), true), added("<u>", vocab.size() + 5, false)});
  const json level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  file["pre_tokenizer"] = level;
  if (below(random, 2) == 0) {
    const char* pattern =
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    json inner = level;
    inner["use_regex"] = false;
    file["pre_tokenizer"] = {{"type", "Sequence"},
                             {"pretokenizers", json::array({json{{"type", "Split"},
                                                                 {"pattern", {{"Regex", pattern}}},
                                                                 {"behavior", "Isolated"},
                                                                 {"invert", false}},
                                                            inner})}};
  }
  file["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", nullptr},
                   {"byte_fallback", false},
                   {"continuing_subword_prefix", ""},
                   {"end_of_word_suffix", ""},
                   {"ignore_merges", below(random, 2) == 0},
                   {"vocab", vocab},
                   {"merges", merges}};
  return file;
}

json nasty_value(FuzzRandom& random, const json& now) {
  switch (below(random, 12)) {
    case 0:
      return nullptr;
    case 1:
      return json::array();
    case 2:
      return json::object();
    case 3:
      return below(random, 2) == 0;
    case 4:
      return "";
    case 5:
      return "ByteLevel";
    case 6:
      return 0.5;
    case 7:
      return json::array({now, now});
    case 8:
      return json{{"type", now}};
    case 9:
      return now.is_string() ? json(now.get<std::string>() + "x") : json("e e");
    case 10:
      return UINT64_MAX;
    default:
      return nasty_number(random, now.is_number_integer() ? now.get<int64_t>() : 256);
  }
}

// Walks down to a node, choosing at each level; big lists and the vocabulary are as likely as the
// small settings.
json* pick(FuzzRandom& random, json& root, json** parent, std::string& key) {
  json* node = &root;
  while (node->is_structured() && !node->empty() && (node == &root || below(random, 6) != 0)) {
    auto next = node->begin();
    std::advance(next, below(random, static_cast<int64_t>(node->size())));
    *parent = node;
    key = node->is_object() ? next.key() : std::string();
    node = &*next;
  }
  return node;
}

}  // namespace

std::string mutated_tokenizer_json(FuzzRandom& random) {
  json file = small_tokenizer(random);
  for (int64_t changes = 1 + below(random, 2); changes > 0; --changes) {
    json* parent = nullptr;
    std::string key;
    json* node = pick(random, file, &parent, key);
    switch (below(random, 5)) {
      case 0:
        if (!key.empty()) parent->erase(key);
        break;
      case 1:
        if (parent->is_array()) parent->push_back(*node);
        break;
      case 2:
        if (parent->is_object()) (*parent)[key + "e"] = json(*node);
        break;
      default:
        *node = nasty_value(random, *node);
        break;
    }
  }
  std::string text = file.dump(-1, ' ', below(random, 2) == 0, json::error_handler_t::replace);
  if (below(random, 6) == 0) mutate_bytes(random, text);
  if (below(random, 200) == 0) text.insert(static_cast<size_t>(below(random, 30)), 100'000, '[');
  return text;
}

std::string mutated_merges(FuzzRandom& random) {
  const json file = small_tokenizer(random);
  std::vector<std::string> lines;
  if (below(random, 2) == 0) lines.push_back("#version: 0.2");
  for (const json& merge : file["model"]["merges"])
    lines.push_back(merge.is_string()
                        ? merge.get<std::string>()
                        : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  for (int64_t changes = 1 + below(random, 2); changes > 0; --changes) {
    const auto at = static_cast<size_t>(below(random, static_cast<int64_t>(lines.size())));
    std::string& line = lines[at];
    switch (below(random, 9)) {
      case 0:
        lines.erase(lines.begin() + static_cast<int64_t>(at));
        break;
      case 1:
        lines.push_back(line);
        break;
      case 2:
        std::swap(line,
                  lines[static_cast<size_t>(below(random, static_cast<int64_t>(lines.size())))]);
        break;
      case 3:
        line += " x";
        break;
      case 4:
        line.insert(line.begin(), ' ');
        break;
      case 5:
        line += "\r";
        break;
      case 6:
        line = "#version: 9";
        break;
      case 7:
        line = std::string(static_cast<size_t>(below(random, 100'000)), 'a');
        break;
      default:
        mutate_bytes(random, line);
        break;
    }
    if (lines.empty()) break;
  }
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  if (below(random, 8) == 0) mutate_bytes(random, text);
  // The vocabulary that the merges belong to goes in front, behind it a zero byte.
  return file["model"]["vocab"].dump() + '\0' + text;
}

}  // namespace troupe::test
