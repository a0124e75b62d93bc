#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/config/json_document.h"

namespace az::experiments {

// JSON without a space, a piece at a time. It writes what config::dump() would make too large: lines of metrics.jsonl, and
// lists of numbers, in six digits.
class JsonText {
 public:
  JsonText& raw(std::string_view text) {
    out_.append(text);
    return *this;
  }
  JsonText& key(const std::string& name) { return raw(out_.back() == '{' ? "" : ",").value(name).raw(":"); }
  JsonText& value(const config::Value& value) { return raw(config::dump(value)); }
  template <class Each, class Write> JsonText& list(const Each& elements, const Write& write) {
    out_ += '[';
    for (const auto& element : elements) {
      if (&element != &*std::begin(elements)) out_ += ',';
      write(element);
    }
    return raw("]");
  }
  // Empty where no number is there.
  JsonText& numbers(const std::vector<double>& values) {
    if (std::none_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); })) return raw("[]");
    return list(values, [&](double x) { number(x, 6); });
  }
  // Steps are counted exactly.
  JsonText& steps(const std::vector<double>& values) {
    return list(values, [&](double x) { number(x, 16); });
  }
  JsonText& strings(const std::vector<std::string>& values) {
    return list(values, [&](const std::string& text) { value(text); });
  }
  std::string take() { return std::move(out_); }

 private:
  void number(double x, int digits) {
    if (std::isfinite(x))
      fmt::format_to(std::back_inserter(out_), "{:.{}g}", x, digits);
    else
      out_ += "null";
  }

  std::string out_;
};

}  // namespace az::experiments
