#include "tests/parallel/checkpoint/support/state_fixture.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/base/random.h"
#include "parallel/checkpoint/boxes.h"

namespace troupe::test {
namespace {

struct Spec {
  std::string name;
  DType dtype;
  Layout layout;
};

std::vector<Spec> specs() {
  const auto replicated = [](const Shape& shape) {
    return Layout::replicated(shape, MeshKind::attention, {Axis::dp});
  };
  const auto expert = [](const Shape& shape) {
    return Layout::replicated(shape, MeshKind::experts, {Axis::edp}).shard(0, Axis::ep);
  };
  Layout inner = Layout::replicated(Shape{6, 8, 5}, MeshKind::experts, {Axis::edp});
  inner.shard(1, Axis::ep);
  Layout moment = replicated(Shape{16, 3});
  moment.shard(0, Axis::dp);
  // Several boxes a rank, the first with gaps between its rows.
  Layout gate_up = Layout::replicated(Shape{2, 24, 3}, MeshKind::experts, {Axis::edp});
  gate_up.shard(1, Axis::ep);
  gate_up.dims[1].sections = {12, 12};
  Layout zigzag = replicated(Shape{96});
  zigzag.shard(0, Axis::dp, Cut::zigzag);
  return {
      {"parameters/embedding", DType::f32, replicated(Shape{37, 12})},
      {"parameters/layers.0.norm", DType::f64, replicated(Shape{12})},
      {"parameters/layers.0.moe.experts.w1", DType::f32, expert(Shape{8, 5, 7})},
      {"parameters/layers.0.moe.experts.inner", DType::bf16, inner},
      {"optimizer/first_moment/embedding", DType::f32, moment},
      {"optimizer/first_moment/layers.0.moe.experts.w1", DType::f64, expert(Shape{8, 5, 7})},
      {"parameters/layers.0.moe.experts.gate_up", DType::f32, gate_up},
      {"parameters/layers.0.zigzag", DType::f64, zigzag},
      {"router/layers.0.bias", DType::f64, replicated(Shape{8})},
      {"router/layers.0.table", DType::i32, replicated(Shape{257})},
      {"router/layers.0.counts", DType::i64, expert(Shape{8, 2})},
      {"router/layers.0.mask", DType::u8, replicated(Shape{3, 3})},
      {"router/single", DType::f32, replicated(Shape{})},
      {"router/nothing", DType::f32, replicated(Shape{0, 4})},
  };
}

// Bits of the element at global row-major position i: any pattern for integers, small numbers
// (subnormal ones too) for floating types.
void put(void* data, DType dtype, int64_t index, const Random& random, int64_t position) {
  const double real = position % 7 == 0 ? 1e-41 : random.normal(static_cast<uint64_t>(position));
  const uint64_t bits = random.bits(static_cast<uint64_t>(position));
  switch (dtype) {
    case DType::f64:
      static_cast<double*>(data)[index] = real;
      break;
    case DType::f32:
      static_cast<float*>(data)[index] = static_cast<float>(real);
      break;
    case DType::bf16:
      static_cast<BF16*>(data)[index] = BF16(static_cast<float>(real));
      break;
    case DType::i64:
      static_cast<int64_t*>(data)[index] = static_cast<int64_t>(bits);
      break;
    case DType::i32:
      static_cast<int32_t*>(data)[index] = static_cast<int32_t>(bits);
      break;
    case DType::u8:
      static_cast<uint8_t*>(data)[index] = static_cast<uint8_t>(bits);
      break;
  }
}

void fill(StateTensor& entry, uint64_t seed) {
  const Random random(seed, "state", entry.name);
  const Shape& global = entry.layout.global;
  void* data = entry.tensor.view().data;
  const Shape& strides = entry.tensor.strides();
  for (int64_t i = 0; i < entry.tensor.elements(); ++i) {
    int64_t rest = i;
    int64_t position = 0;
    int64_t here = 0;
    int64_t stride = 1;
    for (int d = global.rank() - 1; d >= 0; --d) {
      position += (entry.box.offset[d] + rest % entry.box.size[d]) * stride;
      here += rest % entry.box.size[d] * strides[d];
      rest /= entry.box.size[d];
      stride *= global[d];
    }
    put(data, entry.tensor.dtype(), here, random, position);
  }
}

}  // namespace

State make_state(const MeshShape& shape, int rank, const std::shared_ptr<Device>& device,
                 uint64_t seed) {
  State state;
  for (const Spec& spec : specs()) {
    const LocalSlice slice = local_slice(spec.layout, shape, coordinates(shape, rank));
    append_parts(state, spec.name, spec.layout, slice,
                 Tensor::empty(slice.shape, spec.dtype, device));
  }
  for (StateTensor& entry : state.tensors) fill(entry, seed);
  state.scalars = {{"step", static_cast<int64_t>(seed)},
                   {"lr", 0.1 * static_cast<double>(seed)},
                   {"name", "run " + std::to_string(seed)},
                   {"note", std::string()}};
  return state;
}

State make_blank(const MeshShape& shape, int rank, const std::shared_ptr<Device>& device) {
  State state = make_state(shape, rank, device, 999);
  std::reverse(state.tensors.begin(), state.tensors.end());
  return state;
}

// The elements of a box, packed.
std::vector<std::byte> bytes_of(const StateTensor& entry) {
  std::vector<std::byte> out(entry.tensor.bytes());
  checkpoint::copy_region(entry.box, size_of(entry.tensor.dtype()), checkpoint::array_of(entry),
                          checkpoint::packed(entry.box, out.data()));
  return out;
}

std::string difference(const State& a, const State& b) {
  if (a.tensors.size() != b.tensors.size()) return "number of tensors";
  for (const StateTensor& left : a.tensors) {
    const auto right = std::find_if(b.tensors.begin(), b.tensors.end(), [&](const StateTensor& t) {
      return t.name == left.name && t.box == left.box;
    });
    if (right == b.tensors.end()) return left.name + " is missing";
    if (left.tensor.bytes() != right->tensor.bytes() || bytes_of(left) != bytes_of(*right)) {
      return left.name + " differs";
    }
  }
  for (size_t i = 0; i < a.scalars.size(); ++i) {
    if (a.scalars[i].name != b.scalars.at(i).name || a.scalars[i].value != b.scalars[i].value) {
      return a.scalars[i].name + " differs";
    }
  }
  return "";
}

std::string read_file(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (name != ".made") out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace troupe::test
