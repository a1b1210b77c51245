#include "core/kernels/cpu/product.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/kernels/cpu/instruction_set.h"
#include "core/kernels/cpu/library_product.h"
#include "core/kernels/cpu/panel_product.h"

namespace troupe::kernels::cpu {
namespace {

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

class Cache;

}  // namespace

class Product {
 public:
  ProductShape shape;
  Cache* cache = nullptr;
  std::unique_ptr<LibraryProduct> library;  // null: panel_product.h
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

// Has the library code that is faster than own for operands of this type?
bool library_has(DType dtype) {
  return dtype == DType::bf16 && has_library_products() && fast_bf16();
}

class Cache : public KernelCache {
 public:
  explicit Cache(Device& device)
      : device_(device),
        library_(library_products(device.stream().threads)),
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
  size_t thread() const {
    const auto index = static_cast<size_t>(thread_index());
    require(index < scratch_.size(), "a product ran on thread {} of a team of {}", index,
            scratch_.size());
    return index;
  }

 private:
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

  Device& device_;
  std::mutex mutex_;
  std::unique_ptr<LibraryProducts> library_;
  std::unordered_map<ProductShape, std::unique_ptr<Product>, ShapeHash> products_;
  std::unordered_map<ProductShape, int, ShapeHash> blocks_;
  std::unordered_map<ProductShape, int64_t, ShapeHash> prepared_;  // members made of each family
  std::vector<Buffer> scratch_;                                    // for callers, by thread
  std::vector<Buffer> workspace_;                                  // for the primitives, by thread
};

Cache& cache_of(Device& device) {
  return static_cast<Cache&>(device.kernel_cache([](Device& owner) -> std::unique_ptr<KernelCache> {
    return std::make_unique<Cache>(owner);
  }));
}

const Product& Cache::find_locked(const ProductShape& shape) {
  auto& found = products_[shape];
  if (found) return *found;
  found = std::make_unique<Product>();
  found->shape = shape;
  found->cache = this;
  if (!is_empty(shape) && library_has(shape.in)) found->library = library_->make(shape);
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
  const int block = library_->wants_panels(dtype, k, n) ? kPanelColumns : 0;
  blocks_[key] = block;
  return block;
}

void run_library(const Product& product, const void* a, const void* b, void* c) {
  Cache& cache = *product.cache;
  const int64_t bytes = product.library->workspace_bytes();
  void* workspace = bytes > 0 ? cache.workspace(bytes) : nullptr;
  product.library->run(cache.thread(), a, b, c, workspace);
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
  if (product.library) return run_library(product, a, b, c);
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
