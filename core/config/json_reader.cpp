#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/ascii.h"
#include "core/base/c_locale.h"
#include "core/base/files.h"
#include "core/base/utf8.h"
#include "core/config/json_document.h"
#include "core/config/syntax_error.h"

namespace az::config {
namespace {

using Json = nlohmann::json;

// nlohmann's parser reports no positions, so the handler walks over the same text and finds each reported token itself.
class Reader : public nlohmann::json_sax<Json> {
 public:
  Reader(std::string_view text, const std::string& name) : text_(text), source_(std::make_shared<const std::string>(name)) {}

  bool null() override { return add({}); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override {
    return value > INT64_MAX ? add(static_cast<double>(value)) : add(static_cast<int64_t>(value));
  }
  bool number_float(double value, const std::string& digits) override {
    const bool is_zero = digits.find_first_of("123456789") >= digits.find_first_of("eE");
    if (value == 0 && !is_zero) fail_number("is too close to 0 for a number; write 0");
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
    const bool fresh = keys_.back().insert(key).second;
    members.push_back({std::move(key), {}, position});
    last_ = Progress::Last::key;
    if (!fresh) {
      const auto first =
          std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.key == members.back().key; });
      fail_at(position, path(), fmt::format("duplicate key; remove it, or the one in line {}", first->position.line));
    }
    return true;
  }

  bool parse_error(size_t, const std::string&, const Json::exception& error) override {
    constexpr int out_of_range = 406;
    if (error.id == out_of_range) fail_number("is too large; the largest number is 1.8e308");
    Progress progress{.text = text_, .last = last_, .token = token_, .end = at_};
    if (!open_.empty()) {
      const Position& bracket = open_.back()->position();
      progress.bracket = open_.back()->is_object() ? '{' : '[';
      progress.bracket_place = fmt::format("line {}, column {}", bracket.line, bracket.column);
    }
    fail(explain(progress));
  }

  [[noreturn]] void fail(const SyntaxError& error) {
    const bool is_of_token = error.at < at_;
    while (at_ < error.at) step();
    fail_at(is_of_token ? token_position_ : here(),
            error.is_of_value ? path(is_of_token && last_ == Progress::Last::value) : "", error.message);
  }

  Value result() { return std::move(root_); }

 private:
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
    token_ = at_;
    token_position_ = here();
    const char first = text_[at_];
    step();
    if (first == '"') {
      for (; text_[at_] != '"'; step()) {
        if (text_[at_] == '\\') step();
      }
      step();
    } else if (first == '-' || is_digit(first)) {
      const auto digits = [&] {
        while (at_ < text_.size() && is_digit(text_[at_])) step();
      };
      const auto next_is = [&](std::string_view any) {
        return at_ < text_.size() && any.find(text_[at_]) != std::string_view::npos;
      };
      if (text_[at_ - (first == '-' ? 0 : 1)] != '0')
        digits();
      else if (first == '-')
        step();
      if (next_is(".")) step(), digits();
      if (next_is("eE")) {
        step();
        if (next_is("+-")) step();
        digits();
      }
    } else if (is_letter(first)) {
      while (at_ < token_ + (first == 'f' ? 5 : 4)) step();
    }
    return token_position_;
  }

  Value& place(Value value) {
    value.set_position(take());
    last_ = value.is_object() || value.is_array() ? Progress::Last::opening : Progress::Last::value;
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
    last_ = Progress::Last::value;
    open_.pop_back();
    keys_.pop_back();
    return true;
  }

  // Throws an error about the number that comes next.
  [[noreturn]] void fail_number(const std::string& message) {
    take();
    fail_at(token_position_, path(), fmt::format("{} {}", excerpt(text_.substr(token_, at_ - token_), 30), message));
  }

  // The path of the value being read, or of the one that was read.
  std::string path(bool of_last = false) const {
    std::string path;
    for (const Value* container : open_) {
      if (!path.empty()) path += '.';
      bool last = container == open_.back();
      path += container->is_object() ? container->as_object().back().key
                                     : std::to_string(container->as_array().size() - (last && !of_last ? 0 : 1));
    }
    return path;
  }

  std::string_view text_;
  std::shared_ptr<const std::string> source_;
  size_t at_ = 0;
  int line_ = 1;
  int column_ = 1;
  size_t token_ = 0;  // where the last token starts
  Position token_position_;
  Progress::Last last_ = Progress::Last::nothing;
  Value root_;
  std::vector<Value*> open_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

Value parse_text(std::string_view text, const std::string& name) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const CLocale locale;
  Reader reader(text, name);
  if (const SyntaxError error = explain_whole(text); !error.message.empty()) reader.fail(error);
  Json::sax_parse(text.begin(), text.end(), &reader);
  return reader.result();
}

Value parse_file(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) fail_at({}, path, "is a folder; give the JSON file");
  constexpr size_t most = size_t(64) << 20, portion = 1 << 16;
  std::string text;
  try {
    InputFile file(path);
    for (size_t got = portion; got == portion && text.size() <= most;) {
      const size_t size = text.size();
      text.resize(size + portion);
      got = file.read(text.data() + size, portion);
      text.resize(size + got);
    }
  } catch (const FileError& unreadable) {
    const bool absent =
        unreadable.reason == std::errc::no_such_file_or_directory || unreadable.reason == std::errc::not_a_directory;
    fail_at({}, path, absent ? "cannot be read; is the path right?" : "cannot be read: " + unreadable.reason.message());
  }
  if (text.size() > most) fail_at({}, path, "is larger than 64 MiB; is it the right file?");
  return parse_text(text, path);
}

}  // namespace az::config
