// Gather, weighted sums and dot products of rows. Index views are contiguous i32; values contiguous
// [rows, D].
#pragma once

#include <string>

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// out[r] = table[ids[r]], converted to out's type; zeros where ids[r] is -1. ids i32 or i64, in
// range.
void gather_rows(Stream& stream, View table, View ids, View out);

// out[t] = sum over entries e in [offsets[t], offsets[t + 1]) of weights[e] x[rows[e]], in that
// order, in the wide type. weights: null data = 1. accumulate: out[t] += the sum; a row without
// entries is then left alone.
void combine_rows(Stream& stream, View x, View offsets, View rows, View weights, View out,
                  bool accumulate);

// out[e] = dot(a[a_rows[e]], b[b_rows[e]]), out in the wide type.
void row_dots(Stream& stream, View a, View a_rows, View b, View b_rows, View out);

// Throws (a bug) naming op unless lowest <= rows[i] < count for every i. rows i32.
void check_rows(Stream& stream, const char* op, View rows, int64_t lowest, int64_t count);

// Throws Error(data) naming the table unless all token ids are in [0, vocabulary). ids i32 or i64.
void check_ids(Stream& stream, View ids, int64_t vocabulary, const std::string& table);

// owners[e] = t for the entries e in [offsets[t], offsets[t + 1]).
void row_owners(Stream& stream, View offsets, View owners);

// out[i] = from[entries[i]], one type.
void take_entries(Stream& stream, View from, View entries, View out);

// out[i] = ids[i] - first where that is in [0, count), else -1; ids i32 or i64, out i32.
void rows_in_part(Stream& stream, View ids, int64_t first, int64_t count, View out);

// out[r, j] = x[r, index[r, j]]; dx[r, index[r, j]] += dy[r, j] on zeros. x, dx [R, D], index, out,
// dy [R, K], floating.
void take_along_rows(Stream& stream, View x, View index, View out);
void take_along_rows_gradient(Stream& stream, View dy, View index, View dx);

// Stable counting sort: offsets [count + 1] and order [n] such that the positions r with keys[r] ==
// t are order[offsets[t], offsets[t + 1]), rising. Keys of -1 are left out. keys i32 or i64.
void group_by_key(Stream& stream, View keys, int64_t count, View offsets, View order);

}  // namespace troupe::kernels
