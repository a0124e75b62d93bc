#include "core/config/json_document.h"

#include <fmt/core.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/c_locale.h"
#include "core/names.h"

namespace az::config {
namespace {

using Json = nlohmann::json;
constexpr size_t deepest = 200;

// nlohmann's parser reports no positions, so the handler walks over the same text and finds each reported token itself.
class Reader : public nlohmann::json_sax<Json> {
 public:
  Reader(std::string_view text, const std::string& name) : text_(text), source_(std::make_shared<const std::string>(name)) {}

  bool null() override { return add({}); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override {
    if (value > INT64_MAX) too_large();
    return add(static_cast<int64_t>(value));
  }
  bool number_float(double value, const std::string& digits) override {
    if (digits.find_first_of(".eE") == std::string::npos) too_large();
    return add(value);
  }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }

  bool start_object(size_t) override { return open(Value(Value::Object{})); }
  bool start_array(size_t) override { return open(Value(Value::Array{})); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& key) override {
    Position position = take();
    auto& members = open_.back()->as_object();
    bool fresh = keys_.back().insert(key).second;
    members.push_back({std::move(key), {}, position});
    if (!fresh) fail_at(position, path(), "duplicate key");
    return true;
  }

  bool parse_error(size_t read, const std::string&, const Json::exception& error) override {
    // What was read ends with the offending character; a whole unexpected token is better shown by its start.
    size_t last = std::min(read > 0 ? read - 1 : 0, text_.size());
    while (at_ < last && is_space(text_[at_])) step();
    if (at_ < last && (text_[at_] == ',' || text_[at_] == ':')) step();
    while (at_ < last && is_space(text_[at_])) step();
    std::string message = error.what();
    if (size_t place = message.find(", column "); place != std::string::npos) {
      message.erase(0, message.find(": ", place) + 2);
    }
    fail_at(here(), "", message);
  }

  Value result() { return std::move(root_); }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

  void step() {
    char c = text_[at_++];
    if (c == '\n') {
      ++line_;
      column_ = 1;
    } else if ((c & 0xC0) != 0x80) {
      ++column_;
    }
  }

  Position here() const { return {source_, line_, column_}; }

  void skip() {
    while (at_ < text_.size() && (is_space(text_[at_]) || text_[at_] == ',' || text_[at_] == ':')) step();
  }

  // Steps over the next token and says where it starts; the parser has found it valid.
  Position take() {
    skip();
    Position start = here();
    char first = text_[at_];
    step();
    if (first == '"') {
      for (; text_[at_] != '"'; step()) {
        if (text_[at_] == '\\') step();
      }
      step();
    } else if (!std::strchr("{}[]", first)) {
      while (at_ < text_.size() && !is_space(text_[at_]) && !std::strchr(",]}", text_[at_])) step();
    }
    return start;
  }

  Value& place(Value value) {
    value.set_position(take());
    if (open_.empty()) return root_ = std::move(value);
    Value& parent = *open_.back();
    if (parent.is_array()) return parent.as_array().emplace_back(std::move(value));
    return parent.as_object().back().value = std::move(value);
  }

  bool add(Value value) {
    place(std::move(value));
    return true;
  }

  bool open(Value value) {
    Value& placed = place(std::move(value));
    if (open_.size() >= deepest) fail_at(placed.position(), "", fmt::format("more than {} levels deep", deepest));
    open_.push_back(&placed);
    keys_.emplace_back();
    return true;
  }

  bool close() {
    take();
    open_.pop_back();
    keys_.pop_back();
    return true;
  }

  [[noreturn]] void too_large() {
    skip();
    fail_at(here(), path(), "the integer does not fit into 64 bits");
  }

  // The path of the value being read.
  std::string path() const {
    std::string path;
    for (const Value* container : open_) {
      if (!path.empty()) path += '.';
      bool last = container == open_.back();
      path += container->is_object() ? container->as_object().back().key
                                     : std::to_string(container->as_array().size() - (last ? 0 : 1));
    }
    return path;
  }

  std::string_view text_;
  std::shared_ptr<const std::string> source_;
  size_t at_ = 0;
  int line_ = 1;
  int column_ = 1;
  Value root_;
  std::vector<Value*> open_;
  std::vector<std::set<std::string>> keys_;
};

void write(const Value& value, int indent, int level, std::string& out) {
  auto new_line = [&](int depth) {
    if (indent >= 0) out.append("\n").append(static_cast<size_t>(indent * depth), ' ');
  };
  if (value.is_object() && !value.as_object().empty()) {
    const char* separator = "{";
    for (const Member& member : value.as_object()) {
      out += std::exchange(separator, indent >= 0 ? "," : ", ");
      new_line(level + 1);
      out += dump(Value(member.key)) + ": ";
      write(member.value, indent, level + 1, out);
    }
    new_line(level);
    out += '}';
  } else if (value.is_array()) {
    // A list of plain values stays on one line.
    const auto& elements = value.as_array();
    bool flat = std::none_of(elements.begin(), elements.end(), [](const Value& v) { return v.is_object() || v.is_array(); });
    out += '[';
    for (const Value& element : elements) {
      if (&element != &elements.front()) out += flat || indent < 0 ? ", " : ",";
      if (!flat) new_line(level + 1);
      write(element, indent, level + 1, out);
    }
    if (!flat) new_line(level);
    out += ']';
  } else if (value.is_object()) {
    out += "{}";
  } else if (value.is_string()) {
    out += Json(value.as_string()).dump(-1, ' ', false, Json::error_handler_t::replace);
  } else if (value.is_int()) {
    out += std::to_string(value.as_int());
  } else if (value.is_number()) {
    out += Json(value.as_double()).dump();
  } else {
    out += value.is_null() ? "null" : value.as_bool() ? "true" : "false";
  }
}

void mark(Value& value, const Position& position) {
  value.set_position(position);
  if (value.is_array()) {
    for (Value& element : value.as_array()) mark(element, position);
  } else if (value.is_object()) {
    for (Member& member : value.as_object()) {
      member.position = position;
      mark(member.value, position);
    }
  }
}

Value value_of(const std::string& text, const std::string& source) {
  const CLocale locale;
  bool json_only = !text.empty() && std::strchr("{[\"", text[0]);
  return json_only || Json::accept(text) ? parse_text(text, source) : Value(text);
}

}  // namespace

Value parse_text(std::string_view text, const std::string& name) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const CLocale locale;
  Reader reader(text, name);
  Json::sax_parse(text.begin(), text.end(), &reader);
  return reader.result();
}

Value parse_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file || std::filesystem::is_directory(path)) fail_at({}, path, "cannot be read; is the path right?");
  return parse_text(text.str(), path);
}

std::string dump(const Value& value, int indent) {
  std::string out;
  write(value, indent, 0, out);
  return out;
}

void set_path(Value& root, const std::string& path, const std::string& text) {
  Position position{std::make_shared<const std::string>("--set " + path)};
  if (!is_utf8(path) || !is_utf8(text)) fail_at(position, "", "must be UTF-8, as all JSON is");
  Value value = value_of(text, "--set " + path);
  mark(value, position);
  set_path(root, path, std::move(value), position);
}

void set_path(Value& root, const std::string& path, Value given, const Position& position) {
  Value* value = &root;
  for (size_t start = 0; start <= path.size();) {
    size_t end = std::min(path.find('.', start), path.size());
    std::string key = path.substr(start, end - start);
    if (key.empty()) fail_at(position, path, "the path has an empty part; write it as in optimizer.lr");
    if (value->is_array()) {
      auto& elements = value->as_array();
      size_t index = elements.size();
      auto [last, error] = std::from_chars(key.data(), key.data() + key.size(), index);
      if (error != std::errc() || *last || index >= elements.size()) {
        fail_at(position, path, fmt::format("\"{}\" is no index into a list of {}; the first is 0", key, elements.size()));
      }
      value = &elements[index];
    } else {
      if (!value->is_object() && !value->is_null()) {
        fail_at(position, path, fmt::format("{} is {}, not an object", path.substr(0, start - 1), short_text(*value)));
      }
      if (value->is_null()) {
        *value = Value::Object{};
        value->set_position(position);
      }
      if (!value->find(key)) value->as_object().push_back({key, {}, position});
      value = &(*value)[key];
    }
    start = end + 1;
  }
  *value = std::move(given);
}

}  // namespace az::config
