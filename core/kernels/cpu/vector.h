// Vector primitives on contiguous rows: f32 by Highway, chosen at run time; f64 by plain loops.
// Sums run in an order that depends on n and the kind of CPU only.
#pragma once

#include <cstdint>

#include "core/tensor/dtype.h"

namespace troupe::kernels::cpu::vec {

void to_f32(const BF16* in, float* out, int64_t n);
void to_bf16(const float* in, BF16* out, int64_t n);

// -infinity for n == 0; NaN if any element is NaN.
float max(const float* x, int64_t n);
double max(const double* x, int64_t n);
float sum(const float* x, int64_t n);
double sum(const double* x, int64_t n);
float dot(const float* a, const float* b, int64_t n);
double dot(const double* a, const double* b, int64_t n);
// out[j] = dot(a, rows + j * stride, n) for `count` rows, with the same bits.
void dots(const float* a, const float* rows, int64_t stride, int64_t count, int64_t n, float* out);
void dots(const double* a, const double* rows, int64_t stride, int64_t count, int64_t n,
          double* out);
// out[i] = exp(x[i] - shift); returns their sum. out may be x.
float exp_shifted(const float* x, float shift, float* out, int64_t n);
double exp_shifted(const double* x, double shift, double* out, int64_t n);
// y[i] += a * x[i]
void axpy(float a, const float* x, float* y, int64_t n);
void axpy(float a, const BF16* x, float* y, int64_t n);
void axpy(double a, const double* x, double* y, int64_t n);
// axpy(a[j], rows + j * stride, y, n) for `count` rows, one after the other.
void axpys(const float* a, const float* rows, int64_t stride, int64_t count, float* y, int64_t n);
void axpys(const double* a, const double* rows, int64_t stride, int64_t count, double* y,
           int64_t n);
// out[i] = a * x[i]
void scale(float a, const float* x, float* out, int64_t n);
void scale(float a, const BF16* x, float* out, int64_t n);
void scale(double a, const double* x, double* out, int64_t n);

// out[i] = x[i] c[i] - sign x[i + half] s[i]; out[i + half] = x[i + half] c[i] + sign x[i] s[i].
void rotate(const float* x, const float* c, const float* s, float sign, int64_t half, float* out);
void rotate(const double* x, const double* c, const double* s, double sign, int64_t half,
            double* out);

void exp(const float* x, float* out, int64_t n);
void sigmoid(const float* x, float* out, int64_t n);
void silu(const float* x, float* out, int64_t n);
void silu_gradient(const float* x, const float* dy, float* dx, int64_t n);
void swiglu(const float* gate, const float* up, float* out, int64_t n);
void swiglu_gradient(const float* gate, const float* up, const float* dy, float* dgate, float* dup,
                     int64_t n);

}  // namespace troupe::kernels::cpu::vec
