#include <omp.h>

#include <array>
#include <dnnl.hpp>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/kernels/cpu/library_product.h"

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

void check(dnnl_status_t status) {
  require(status == dnnl_success, "oneDNN failed with status {}", static_cast<int>(status));
}

// Shared by the products of one device.
struct Engine {
  explicit Engine(int threads) : streams(static_cast<size_t>(threads)) {
    for (auto& stream : streams) stream = dnnl::stream(engine);
  }
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  std::vector<dnnl::stream> streams;  // by thread
};

class Brgemm final : public LibraryProduct {
 public:
  Brgemm(std::shared_ptr<Engine> engine, const dnnl::matmul::primitive_desc& description)
      : engine_(std::move(engine)),
        description_(description),
        primitive_(description),
        slots_(engine_->streams.size()) {}

  int64_t workspace_bytes() const override {
    return static_cast<int64_t>(description_.scratchpad_desc().get_size());
  }

  void run(size_t thread, const void* a, const void* b, void* c, void* workspace) const override {
    Slot& slot = made(thread);
    slot.a.set_data_handle(const_cast<void*>(a));
    slot.b.set_data_handle(const_cast<void*>(b));
    slot.c.set_data_handle(c);
    slot.scratch.set_data_handle(workspace);
    const std::array<dnnl_exec_arg_t, 4> arguments = {{{DNNL_ARG_SRC, slot.a.get()},
                                                       {DNNL_ARG_WEIGHTS, slot.b.get()},
                                                       {DNNL_ARG_DST, slot.c.get()},
                                                       {DNNL_ARG_SCRATCHPAD, slot.scratch.get()}}};
    check(dnnl_primitive_execute(primitive_.get(), engine_->streams[thread].get(),
                                 static_cast<int>(arguments.size()), arguments.data()));
  }

 private:
  // What one thread needs to run the primitive.
  struct Slot {
    dnnl::memory a, b, c, scratch;
  };
  Slot& made(size_t thread) const {
    std::unique_ptr<Slot>& slot = slots_[thread];
    if (!slot) {
      const dnnl::engine& engine = engine_->engine;
      slot = std::make_unique<Slot>(
          Slot{dnnl::memory(description_.src_desc(), engine, nullptr),
               dnnl::memory(description_.weights_desc(), engine, nullptr),
               dnnl::memory(description_.dst_desc(), engine, nullptr),
               dnnl::memory(description_.scratchpad_desc(), engine, nullptr)});
    }
    return *slot;
  }

  std::shared_ptr<Engine> engine_;
  dnnl::matmul::primitive_desc description_;
  dnnl::matmul primitive_;
  mutable std::vector<std::unique_ptr<Slot>> slots_;  // by thread
};

class OneDnn final : public LibraryProducts {
 public:
  explicit OneDnn(int threads) : engine_(std::make_shared<Engine>(threads)) {}

  std::unique_ptr<LibraryProduct> make(const ProductShape& s) override {
    const OneThread one_thread;
    const auto a = plain(s.m, s.k, s.in, s.lda, s.transpose_a);
    const auto c = plain(s.m, s.n, s.out, s.ldc, false);
    const auto b = s.block > 0 ? dnnl::memory::desc({s.k, s.n}, onednn_type(s.in), kPackedFormat)
                               : plain(s.k, s.n, s.in, s.ldb, s.transpose_b);
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, b, c),
                                                   attributes(s.accumulate), engine_->engine);
    if (!is_fast(description)) return nullptr;
    return std::make_unique<Brgemm>(engine_, description);
  }

  bool wants_panels(DType dtype, int64_t k, int64_t n) override {
    const OneThread one_thread;
    const auto type = onednn_type(dtype);
    const dnnl::matmul::primitive_desc wanted(
        dnnl::matmul::desc(dnnl::memory::desc({128, k}, type, Format::ab),
                           dnnl::memory::desc({k, n}, type, Format::any),
                           dnnl::memory::desc({128, n}, type, Format::ab)),
        attributes(false), engine_->engine);
    const dnnl::memory::desc packed({k, n}, type, kPackedFormat);
    return is_fast(wanted) && packed == wanted.weights_desc();
  }

 private:
  std::shared_ptr<Engine> engine_;
};

}  // namespace

bool has_library_products() { return true; }

std::unique_ptr<LibraryProducts> library_products(int threads) {
  return std::make_unique<OneDnn>(threads);
}

}  // namespace troupe::kernels::cpu
