#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <optional>

#include "core/base/error.h"
#include "core/io/sealed_file.h"
#include "core/kernels/elementwise.h"
#include "parallel/checkpoint/boxes.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/coverage_plan.h"
#include "parallel/checkpoint/file_reader.h"
#include "parallel/checkpoint/file_writer.h"
#include "parallel/checkpoint/host_state.h"
#include "parallel/checkpoint/read_ahead.h"
#include "parallel/checkpoint/stored.h"
#include "parallel/comm/agreement.h"

namespace troupe::checkpoint {
namespace {

bool wanted(const std::string& name, const LoadOptions& options) {
  if (options.prefixes.empty()) return true;
  return std::any_of(options.prefixes.begin(), options.prefixes.end(), [&](const auto& prefix) {
    return name.compare(0, prefix.size(), prefix) == 0;
  });
}

// NaN for floating types, the most negative number for integers: an element that is not loaded
// cannot pass for a value.
void poison(const StateTensor& entry) {
  const DType dtype = entry.tensor.dtype();
  const auto fill = [&](auto value) {
    for_each_run(array_of(entry), size_of(dtype), [&](std::byte* begin, int64_t count) {
      std::fill_n(reinterpret_cast<decltype(value)*>(begin), count, value);
    });
  };
  switch (dtype) {
    case DType::f64:
      return fill(std::numeric_limits<double>::quiet_NaN());
    case DType::f32:
      return fill(std::numeric_limits<float>::quiet_NaN());
    case DType::bf16:
      return fill(BF16(std::numeric_limits<float>::quiet_NaN()));
    case DType::i64:
      return fill(std::numeric_limits<int64_t>::min());
    case DType::i32:
      return fill(std::numeric_limits<int32_t>::min());
    case DType::u8:
      return fill(uint8_t{0xff});
  }
}

// Has the type every value of the narrower one?
bool can_widen(DType from, DType to) {
  if (from == DType::bf16) return to == DType::f32 || to == DType::f64;
  return from == DType::f32 && to == DType::f64;
}

const char* kind_of(const StateScalar& scalar) {
  constexpr std::array<const char*, 3> kinds = {"an integer", "a real number", "a text"};
  return kinds[scalar.value.index()];
}

// What the file and the state disagree about, every case on a line.
class Comparison {
 public:
  void tensors(const std::vector<TensorInfo>& file, const CoveragePlan& plan,
               const LoadOptions& options) {
    std::map<std::string, const TensorInfo*> by_name;
    for (const TensorInfo& tensor : file) by_name[tensor.name] = &tensor;
    for (const TensorPlan& mine : plan.tensors) {
      const auto at = by_name.find(mine.name);
      if (at == by_name.end()) {
        add(fmt::format("the tensor {} {} is missing in the file", mine.name, mine.global.text()));
        continue;
      }
      const TensorInfo& theirs = *at->second;
      if (theirs.shape != mine.global) {
        add(fmt::format("the tensor {} has shape {} in the file, {} in this model", mine.name,
                        theirs.shape.text(), mine.global.text()));
      } else if (theirs.dtype != mine.dtype &&
                 !(options.widen && can_widen(theirs.dtype, mine.dtype))) {
        add(fmt::format(
            "the tensor {} has type {} in the file, {} here: the compute precision is another",
            mine.name, name(theirs.dtype), name(mine.dtype)));
      }
      by_name.erase(at);
    }
    for (const auto& [name, tensor] : by_name) {
      if (!wanted(name, options)) continue;
      add(fmt::format("the tensor {} {} of the file has no place in this model", name,
                      tensor->shape.text()));
    }
  }

  void scalars(const std::vector<StateScalar>& file, const std::vector<StateScalar>& state,
               const LoadOptions& options) {
    std::map<std::string, const StateScalar*> by_name;
    for (const StateScalar& scalar : file) by_name[scalar.name] = &scalar;
    for (const StateScalar& mine : state) {
      const auto at = by_name.find(mine.name);
      if (at == by_name.end()) {
        add(fmt::format("the value {} is missing in the file", mine.name));
        continue;
      }
      if (at->second->value.index() != mine.value.index()) {
        add(fmt::format("the value {} is {} in the file, {} here", mine.name, kind_of(*at->second),
                        kind_of(mine)));
      }
      by_name.erase(at);
    }
    for (const auto& [name, scalar] : by_name) {
      if (wanted(name, options)) add(fmt::format("the value {} of the file is unknown here", name));
    }
  }

  void finish(const std::string& path) const {
    if (count_ == 0) return;
    fail(ExitCode::checkpoint, "{} does not fit this configuration:{}{}", path, lines_,
         count_ > kShown ? fmt::format("\n  and {} more", count_ - kShown) : "");
  }

 private:
  void add(const std::string& line) {
    if (++count_ <= kShown) lines_ += "\n  " + line;
  }
  static constexpr int kShown = 10;
  std::string lines_;
  int count_ = 0;
};

// Hands the pieces of one tensor from rank 0 to every rank that holds a part of them.
class Scatterer {
 public:
  Scatterer(const TensorPlan& plan, const LocalParts& local, Communicator& world)
      : plan_(plan), local_(local), world_(world), element_(size_of(plan.dtype)) {}

  // data: the piece on rank 0, null elsewhere.
  void piece(const Box& piece, void* data) {
    for (const Part& part : plan_.parts) {
      const auto region = intersection(part.box, piece);
      if (!region) continue;
      for (const int holder : part.holders) hand_over(part.box, *region, piece, data, holder);
    }
  }
  int64_t filled() const { return filled_; }

 private:
  // data is only read; copies take both ends as arrays.
  void hand_over(const Box& box, const Box& region, const Box& piece, void* data, int holder) {
    const int64_t elements = volume(region);
    const bool mine = holder == world_.rank();
    if (mine) filled_ += elements;
    if (holder == 0) {
      if (mine) take(region, piece, data, target(box));
      return;
    }
    if (!mine && world_.rank() != 0) return;
    parcel_.resize(static_cast<size_t>(elements) * element_);
    const View view = bytes_view(parcel_.data(), static_cast<int64_t>(parcel_.size()));
    const std::string site = "checkpoint load " + plan_.name;
    if (mine) {
      world_.receive(view, 0, site).finish();
      copy_region(region, element_, packed(region, parcel_.data()), target(box));
    } else {
      copy_region(region, element_, packed(piece, data), packed(region, parcel_.data()));
      world_.send(view, holder, site).finish();
    }
  }
  // From the piece, unless it was read into its place.
  void take(const Box& region, const Box& piece, void* data, const BoxArray& to) {
    for_each_common_run(
        region, packed(piece, data), to, [&](int64_t at_piece, int64_t at, int64_t count) {
          const std::byte* from =
              static_cast<std::byte*>(data) + static_cast<size_t>(at_piece) * element_;
          std::byte* out = to.data + static_cast<size_t>(at) * element_;
          if (from == out) return;
          std::memcpy(out, from, static_cast<size_t>(count) * element_);
        });
  }
  BoxArray target(const Box& box) const { return array_of(*local_.find(plan_.name, box)); }

  const TensorPlan& plan_;
  const LocalParts& local_;
  Communicator& world_;
  size_t element_;
  int64_t filled_ = 0;
  std::vector<std::byte> parcel_;
};

// The file on rank 0, and what every rank knows of it.
struct Source {
  std::optional<Stored> stored;  // rank 0
  std::vector<TensorInfo> tensors;
  std::vector<StateScalar> scalars;
};

std::string pack(const std::vector<StateScalar>& scalars) {
  std::string out;
  for (const StateScalar& scalar : scalars) {
    const auto* text = std::get_if<std::string>(&scalar.value);
    const auto length = static_cast<int64_t>(text != nullptr ? text->size() : 8);
    out.append(reinterpret_cast<const char*>(&length), sizeof(length));
    if (text != nullptr) out += *text;
    if (const auto* integer = std::get_if<int64_t>(&scalar.value)) {
      out.append(reinterpret_cast<const char*>(integer), 8);
    }
    if (const auto* real = std::get_if<double>(&scalar.value)) {
      out.append(reinterpret_cast<const char*>(real), 8);
    }
  }
  return out;
}

// The inverse of pack, with names and kinds from the seal.
std::vector<StateScalar> unpack(const Seal& seal, std::string_view bytes) {
  std::vector<StateScalar> out;
  for (const SealEntry& entry : seal.entries) {
    if (entry.path.compare(0, kScalarPrefix.size(), kScalarPrefix) != 0) continue;
    int64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof(length));
    const std::string_view value = bytes.substr(sizeof(length), static_cast<size_t>(length));
    bytes.remove_prefix(sizeof(length) + static_cast<size_t>(length));
    StateScalar scalar{entry.path.substr(kScalarPrefix.size()), int64_t{0}};
    if (!entry.dtype) {
      scalar.value = std::string(value);
    } else if (*entry.dtype == DType::f64) {
      double real = 0;
      std::memcpy(&real, value.data(), sizeof(real));
      scalar.value = real;
    } else {
      int64_t integer = 0;
      std::memcpy(&integer, value.data(), sizeof(integer));
      scalar.value = integer;
    }
    out.push_back(std::move(scalar));
  }
  return out;
}

// Rank 0 opens the file; all ranks get its seal and scalars.
Source open_source(const std::string& path, Communicator& world) {
  Source source;
  std::string block;
  std::string scalars;
  std::string shards;
  agree(attempt([&] {
          if (world.rank() != 0) return;
          source.stored.emplace(path);
          source.stored->check_rest();  // the tensors follow as they are read
          const SealedFile& file = source.stored->file();
          block = format_seal(file.seal());
          scalars = pack(read_scalars(file));
          shards = shards_text(file);
        }),
        world, "checkpoint open");
  block = broadcast_text(block, 0, world, "checkpoint seal");
  scalars = broadcast_text(scalars, 0, world, "checkpoint scalars");
  shards = broadcast_text(shards, 0, world, "checkpoint shards");
  const Seal seal = parse_seal(block, path);
  source.tensors = tensors_of(seal, shards, path);
  source.scalars = unpack(seal, scalars);
  return source;
}

// Where rank 0 holds the whole tensor in the order of the file: there it is read to. Else null.
std::byte* whole_in_order(const TensorPlan& plan, const LocalParts& local) {
  const Box all = whole(plan.global);
  const StateTensor* mine = local.find(plan.name, all);
  if (mine == nullptr || local.elements(plan.name) != volume(all)) return nullptr;
  const BoxArray array = array_of(*mine);
  int runs = 0;
  for_each_run(array, size_of(plan.dtype), [&](std::byte*, int64_t) { ++runs; });
  return runs == 1 ? array.data : nullptr;
}

bool read_into_place(const Source& source, const TensorPlan& plan, const LocalParts& local) {
  return source.stored && source.stored->find(plan.name)->dtype == plan.dtype &&
         whole_in_order(plan, local) != nullptr;
}

// All pieces of the tensors in the order in which they are loaded.
std::vector<ReadAhead::Piece> pieces_of(const CoveragePlan& plan, const Stored& stored,
                                        const LocalParts& local, int64_t piece_bytes) {
  std::vector<ReadAhead::Piece> out;
  for (const TensorPlan& tensor : plan.tensors) {
    const TensorInfo* entry = stored.find(tensor.name);
    std::byte* into = entry->dtype == tensor.dtype ? whole_in_order(tensor, local) : nullptr;
    for_each_piece(tensor.global, size_of(tensor.dtype), piece_bytes, [&](const Box& piece) {
      out.push_back({entry, piece, into});
      if (into != nullptr) into += static_cast<size_t>(volume(piece)) * size_of(tensor.dtype);
    });
  }
  return out;
}

// Takes one tensor of `pieces` (rank 0) and hands it out. Returns the failure of rank 0, which
// keeps sending after one so that no peer waits for ever.
std::optional<Failure> load_tensor(const Source& source, const TensorPlan& plan,
                                   const LocalParts& local, Communicator& world,
                                   int64_t piece_bytes, std::optional<ReadAhead>& pieces,
                                   Device& host) {
  std::optional<Failure> failure;
  const TensorInfo* entry = source.stored ? source.stored->find(plan.name) : nullptr;
  Hasher hasher;
  Scatterer scatterer(plan, local, world);
  std::vector<std::byte> wide;
  for_each_piece(plan.global, size_of(plan.dtype), piece_bytes, [&](const Box& piece) {
    std::byte* data = nullptr;
    if (pieces) {
      data = pieces->next(failure);
      const int64_t count = volume(piece);
      hasher.add(data, count * static_cast<int64_t>(size_of(entry->dtype)));
      if (entry->dtype != plan.dtype) {
        wide.resize(static_cast<size_t>(count) * size_of(plan.dtype));
        kernels::copy(host.stream(), View{data, entry->dtype, {count}, {1}},
                      View{wide.data(), plan.dtype, {count}, {1}});
        data = wide.data();
      }
    }
    scatterer.piece(piece, data);
  });
  if (entry != nullptr && !failure && hasher.digest() != entry->digest) {
    failure = attempt([&] { source.stored->blame(*entry, hasher.digest()); });
  }
  if (const int64_t held = local.elements(plan.name); scatterer.filled() != held && !failure) {
    failure = Failure{ExitCode::internal, fmt::format("checkpoint: {} of {} elements of {} loaded",
                                                      scatterer.filled(), held, plan.name)};
  }
  return failure;
}

void assign(std::vector<StateScalar>& state, const std::vector<StateScalar>& file) {
  for (StateScalar& mine : state) {
    const auto at = std::find_if(file.begin(), file.end(), [&](const StateScalar& theirs) {
      return theirs.name == mine.name;
    });
    mine.value = at->value;
  }
}

}  // namespace

void load(const std::string& path, State& state, Communicator& world, const LoadOptions& options) {
  const CoveragePlan plan = gather_plan(state, false, world);
  const Source source = open_source(path, world);
  Comparison comparison;
  comparison.tensors(source.tensors, plan, options);
  comparison.scalars(source.scalars, state.scalars, options);
  comparison.finish(path);

  const State host = empty_host_state(state);
  const LocalParts local(host);
  std::optional<ReadAhead> pieces;  // rank 0
  if (source.stored) {
    pieces.emplace(*source.stored, pieces_of(plan, *source.stored, local, options.piece_bytes));
  }
  std::multimap<std::string, const StateTensor*> by_name;
  for (const StateTensor& entry : host.tensors) by_name.emplace(entry.name, &entry);
  const auto converter = Device::cpu(1);
  std::optional<Failure> failure;
  for (const TensorPlan& tensor : plan.tensors) {
    // Each before its elements come: the disk works meanwhile. Not what is read into its place.
    if (!read_into_place(source, tensor, local)) {
      const auto [begin, end] = by_name.equal_range(tensor.name);
      for (auto at = begin; at != end; ++at) poison(*at->second);
    }
    auto found = load_tensor(source, tensor, local, world, options.piece_bytes, pieces, *converter);
    if (!failure) failure = std::move(found);
  }
  try {
    agree(failure, world, "checkpoint load");
  } catch (...) {
    for (const StateTensor& entry : host.tensors) poison(entry);
    upload(host, state);
    throw;
  }
  upload(host, state);
  for (const StateTensor& entry : state.tensors) entry.tensor.storage()->written_in_place();
  assign(state.scalars, source.scalars);
}

}  // namespace troupe::checkpoint
