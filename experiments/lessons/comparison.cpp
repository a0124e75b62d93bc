#include "experiments/lessons/comparison.h"

#include <fmt/format.h>

#include <algorithm>

namespace az::experiments {
namespace {

using config::Value;

const char* sign_of(Measured is) { return is == Measured::near ? "=" : is == Measured::below ? "<" : ">"; }

// The difference that may be between what was measured and what was predicted.
double allowance(const Comparison& it) {
  return it.is == Measured::near ? std::max(it.absolute_tolerance, it.tolerance * std::abs(it.predicted)) : 0;
}

// Writes x in `least` significant digits, or in more where a difference of `unit` would not show, without trailing zeros.
std::string number_text(double x, double unit, int least) {
  if (std::isnan(x)) return "not a number";
  if (x == 0) return "0";
  const double size = std::abs(x), digits = std::ceil(std::log10(size / unit)) + 1;
  const int whole = size < 1e7 ? int(std::log10(std::max(size, 1.0))) + 1 : 0;
  if (digits >= 17) return fmt::format("{}", x);
  return fmt::format("{:.{}g}", x, std::max({least, whole, digits > 0 ? int(digits) : 0}));
}

double number(const Value& row, const char* key) {
  const Value* found = row.find(key);
  return found && found->is_number() ? found->as_double() : NAN;
}

}  // namespace

double Comparison::relative_error() const {
  return is == Measured::near && predicted != 0 ? std::abs(measured - predicted) / std::abs(predicted) : NAN;
}

bool Comparison::holds() const {
  if (is == Measured::below) return measured < predicted;
  if (is == Measured::above) return measured > predicted;
  return std::abs(measured - predicted) <= allowance(*this);
}

ComparisonText text_of(const Comparison& it) {
  // A tenth of what would turn the outcome.
  const double unit = std::abs(std::abs(it.measured - it.predicted) - allowance(it)) / 10;
  const double error = it.relative_error(), error_unit = it.tolerance > 0 ? std::abs(error - it.tolerance) / 10 : INFINITY;
  ComparisonText text{.predicted = number_text(it.predicted, unit, 4), .measured = number_text(it.measured, unit, 4)};
  if (it.is != Measured::near) {
    text.predicted = fmt::format("{} {}", sign_of(it.is), text.predicted);
    return text;
  }
  if (!std::isnan(error)) text.error = number_text(100 * error, 100 * error_unit, 2) + " %";
  if (it.absolute_tolerance > 0) text.allowed = fmt::format("± {:.4g}", it.absolute_tolerance);
  if (it.tolerance > 0) text.allowed += fmt::format("{}{:.4g} %", text.allowed.empty() ? "" : " or ", 100 * it.tolerance);
  return text;
}

Value to_value(const Comparison& it) {
  return Value::Object{{"what", it.what},
                       {"relation", sign_of(it.is)},
                       {"predicted", it.predicted},
                       {"measured", it.measured},
                       {"relative_error", it.relative_error()},
                       {"tolerance", it.tolerance > 0 ? it.tolerance : NAN},
                       {"absolute_tolerance", it.absolute_tolerance > 0 ? it.absolute_tolerance : NAN},
                       {"holds", it.holds()}};
}

Comparison comparison_of(const Value& row) {
  Comparison it{.predicted = number(row, "predicted"), .measured = number(row, "measured")};
  if (const double tolerance = number(row, "tolerance"); tolerance > 0) it.tolerance = tolerance;
  if (const double tolerance = number(row, "absolute_tolerance"); tolerance > 0) it.absolute_tolerance = tolerance;
  const Value* relation = row.find("relation");
  const std::string sign = relation && relation->is_string() ? relation->as_string() : "";
  it.is = sign == "<" ? Measured::below : sign == ">" ? Measured::above : Measured::near;
  return it;
}

}  // namespace az::experiments
