#include "models/convert/import.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/base/error.h"
#include "core/io/hash.h"
#include "core/io/posix_file.h"
#include "parallel/checkpoint/file_writer.h"

namespace troupe {
namespace {

constexpr int64_t kPieceBytes = 16LL << 20;

// What is wrong with a set of tensors, all of it.
class Faults {
 public:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    if (++count_ <= kShown) lines_ += "\n  " + fmt::format(format, std::forward<Args>(args)...);
  }
  void finish() const {
    if (count_ == 0) return;
    fail(ExitCode::checkpoint, "the tensors do not make this model:{}{}", lines_,
         count_ > kShown ? fmt::format("\n  and {} more", count_ - kShown) : "");
  }

 private:
  static constexpr int kShown = 40;
  std::string lines_;
  int count_ = 0;
};

bool equal_bytes(const WeightSource& source, const SavedTensor& a, const SavedTensor& b) {
  if (a.type != b.type || a.shape != b.shape) return false;
  const auto digest = [&](const SavedTensor& tensor) {
    Hasher hasher;
    std::vector<std::byte> data;
    for (int64_t at = 0; at < tensor.bytes; at += kPieceBytes) {
      data.resize(static_cast<size_t>(std::min(kPieceBytes, tensor.bytes - at)));
      source.read(tensor, at, static_cast<int64_t>(data.size()), data.data());
      hasher.add(data.data(), static_cast<int64_t>(data.size()));
    }
    return hasher.digest();
  };
  return digest(a) == digest(b);
}

DType type_of(const ImportedTensor& tensor, const WeightSource& source, ImportType wanted) {
  if (wanted != ImportType::keep) return wanted == ImportType::f32 ? DType::f32 : DType::bf16;
  std::optional<DType> common;
  for (const TensorLink& link : tensor.links) {
    const DType type = lossless(source.find(link.theirs)->type);
    if (common && *common != type) return DType::f32;
    common = type;
  }
  return common.value();
}

std::string source_types(const WeightSource& source, const std::set<std::string>& used) {
  std::map<StoredType, int64_t> counts;
  for (const SavedTensor& tensor : source.tensors()) {
    if (used.count(tensor.name) != 0) counts[tensor.type] += 1;
  }
  const auto most =
      std::max_element(counts.begin(), counts.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  std::string text = name(most->first);
  for (const SavedTensor& tensor : source.tensors()) {
    if (used.count(tensor.name) != 0 && tensor.type != most->first)
      text += fmt::format("\n{} {}", name(tensor.type), tensor.name);
  }
  return text;
}

// Fills buffers of consecutive elements of one tensor here from what a link names.
class LinkReader {
 public:
  LinkReader(const WeightSource& source, const TensorLink& link)
      : source_(source), link_(link), tensor_(*source.find(link.theirs)) {}

  StoredType type() const { return tensor_.type; }
  // Elements in one call that are whole rows, where the link is a turned one.
  int64_t piece() const {
    const int64_t most = std::max<int64_t>(1, kPieceBytes / size_of(tensor_.type));
    if (!link_.turned) return std::min(most, link_.count);
    return std::min(std::max<int64_t>(1, most / link_.columns) * link_.columns, link_.count);
  }
  // Elements [begin, begin + count) of the link.
  void read(int64_t begin, int64_t count, std::byte* out) {
    const int64_t bytes = size_of(tensor_.type);
    if (!link_.turned) {
      source_.read(tensor_, (link_.their_first + begin) * bytes, count * bytes, out);
      return;
    }
    const int64_t in = link_.columns;
    const int64_t total = link_.their_shape[1];
    const int64_t first_row = begin / in;
    const int64_t rows = count / in;
    segment_.resize(static_cast<size_t>(rows * bytes));
    for (int64_t i = 0; i < in; ++i) {
      source_.read(tensor_, (i * total + link_.their_first + first_row) * bytes, rows * bytes,
                   segment_.data());
      for (int64_t row = 0; row < rows; ++row) {
        std::copy_n(segment_.data() + row * bytes, bytes, out + (row * in + i) * bytes);
      }
    }
  }

 private:
  const WeightSource& source_;
  const TensorLink& link_;
  const SavedTensor& tensor_;
  std::vector<std::byte> segment_;
};

class ImportWriter {
 public:
  ImportWriter(const WeightSource& source, PosixFile& file, const ConversionWatch& watch)
      : source_(source), file_(file), watch_(watch) {}

  Digest write(const ImportedTensor& tensor, int64_t offset) {
    Hasher hasher;
    const StoredType to = stored(tensor.dtype);
    int64_t infinite = 0;
    for (const TensorLink& link : tensor.links) {
      LinkReader reader(source_, link);
      const int64_t piece = reader.piece();
      for (int64_t begin = 0; begin < link.count; begin += piece) {
        const int64_t count = std::min(piece, link.count - begin);
        read_.resize(static_cast<size_t>(count * size_of(reader.type())));
        reader.read(begin, count, read_.data());
        converted_.resize(static_cast<size_t>(count * size_of(to)));
        infinite += convert(reader.type(), read_.data(), count, to, converted_.data());
        const auto bytes = static_cast<int64_t>(converted_.size());
        hasher.add(converted_.data(), bytes);
        file_.write_at(offset, converted_.data(), bytes);
        file_.write_behind();
        offset += bytes;
        done_ += static_cast<int64_t>(read_.size());
        watch_(done_);
      }
    }
    if (infinite > 0) {
      overflows_ += fmt::format("\n  {}: {} numbers are too large for {}", tensor.name, infinite,
                                name(tensor.dtype));
    }
    return hasher.digest();
  }
  const std::string& overflows() const { return overflows_; }

 private:
  const WeightSource& source_;
  PosixFile& file_;
  const ConversionWatch& watch_;
  std::vector<std::byte> read_;
  std::vector<std::byte> converted_;
  int64_t done_ = 0;
  std::string overflows_;
};

}  // namespace

ImportPlan plan_import(const WeightSource& source, const std::vector<ParameterSpec>& parameters,
                       const std::vector<TensorLink>& links, ImportType type,
                       const std::function<bool(const std::string&)>& holds_no_weights,
                       const std::map<std::string, std::string>& tied) {
  Faults faults;
  ImportPlan plan;
  std::map<std::string, std::vector<TensorLink>> by_name;
  std::set<std::string> used;
  for (const TensorLink& link : links) {
    by_name[link.ours].push_back(link);
    if (!used.insert(link.theirs).second) continue;
    const SavedTensor* tensor = source.find(link.theirs);
    if (tensor == nullptr) {
      faults.add("{} {} is missing", link.theirs, shape_text(link.their_shape));
    } else if (tensor->shape != link.their_shape) {
      faults.add("{} has shape {}, config.json makes it {}", link.theirs, shape_text(tensor->shape),
                 shape_text(link.their_shape));
    } else if (!holds_weights(tensor->type)) {
      faults.add("{} has type {}; weights of type F32, F16, BF16 and F64 are read", link.theirs,
                 name(tensor->type));
    }
  }
  for (const SavedTensor& tensor : source.tensors()) {
    if (used.count(tensor.name) != 0) continue;
    const auto same = tied.find(tensor.name);
    const SavedTensor* first = same == tied.end() ? nullptr : source.find(same->second);
    if (holds_no_weights(tensor.name)) {
      plan.left_out.push_back(shown_name(tensor.name) + ": holds no weights");
    } else if (first != nullptr && equal_bytes(source, *first, tensor)) {
      plan.left_out.push_back(fmt::format("{}: equal to {}", tensor.name, first->name));
    } else if (first != nullptr) {
      faults.add("{} is tied to {} by config.json, but holds other numbers", tensor.name,
                 first->name);
    } else {
      faults.add("{} {} has no place in this model", shown_name(tensor.name),
                 shape_text(tensor.shape));
    }
  }
  faults.finish();
  for (const ParameterSpec& parameter : parameters) {
    ImportedTensor tensor{parameter.name, DType::f32, parameter.layout.global,
                          std::move(by_name[parameter.name])};
    std::sort(tensor.links.begin(), tensor.links.end(),
              [](const TensorLink& a, const TensorLink& b) { return a.first < b.first; });
    int64_t at = 0;
    for (const TensorLink& link : tensor.links) {
      require(link.first == at, "element {} of {} has no source", at, tensor.name);
      at += link.count;
    }
    require(at == tensor.shape.elements(), "{} of {} elements of {} have a source", at,
            tensor.shape.elements(), tensor.name);
    tensor.dtype = type_of(tensor, source, type);
    for (const TensorLink& link : tensor.links) {
      const StoredType from = source.find(link.theirs)->type;
      plan.bytes_read += link.count * size_of(from);
      plan.bytes_written += link.count * static_cast<int64_t>(size_of(tensor.dtype));
      if (from != stored(tensor.dtype))
        plan.changed[fmt::format("{} to {}", name(from), name(tensor.dtype))] += link.count;
    }
    plan.parameters += at;
    plan.tensors.push_back(std::move(tensor));
    by_name.erase(parameter.name);
  }
  require(by_name.empty(), "a class has the tensor {}, which no model has", by_name.begin()->first);
  std::sort(plan.tensors.begin(), plan.tensors.end(),
            [](const ImportedTensor& a, const ImportedTensor& b) { return a.name < b.name; });
  plan.source_types = source_types(source, used);
  return plan;
}

void write_import(const ImportPlan& plan, const WeightSource& source, const std::string& path,
                  const std::string& config, const std::vector<StateScalar>& scalars,
                  const ConversionWatch& watch) {
  checkpoint::FileContents contents;
  contents.texts = {{checkpoint::kConfigPath, config}};
  contents.scalars = checkpoint::in_order(scalars);
  for (const ImportedTensor& tensor : plan.tensors) {
    contents.tensors.push_back(
        {checkpoint::tensor_path("parameters/" + tensor.name), tensor.dtype, tensor.shape});
  }
  checkpoint::FileWriter writer(path, std::move(contents));
  writer.create();
  PosixFile file = PosixFile::open(writer.temporary_path(), O_WRONLY, "write");
  ImportWriter out(source, file, watch);
  std::vector<Digest> digests;
  for (size_t i = 0; i < plan.tensors.size(); ++i)
    digests.push_back(out.write(plan.tensors[i], writer.offset(i)));
  if (!out.overflows().empty())
    fail(ExitCode::usage, "numbers would become infinite:{}", out.overflows());
  file.sync();
  file.close();
  writer.commit(digests);
}

}  // namespace troupe
