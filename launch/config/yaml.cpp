#include "launch/config/yaml.h"

#include <fmt/core.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <sstream>

#include "core/text/utf8.h"

namespace troupe {
namespace {

[[noreturn]] void refuse(const SourceLocation& place, std::string rule, std::string fix = {}) {
  throw YamlError(Problem{place, "", "", std::move(rule), std::move(fix)});
}

bool is_null_word(const std::string& text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

// Builds the tree from yaml-cpp's events; the stack holds the open collections.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Source source) : source_(source) {}

  void OnDocumentStart(const YAML::Mark& mark) override { document_ = place(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    YamlNode node;
    node.place = place(mark);
    add(std::move(node), anchor, 1);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node;
    node.place = place(mark);
    node.quoted = tag != "?" && !tag.empty();
    if (node.quoted && tag != "!") node.tag = tag;
    const bool null = !node.quoted && is_null_word(value);
    node.kind = null ? YamlNode::Kind::null : YamlNode::Kind::scalar;
    node.text = value;
    add(std::move(node), anchor, 1);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::sequence);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::mapping);
  }
  void OnMapEnd() override { close(); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      refuse(place(mark), "an alias stands inside the value that it names", "write the value out");
    }
    YamlNode copy = found->second.node;
    copy.place = place(mark);
    if (depth() + found->second.depth > kMaxYamlDepth) too_deep(copy.place);
    add(std::move(copy), YAML::NullAnchor, found->second.nodes);
  }

  bool has_root() const { return root_.has_value(); }
  YamlNode take() { return std::move(*root_); }
  const SourceLocation& document() const { return document_; }

 private:
  struct Open {
    YamlNode node;
    YAML::anchor_t anchor = YAML::NullAnchor;
    int nodes_before = 0;
    int deepest = 0;
    bool has_key = false;  // of a mapping: a key waits for its value
  };
  struct Anchored {
    YamlNode node;
    int nodes = 1;
    int depth = 0;
  };

  int depth() const { return static_cast<int>(stack_.size()); }

  SourceLocation place(const YAML::Mark& mark) const {
    if (source_ != Source::file) return SourceLocation{source_, 0, 0};
    return SourceLocation{source_, mark.line + 1, mark.column + 1};
  }
  [[noreturn]] static void too_deep(const SourceLocation& where) {
    refuse(where, fmt::format("nested deeper than {} levels", kMaxYamlDepth));
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YamlNode::Kind kind) {
    YamlNode node;
    node.kind = kind;
    node.place = place(mark);
    if (tag != "?" && tag != "!" && !tag.empty()) node.tag = tag;
    if (depth() >= kMaxYamlDepth) too_deep(node.place);
    if (!stack_.empty()) check_key_position(node);
    stack_.push_back(Open{std::move(node), anchor, nodes_, depth() + 1, false});
  }

  void close() {
    Open top = std::move(stack_.back());
    stack_.pop_back();
    const int nodes = nodes_ - top.nodes_before + 1;
    if (top.anchor != YAML::NullAnchor) {
      anchors_[top.anchor] = Anchored{top.node, nodes, top.deepest - depth()};
    }
    if (!stack_.empty()) stack_.back().deepest = std::max(stack_.back().deepest, top.deepest);
    add(std::move(top.node), YAML::NullAnchor, 1);
  }

  // A collection may not be the key of a mapping.
  void check_key_position(const YamlNode& node) const {
    const Open& top = stack_.back();
    if (top.node.is_mapping() && !top.has_key) {
      refuse(node.place, "a list or a mapping stands where a key is expected", "keys are words");
    }
  }

  void add(YamlNode node, YAML::anchor_t anchor, int nodes) {
    nodes_ += nodes;
    if (nodes_ > kMaxYamlNodes) {
      refuse(node.place,
             fmt::format("more than {} values (aliases counted each time)", kMaxYamlNodes));
    }
    if (anchor != YAML::NullAnchor) anchors_[anchor] = Anchored{node, 1, 0};
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& top = stack_.back();
    if (!top.node.is_mapping()) {
      top.node.items.push_back(std::move(node));
      return;
    }
    if (!top.has_key) {
      if (!node.is_scalar()) {
        refuse(node.place, "a key is missing or is not a word", "write KEY: VALUE");
      }
      top.node.keys.push_back(std::move(node.text));
      top.node.key_places.push_back(node.place);
      top.has_key = true;
      return;
    }
    top.node.items.push_back(std::move(node));
    top.has_key = false;
  }

  Source source_;
  SourceLocation document_;
  std::vector<Open> stack_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  std::optional<YamlNode> root_;
  int nodes_ = 0;
};

// What no configuration needs and yaml-cpp treats in surprising ways.
void check_characters(const std::string& text, Source source) {
  int line = 1;
  int column = 1;
  bool indentation = true;
  const auto here = [&] {
    return source == Source::file ? SourceLocation{source, line, column}
                                  : SourceLocation{source, 0, 0};
  };
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\t' && indentation) {
      refuse(here(), "a tab is used as indentation", "indent with spaces");
    }
    if ((byte < 0x20 && c != '\n' && c != '\r' && c != '\t') || byte == 0x7f) {
      refuse(here(), fmt::format("a control character (byte 0x{:02x})", byte),
             "this is not a text file, or it is damaged");
    }
    if (c == '\n') {
      ++line;
      column = 1;
      indentation = true;
      continue;
    }
    if (c != ' ' && c != '\t') indentation = false;
    ++column;
  }
}

// Line ends of other systems, as those of this one: yaml-cpp stumbles over a last one alone.
std::string without_carriage_returns(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const bool line_end = text[i] == '\r' && (i + 1 == text.size() || text[i + 1] == '\n');
    if (!line_end) out += text[i];
  }
  return out;
}

// What usually causes a complaint of yaml-cpp.
std::string hint(const std::string& complaint) {
  struct Hint {
    const char* complaint;
    const char* fix;
  };
  constexpr std::array hints{
      Hint{"end of map flow", "a '{' is not closed, or a comma is missing before this place"},
      Hint{"end of sequence flow", "a '[' is not closed, or a comma is missing before this place"},
      Hint{"end of map", "check indentation and quotes before this place"},
      Hint{"illegal map value", "check the indentation, and quote a value that holds ': '"},
      Hint{"end of scalar", "a quote is not closed"},
      Hint{"anchor is not defined", "write the value out, or quote a text that begins with '*'"}};
  for (const Hint& known : hints) {
    if (complaint.find(known.complaint) != std::string::npos) return known.fix;
  }
  return {};
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] == key) return &items[i];
  }
  return nullptr;
}

YamlNode* YamlNode::find(std::string_view key) {
  return const_cast<YamlNode*>(static_cast<const YamlNode*>(this)->find(key));
}

void check_utf8(const std::string& text, Source source) {
  const bool file = source == Source::file;
  if (text.rfind("\xff\xfe", 0) == 0 || text.rfind("\xfe\xff", 0) == 0) {
    refuse(file ? SourceLocation{source, 1, 1} : SourceLocation{source, 0, 0}, "the text is UTF-16",
           "save it as UTF-8");
  }
  const size_t valid = utf8_valid_prefix(text);
  if (valid == text.size()) return;
  SourceLocation place{source, 0, 0};
  if (file) {
    const size_t line = text.rfind('\n', valid == 0 ? 0 : valid - 1);
    place.line = 1 + static_cast<int>(std::count(
                         text.begin(), text.begin() + static_cast<std::ptrdiff_t>(valid), '\n'));
    place.column = static_cast<int>(valid - (place.line == 1 ? 0 : line + 1)) + 1;
  }
  refuse(place, fmt::format("byte 0x{:02x} is not UTF-8", static_cast<unsigned char>(text[valid])),
         "save the file as UTF-8");
}

YamlNode parse_yaml(const std::string& text, Source source) {
  const SourceLocation start =
      source == Source::file ? SourceLocation{source, 1, 1} : SourceLocation{source, 0, 0};
  if (text.size() > kMaxYamlBytes) {
    refuse(start, fmt::format("{} bytes are more than a configuration may have ({})", text.size(),
                              kMaxYamlBytes));
  }
  check_utf8(text, source);
  check_characters(text, source);
  TreeBuilder builder(source);
  try {
    std::istringstream stream(without_carriage_returns(text));
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
    if (!builder.has_root()) return YamlNode{};
    YamlNode root = builder.take();
    TreeBuilder second(source);
    if (parser.HandleNextDocument(second)) {
      refuse(second.document(), "a second document begins here", "one file is one document");
    }
    return root;
  } catch (const YAML::Exception& error) {
    SourceLocation place{source, 0, 0};
    if (source == Source::file && !error.mark.is_null()) {
      place.line = error.mark.line + 1;
      place.column = error.mark.column + 1;
    }
    std::string fix = hint(error.msg);
    if (text.find("${") != std::string::npos) {
      fix += (fix.empty() ? "" : "; ") + std::string("inside {...} write $NAME, or quote ${NAME}");
    }
    refuse(place, "YAML cannot be read here: " + error.msg, std::move(fix));
  }
}

namespace {

void write_brief(const YamlNode& node, std::string& out) {
  if (out.size() > 60) return;
  switch (node.kind) {
    case YamlNode::Kind::null:
      out += "(nothing)";
      return;
    case YamlNode::Kind::scalar:
      out += node.quoted ? "\"" + node.text + "\"" : node.text;
      return;
    case YamlNode::Kind::sequence:
    case YamlNode::Kind::mapping:
      break;
  }
  out += node.is_mapping() ? "{" : "[";
  for (size_t i = 0; i < node.items.size(); ++i) {
    if (i > 0) out += ", ";
    if (node.is_mapping()) out += node.keys[i] + ": ";
    write_brief(node.items[i], out);
  }
  out += node.is_mapping() ? "}" : "]";
}

}  // namespace

std::string brief(const YamlNode& node) {
  std::string out;
  write_brief(node, out);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  if (out.size() > 60) {
    size_t end = 57;
    while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xc0) == 0x80) --end;
    out = out.substr(0, end) + "...";
  }
  return out;
}

}  // namespace troupe
