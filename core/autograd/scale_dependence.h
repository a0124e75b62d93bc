#pragma once

#include <optional>
#include <string>

#include "core/tensor/tensor.h"

namespace az {

// Element i of a tensor belongs to row (i / inner) % count.
struct RowsOf {
  int64_t inner = 1, count = 1;
  friend bool operator==(const RowsOf&, const RowsOf&) = default;
};

// How `output` depends on the scale of a leaf w, as the recorded graph tells it; no number is looked at. The output is u, or u
// + v where there is a shift. With row r of w a_r > 0 times as long, element i of u is a_row(i)^degree times what it was; v is
// the same in each slice of `shift`, whatever becomes of it: a norm over such slices takes it out.
struct ScaleDependence {
  enum class Kind {
    absent,   // nothing leads from w to the output
    scales,   // as above; degree 0 without a shift: the lengths of the rows make no difference
    broken,   // an op on the way does not scale, or these rules, which prove less than is true, cannot tell that it does
    unknown,  // an op on the way does not say how it scales
  };
  Kind kind = Kind::absent;
  double degree = 0;
  RowsOf rows = {};
  std::optional<RowsOf> shift = {};
  // The op, and the module it ran in, that took the scale out, or that is in the way; then also why: "mixes its channels".
  std::string op = {}, scope = {}, reason = {};

  bool invariant() const { return kind == Kind::absent || (kind == Kind::scales && degree == 0 && !shift); }
};

// w is taken as `rows` rows of equal length that are scaled one by one: w.size(0) for a weight's channels, 1 for w as a whole.
ScaleDependence scale_dependence(const Tensor& output, const Tensor& w, int64_t rows = 1);

}  // namespace az
