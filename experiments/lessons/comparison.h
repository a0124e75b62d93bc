#pragma once

#include <cmath>
#include <string>

#include "core/config/value.h"

namespace az::experiments {

enum class Measured { near, below, above };  // where a prediction wants it

// One line of the table that a lesson ends with.
struct Comparison {
  std::string what = {};
  double predicted = NAN;
  double measured = NAN;
  double tolerance = 0;           // on |measured - predicted| / |predicted|
  double absolute_tolerance = 0;  // or on |measured - predicted|: half of the last digit that a paper shows
  Measured is = Measured::near;   // below and above are strict, and have no tolerance

  double relative_error() const;  // NaN for a bound, and where 0 is predicted
  bool holds() const;             // NaN never does
};

// A comparison as tables show it: "< 0.8"; "2.99747"; "0.0017 %"; "± 0.0001". The numbers have as many digits as show whether
// it holds. "" where there is no error, or nothing is allowed.
struct ComparisonText {
  std::string predicted = {}, measured = {}, error = {}, allowed = {};
};
ComparisonText text_of(const Comparison& comparison);

// A row of lesson.json, and back. What is missing there or no number is NaN.
config::Value to_value(const Comparison& comparison);
Comparison comparison_of(const config::Value& row);

}  // namespace az::experiments
