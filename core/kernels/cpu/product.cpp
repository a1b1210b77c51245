#include "core/kernels/cpu/product.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <dnnl.hpp>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/kernels/cpu/instruction_set.h"
#include "core/kernels/cpu/panel_product.h"

namespace troupe::kernels::cpu {
namespace {

using Format = dnnl::memory::format_tag;

dnnl::memory::data_type onednn_type(DType dtype) {
  return dtype == DType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

// oneDNN fixes the number of threads when a primitive is made; the setting is per thread.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// Panels of kPanelColumns columns: what oneDNN 2.6 itself chooses for bf16.
constexpr Format kPackedFormat = Format::BA16a64b2a;

dnnl::memory::desc plain(int64_t rows, int64_t columns, DType dtype, int64_t ld, bool transposed) {
  const dnnl::memory::dims strides =
      transposed ? dnnl::memory::dims{1, ld} : dnnl::memory::dims{ld, 1};
  return {{rows, columns}, onednn_type(dtype), strides};
}

struct ShapeHash {
  size_t operator()(const ProductShape& s) const {
    uint64_t hash = 0xcbf29ce484222325ULL;
    const auto mix = [&hash](int64_t value) {
      hash = (hash ^ static_cast<uint64_t>(value)) * 0x9e3779b97f4a7c15ULL;
      hash ^= hash >> 29;
    };
    for (int64_t value : {s.m, s.n, s.k, s.lda, s.ldb, s.ldc}) mix(value);
    mix(s.transpose_a | s.transpose_b << 1 | s.accumulate << 2 | static_cast<int>(s.in) << 4 |
        static_cast<int>(s.out) << 8 | s.block << 16);
    return hash;
  }
};

struct Buffer {
  void* data = nullptr;
  int64_t bytes = 0;
};

// What one thread needs to run one primitive.
struct Slot {
  dnnl::memory a, b, c, scratch;
};

class Cache;

}  // namespace

class Product {
 public:
  ProductShape shape;
  Cache* cache = nullptr;
  bool by_library = false;  // oneDNN; else panel_product.h
  dnnl::matmul primitive;
  dnnl::matmul::primitive_desc description;
  mutable std::vector<std::unique_ptr<Slot>> slots;  // by thread
};

namespace {

bool is_empty(const ProductShape& s) { return s.m == 0 || s.n == 0 || s.k == 0; }

// A product of no terms gives zeros, or adds none.
void run_empty(const ProductShape& s, void* c) {
  if (s.m == 0 || s.n == 0 || s.accumulate) return;
  const auto size = static_cast<int64_t>(size_of(s.out));
  for (int64_t r = 0; r < s.m; ++r) {
    std::memset(static_cast<std::byte*>(c) + r * s.ldc * size, 0, static_cast<size_t>(s.n * size));
  }
}

class Cache : public KernelCache {
 public:
  explicit Cache(Device& device)
      : device_(device),
        scratch_(static_cast<size_t>(device.stream().threads)),
        workspace_(static_cast<size_t>(device.stream().threads)) {}
  ~Cache() override {
    for (auto* buffers : {&scratch_, &workspace_}) {
      for (Buffer& buffer : *buffers) release(buffer);
    }
  }

  const Product& find(const ProductShape& shape) {
    std::lock_guard lock(mutex_);
    return find_locked(shape);
  }
  int block(DType dtype, int64_t k, int64_t n);
  void prepare(const ProductShape& family, int64_t count,
               const std::function<ProductShape(int64_t)>& member) {
    std::lock_guard lock(mutex_);
    int64_t& made = prepared_[family];
    while (made < count) find_locked(member(++made));
  }

  void* scratch(int64_t bytes) { return grown(scratch_, bytes); }
  void* workspace(int64_t bytes) { return grown(workspace_, bytes); }
  const dnnl::engine& engine() const { return engine_; }
  Slot& slot(const Product& product);
  dnnl::stream& stream() { return *streams_[thread()]; }

 private:
  size_t thread() const {
    const auto index = static_cast<size_t>(thread_index());
    require(index < scratch_.size(), "a product ran on thread {} of a team of {}", index,
            scratch_.size());
    return index;
  }
  void release(Buffer& buffer) {
    if (buffer.data != nullptr) {
      device_.release(buffer.data, static_cast<size_t>(buffer.bytes), MemoryKind::activation);
    }
    buffer = {};
  }
  void* grown(std::vector<Buffer>& buffers, int64_t bytes) {
    Buffer& buffer = buffers[thread()];
    if (buffer.bytes < bytes) {
      release(buffer);
      buffer.data = device_.allocate(static_cast<size_t>(bytes), MemoryKind::activation);
      buffer.bytes = bytes;
    }
    return device_.for_kernels(buffer.data);
  }
  const Product& find_locked(const ProductShape& shape);
  void make_onednn(Product& product);

  Device& device_;
  std::mutex mutex_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  std::unordered_map<ProductShape, std::unique_ptr<Product>, ShapeHash> products_;
  std::unordered_map<ProductShape, int, ShapeHash> blocks_;
  std::unordered_map<ProductShape, int64_t, ShapeHash> prepared_;  // members made of each family
  std::vector<Buffer> scratch_;                                    // for callers, by thread
  std::vector<Buffer> workspace_;                                  // for the primitives, by thread
  std::vector<std::unique_ptr<dnnl::stream>> streams_ = [this] {
    std::vector<std::unique_ptr<dnnl::stream>> out(scratch_.size());
    for (auto& stream : out) stream = std::make_unique<dnnl::stream>(engine_);
    return out;
  }();
};

Cache& cache_of(Device& device) {
  return static_cast<Cache&>(device.kernel_cache([](Device& owner) -> std::unique_ptr<KernelCache> {
    return std::make_unique<Cache>(owner);
  }));
}

dnnl::primitive_attr attributes(bool accumulate) {
  dnnl::primitive_attr out;
  out.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0F);
    out.set_post_ops(sum);
  }
  return out;
}

// oneDNN's fast code gives every element a sum that its size alone decides. Its other code takes
// the number of threads when it runs ("gemm"), or loops over elements ("ref").
bool is_fast(const dnnl::matmul::primitive_desc& description) {
  return std::string_view(description.impl_info_str()).substr(0, 3) == "brg";
}

// Is the library's code faster than own for operands of this type?
bool library_has(DType dtype) { return dtype == DType::bf16 && fast_bf16(); }

void Cache::make_onednn(Product& product) {
  const ProductShape& s = product.shape;
  const OneThread one_thread;
  const auto a = plain(s.m, s.k, s.in, s.lda, s.transpose_a);
  const auto c = plain(s.m, s.n, s.out, s.ldc, false);
  const auto b = s.block > 0 ? dnnl::memory::desc({s.k, s.n}, onednn_type(s.in), kPackedFormat)
                             : plain(s.k, s.n, s.in, s.ldb, s.transpose_b);
  product.description = {dnnl::matmul::desc(a, b, c), attributes(s.accumulate), engine_};
  if (!is_fast(product.description)) return;
  product.primitive = dnnl::matmul(product.description);
  product.by_library = true;
}

const Product& Cache::find_locked(const ProductShape& shape) {
  auto& found = products_[shape];
  if (found) return *found;
  found = std::make_unique<Product>();
  found->shape = shape;
  found->cache = this;
  found->slots.resize(scratch_.size());
  if (!is_empty(shape) && library_has(shape.in)) make_onednn(*found);
  return *found;
}

int Cache::block(DType dtype, int64_t k, int64_t n) {
  // Panels with padding would be written by every thread that runs such a product: not packed.
  if (k == 0 || n == 0) return 0;
  if (!library_has(dtype)) {
    const int64_t columns = panel_columns(dtype);
    const bool pairs = dtype != DType::bf16 || k % 2 == 0;
    return n % columns == 0 && pairs ? static_cast<int>(columns) : 0;
  }
  constexpr int64_t kGroup = 32;
  if (k % kGroup != 0 || n % kPanelColumns != 0) return 0;
  std::lock_guard lock(mutex_);
  ProductShape key;
  key.k = k;
  key.n = n;
  key.in = dtype;
  if (const auto found = blocks_.find(key); found != blocks_.end()) return found->second;
  const OneThread one_thread;
  const auto type = onednn_type(dtype);
  const dnnl::matmul::primitive_desc wanted(
      dnnl::matmul::desc(dnnl::memory::desc({128, k}, type, Format::ab),
                         dnnl::memory::desc({k, n}, type, Format::any),
                         dnnl::memory::desc({128, n}, type, Format::ab)),
      attributes(false), engine_);
  const dnnl::memory::desc packed({k, n}, type, kPackedFormat);
  const int block = is_fast(wanted) && packed == wanted.weights_desc() ? kPanelColumns : 0;
  blocks_[key] = block;
  return block;
}

Slot& Cache::slot(const Product& product) {
  auto& slot = product.slots[thread()];
  if (!slot) {
    const auto& d = product.description;
    slot = std::make_unique<Slot>(Slot{dnnl::memory(d.src_desc(), engine_, nullptr),
                                       dnnl::memory(d.weights_desc(), engine_, nullptr),
                                       dnnl::memory(d.dst_desc(), engine_, nullptr),
                                       dnnl::memory(d.scratchpad_desc(), engine_, nullptr)});
  }
  return *slot;
}

void check(dnnl_status_t status) {
  require(status == dnnl_success, "oneDNN failed with status {}", static_cast<int>(status));
}

void run_onednn(const Product& product, const void* a, const void* b, void* c) {
  Cache& cache = *product.cache;
  Slot& slot = cache.slot(product);
  slot.a.set_data_handle(const_cast<void*>(a));
  slot.b.set_data_handle(const_cast<void*>(b));
  slot.c.set_data_handle(c);
  const auto bytes = static_cast<int64_t>(product.description.scratchpad_desc().get_size());
  slot.scratch.set_data_handle(bytes > 0 ? cache.workspace(bytes) : nullptr);
  const std::array<dnnl_exec_arg_t, 4> arguments = {{{DNNL_ARG_SRC, slot.a.get()},
                                                     {DNNL_ARG_WEIGHTS, slot.b.get()},
                                                     {DNNL_ARG_DST, slot.c.get()},
                                                     {DNNL_ARG_SCRATCHPAD, slot.scratch.get()}}};
  check(dnnl_primitive_execute(product.primitive.get(), cache.stream().get(),
                               static_cast<int>(arguments.size()), arguments.data()));
}

void run_own(Cache& cache, const ProductShape& shape, const void* a, const void* b, void* c) {
  auto* workspace = static_cast<std::byte*>(cache.workspace(panel_workspace_bytes(shape)));
  panel_product(shape, a, b, c, workspace);
}

}  // namespace

const Product& product(Device& device, const ProductShape& shape) {
  require(is_floating(shape.in) &&
              (shape.out == shape.in || (shape.in == DType::bf16 && shape.out == DType::f32)),
          "a product of {} operands cannot give {}", name(shape.in), name(shape.out));
  return cache_of(device).find(shape);
}

void prepare(Device& device, const ProductShape& family, int64_t count,
             const std::function<ProductShape(int64_t)>& member) {
  cache_of(device).prepare(family, count, member);
}

void run(const Product& product, const void* a, const void* b, void* c) {
  if (is_empty(product.shape)) return run_empty(product.shape, c);
  if (product.by_library) return run_onednn(product, a, b, c);
  run_own(*product.cache, product.shape, a, b, c);
}

void run(Device& device, const ProductShape& shape, const void* a, const void* b, void* c) {
  if (!own_products(shape.in)) return run(product(device, shape), a, b, c);
  if (is_empty(shape)) return run_empty(shape, c);
  run_own(cache_of(device), shape, a, b, c);
}

int64_t product_workspace(const ProductShape& shape) {
  if (own_products(shape.in)) return panel_workspace_bytes(shape);
  return (32 << 10) * static_cast<int64_t>(size_of(wide(shape.in)));
}

bool own_products(DType dtype) { return !library_has(dtype); }

void* thread_scratch(Device& device, int64_t bytes) { return cache_of(device).scratch(bytes); }

int packed_block(Device& device, DType dtype, int64_t k, int64_t n) {
  return cache_of(device).block(dtype, k, n);
}

bool hardware_bf16() { return instruction_set() >= InstructionSet::avx512_bf16; }

}  // namespace troupe::kernels::cpu
