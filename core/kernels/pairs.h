// What routers do with the pairs (token, expert) of an assignment: values in f32 or f64, one for
// each pair, those of a token side by side. Pairs of token t are [token_begin[t], token_begin[t +
// 1]): i64 [T + 1]; experts and indices of pairs are i32.
#pragma once

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// y[p] = x[token of p, expert[p]]; x [T, E], y [P]. The gradient: dx[token, expert[p]] += dy[p] on
// zeros.
void take_pairs(Stream& stream, View x, View token_begin, View expert, View y);
void take_pairs_gradient(Stream& stream, View dy, View token_begin, View expert, View dx);

// y = w / sum of the token's w; and dw = (dy - sum(dy y)) / sum.
void normalise_pairs(Stream& stream, View w, View token_begin, View y);
void normalise_pairs_gradient(Stream& stream, View w, View y, View dy, View token_begin, View dw);

// Softmax over the pairs of a token; dx = y (dy - sum(dy y)).
void softmax_pairs(Stream& stream, View x, View token_begin, View y);
void softmax_pairs_gradient(Stream& stream, View y, View dy, View token_begin, View dx);

// y[i] = x[index[i]]; dx[index[i]] = dy[i] on zeros.
void take_elements(Stream& stream, View x, View index, View y);
void take_elements_gradient(Stream& stream, View dy, View index, View dx);

// Shazeer et al. 2017, equation 9: y[t, e] = Phi((clean - threshold) / deviation), where the
// threshold is the k-th largest noisy value of the row among the others. All [T, E], k < E.
void smooth_load(Stream& stream, View clean, View noisy, View deviation, int64_t k, View y);
// dnoisy on zeros.
void smooth_load_gradient(Stream& stream, View clean, View noisy, View deviation, View dy,
                          int64_t k, View dclean, View dnoisy, View ddeviation);

}  // namespace troupe::kernels
