#include "parallel/checkpoint/manifest.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/io/seal_words.h"
#include "parallel/checkpoint/boxes.h"

namespace troupe::checkpoint {
namespace {

// A name without a way out of its folder.
bool plain_name(const std::string& name) {
  return !name.empty() && name[0] != '.' && std::all_of(name.begin(), name.end(), [](char c) {
    return c != '/' && static_cast<unsigned char>(c) >= 0x20;
  });
}

class Parser {
 public:
  Parser(const std::string& text, const std::string& place) : text_(text), place_(place) {}

  Manifest parse() {
    Manifest out;
    while (next_line()) {
      const std::string kind = word();
      if (kind == "folder" && out.folder.empty()) {
        out.folder = rest();
        if (!plain_name(out.folder)) bad("not the name of a folder");
      } else if (kind == "shard") {
        ShardInfo shard{digest(), number(word()), rest()};
        if (!plain_name(shard.file)) bad("not the name of a file");
        out.shards.push_back(std::move(shard));
      } else if (kind == "tensor") {
        out.tensors.push_back(tensor());
      } else if (kind == "part" && !out.tensors.empty()) {
        const int64_t shard = number(word());
        if (shard >= static_cast<int64_t>(out.shards.size())) bad("no such shard");
        StoredPart part{shard, {shape(word()), shape(rest())}};
        if (!inside(part.box, out.tensors.back().info.shape)) bad("outside its tensor");
        out.tensors.back().parts.push_back(std::move(part));
      } else {
        bad("unknown");
      }
    }
    if (out.folder.empty()) bad("no folder");
    for (size_t i = 0; i < out.tensors.size(); ++i) {
      if (i > 0 && out.tensors[i - 1].info.name >= out.tensors[i].info.name) {
        bad(out.tensors[i].info.name + ": out of order");
      }
      check_coverage(out.tensors[i]);
    }
    return out;
  }

 private:
  [[noreturn]] void bad(const std::string& what) const {
    fail(ExitCode::checkpoint, "{}: line {} of {}: {}. Take another checkpoint (troupe ckpt ls).",
         place_, number_, kShardsPath, what);
  }
  bool next_line() {
    if (at_ >= text_.size()) return false;
    const size_t end = text_.find('\n', at_);
    ++number_;
    if (end == std::string::npos) bad("it ends early");
    line_ = text_.substr(at_, end - at_);
    at_ = end + 1;
    return true;
  }
  std::string word() {
    const size_t space = line_.find(' ');
    if (space == std::string::npos) bad("it ends early");
    std::string out = line_.substr(0, space);
    line_.erase(0, space + 1);
    return out;
  }
  std::string rest() { return std::move(line_); }
  int64_t number(std::string_view text) const {
    const auto value = parse_whole(text);
    if (!value) bad("a whole number expected");
    return *value;
  }
  Digest digest() {
    const auto value = Digest::parse(word());
    if (!value) bad("a digest of 32 hexadecimal digits expected");
    return *value;
  }
  Shape shape(std::string_view text) const {
    const auto value = parse_shape(text);
    if (!value) bad(fmt::format("a shape of at most {} dims expected", kMaxRank));
    return *value;
  }
  StoredTensor tensor() {
    StoredTensor out;
    out.info.digest = digest();
    const auto dtype = parse_dtype(word());
    if (!dtype) bad("unknown element type");
    out.info.dtype = *dtype;
    out.info.shape = shape(word());
    out.info.name = rest();
    const auto bytes = tensor_bytes(out.info.shape, out.info.dtype);
    if (!bytes) bad("too large");
    out.info.bytes = *bytes;
    return out;
  }
  // Disjoint parts with as many elements as the tensor are the tensor.
  void check_coverage(const StoredTensor& tensor) const {
    std::vector<const Box*> boxes;
    int64_t elements = 0;
    for (const StoredPart& part : tensor.parts) {
      boxes.push_back(&part.box);
      elements += volume(part.box);
    }
    const bool single = tensor.info.shape.rank() == 0;
    if (elements != tensor.info.shape.elements()) {
      bad(fmt::format("{}: its parts have {} of {} elements", tensor.info.name, elements,
                      tensor.info.shape.elements()));
    }
    if (single) return;
    const auto begin = [](const Box* box) { return box->offset[0]; };
    std::sort(boxes.begin(), boxes.end(),
              [&](const Box* a, const Box* b) { return begin(a) < begin(b); });
    for (size_t i = 0; i < boxes.size(); ++i) {
      for (size_t j = i + 1; j < boxes.size(); ++j) {
        if (begin(boxes[j]) >= begin(boxes[i]) + boxes[i]->size[0]) break;
        if (intersection(*boxes[i], *boxes[j])) {
          bad(fmt::format("{}: {} and {} overlap", tensor.info.name, checkpoint::text(*boxes[i]),
                          checkpoint::text(*boxes[j])));
        }
      }
    }
  }

  const std::string& text_;
  const std::string& place_;
  size_t at_ = 0;
  int64_t number_ = 0;
  std::string line_;
};

}  // namespace

std::string part_path(const std::string& tensor, size_t part) {
  return fmt::format("/{}/part-{}", tensor, part);
}

std::string format_manifest(const Manifest& manifest) {
  std::string out = "folder " + manifest.folder + "\n";
  for (const ShardInfo& shard : manifest.shards) {
    out += fmt::format("shard {} {} {}\n", shard.seal.hex(), shard.bytes, shard.file);
  }
  for (const StoredTensor& tensor : manifest.tensors) {
    out += fmt::format("tensor {} {} {} {}\n", tensor.info.digest.hex(), name(tensor.info.dtype),
                       shape_text(tensor.info.shape), tensor.info.name);
    for (const StoredPart& part : tensor.parts) {
      out += fmt::format("part {} {} {}\n", part.shard, shape_text(part.box.offset),
                         shape_text(part.box.size));
    }
  }
  return out;
}

Manifest parse_manifest(const std::string& text, const std::string& place) {
  return Parser(text, place).parse();
}

}  // namespace troupe::checkpoint
