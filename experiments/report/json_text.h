#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/config/json_document.h"
#include "experiments/report/table.h"

namespace az::experiments {

// JSON, a piece at a time: numbers in six digits, and nothing that could end the script element it stands in.
class JsonText {
 public:
  JsonText& raw(std::string_view text) {
    out_.append(text);
    return *this;
  }
  JsonText& key(std::string_view name) { return raw(fmt::format("{}\"{}\":", out_.back() == '{' ? "" : ",", name)); }
  JsonText& value(const config::Value& value) {
    for (const char c : config::dump(value)) c == '<' ? out_ += "\\u003c" : out_ += c;
    return *this;
  }
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
  JsonText& table(const Table& table) {
    raw("{").key("step").steps(table.step);
    for (const auto& [name, column] : table.columns) key(name).numbers(column);
    return raw("}");
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
