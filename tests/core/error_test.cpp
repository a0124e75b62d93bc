#include "core/base/error.h"

#include <doctest/doctest.h>

#include <functional>
#include <new>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "core/autograd/autograd.h"
#include "core/base/names.h"
#include "tests/compare.h"

using namespace az;
using test::error_of;

namespace {

// What comes out of placed() at "here" when f throws.
template <class F> std::string placed_text(F f) {
  return error_of([&] { placed([] { return "here"; }, f); });
}

template <class T> struct Box {};

}  // namespace

TEST_CASE("whatever code throws arrives as an Error that says where") {
  CHECK(placed_text([] { throw std::out_of_range("index 3"); }) == "here: index 3");
  CHECK(placed_text([] { throw 42; }) == "here: threw a value of type int");
  CHECK(placed_text([] { throw "a text"; }) == "here: a text");
  CHECK(placed_text([] { throw std::string("a text"); }) == "here: a text");
  CHECK(placed_text([] { throw std::string_view("a text"); }) == "here: a text");
  static char letters[] = "a text";
  CHECK(placed_text([] { throw static_cast<char*>(letters); }) == "here: a text");
  CHECK(placed_text([] { throw static_cast<const char*>(nullptr); }) == "here: threw a null char const*");
  CHECK(placed_text([] { throw Error("it broke"); }) == "here: it broke");
  CHECK(placed([] { return "here"; }, [] { return 7; }) == 7);
  const auto by_someone = [](auto f) { return error_of([&] { placed([] { return "here"; }, f, [] { return "someone"; }); }); };
  CHECK(by_someone([] { throw std::out_of_range("index 3"); }) == "here: someone: index 3");
  CHECK(by_someone([] { throw Error("it broke"); }) == "here: it broke");
  int value = 1;
  placed([] { return "here"; }, [&]() -> int& { return value; }) = 2;
  CHECK(value == 2);
}

TEST_CASE("an exception without a text is told by what it is, and what is nested in one is told, too") {
  CHECK(placed_text([] { throw std::runtime_error(""); }) == "here: runtime_error without a message");
  CHECK(placed_text([] { throw Error(""); }) == "here: Error without a message");
  for (const auto& empty :
       std::vector<std::function<void()>>{[] { throw ""; }, [] { throw std::string(); }, [] { throw std::string_view(); }})
    CHECK(placed_text(empty) == "here: threw an empty text");
  const auto nested = [](auto outer, auto inner) {
    return placed_text([&] {
      try {
        throw inner;
      } catch (...) {
        std::throw_with_nested(outer);
      }
    });
  };
  CHECK(nested(std::runtime_error("cannot load"), std::out_of_range("index 3")) == "here: cannot load: index 3");
  CHECK(nested(std::runtime_error("cannot load"), 42) == "here: cannot load: threw a value of type int");
  CHECK(nested(Error("cannot load"), Error("no file")) == "here: cannot load: no file");
  CHECK(nested(std::string("cannot load"), std::runtime_error("no file")) == "here: cannot load: no file");
  const auto deep = [] {
    placed([] { return "inside"; },
           [] {
             try {
               try {
                 throw std::runtime_error("disk full");
               } catch (...) {
                 std::throw_with_nested(std::runtime_error("no table"));
               }
             } catch (...) {
               std::throw_with_nested(DataError("no data"));
             }
           });
  };
  CHECK(placed_text(deep) == "inside: no data: no table: disk full");  // once, on however long a way
  CHECK_THROWS_AS(deep(), DataError);
}

TEST_CASE("too little memory stays std::bad_alloc, and says where") {
  const std::string text = "there is not enough memory; take smaller batches, a smaller network or fewer images";
  const auto out_of_memory = [] { throw std::bad_alloc(); };
  const auto here = [] { return "here"; };
  CHECK_THROWS_WITH_AS(placed(here, out_of_memory), ("here: " + text).c_str(), std::bad_alloc);
  const auto by_someone = [&] { placed(here, out_of_memory, [] { return "someone"; }); };
  CHECK_THROWS_WITH_AS(by_someone(), ("here: someone: " + text).c_str(), std::bad_alloc);
  CHECK_THROWS_WITH_AS(placed([] { return "outside"; }, by_someone), ("here: someone: " + text).c_str(), std::bad_alloc);
  struct Own : std::bad_alloc {
    const char* what() const noexcept override { return "no room for tables"; }
  };
  CHECK_THROWS_WITH_AS(placed(here, [] { throw Own(); }), "no room for tables", Own);
}

TEST_CASE("an Error keeps its type and exit code on the way, and the place that it has") {
  const auto outer = [](auto f) { placed([] { return "outside"; }, [&] { placed([] { return "here"; }, f); }); };
  CHECK_THROWS_WITH_AS(outer([] { throw DivergedError("too far"); }), "here: too far", DivergedError);
  struct Own : ConfigError {
    using ConfigError::ConfigError;
  };
  CHECK_THROWS_WITH_AS(outer([] { throw Own("mine"); }), "here: mine", Own);
  try {
    outer([] { throw DataError("gone"); });
  } catch (const Error& error) {
    CHECK(error.code() == Exit::data);
  }
  const std::string path = "layer1.fc";
  const Scope scope(path);
  CHECK(error_of([&] { outer([] { fail("bad shape"); }); }) == "layer1.fc: bad shape");
}

TEST_CASE("the place in a config comes before all else, once") {
  const std::string inner = "exp.json:3:5: data.augment.1", outer = "exp.json:2:1: data", none;
  const auto here = [] { return "here"; };
  const auto told = [&](auto f) {
    return error_of([&] { placed(here, [&] { located(outer, [&] { located(inner, [&] { located(none, f); }); }); }); });
  };
  CHECK(told([] { fail("no"); }) == "exp.json:3:5: data.augment.1: here: no");
  CHECK(told([&] { placed([] { return "inside"; }, [] { fail("no"); }); }) == "exp.json:3:5: data.augment.1: inside: no");
  CHECK(told([] { throw std::out_of_range("index 3"); }) == "exp.json:3:5: data.augment.1: here: index 3");
  CHECK(told([] { throw "a text"; }) == "exp.json:3:5: data.augment.1: here: a text");
  CHECK(error_of([&] { located(none, [] { throw 42; }); }) == "threw a value of type int");
  CHECK(located(inner, [] { return 7; }) == 7);
  CHECK_THROWS_AS(located(inner, [] { throw DataError("gone"); }), DataError);
  CHECK_THROWS_WITH_AS(
      located(inner, [] { throw std::bad_alloc(); }),
      (inner + ": there is not enough memory; take smaller batches, a smaller network or fewer images").c_str(),
      std::bad_alloc);
  try {
    located(inner, [&] { placed(here, [] { fail("no"); }); });
  } catch (const Error& error) {
    CHECK(error.located());
    CHECK(error.unlocated() == "here: no");
    CHECK(error.where() == "here");
  }
}

TEST_CASE("classes are named without their namespaces") {
  struct Local {};
  CHECK(class_name(typeid(ConfigError)) == "ConfigError");
  CHECK(class_name(typeid(Local)) == "Local");
  CHECK(class_name(typeid(Box<Error>)) == "Box<az::Error>");
  CHECK(class_name(typeid(int)) == "int");
  const std::unique_ptr<Error> error = std::make_unique<ConfigError>("");
  CHECK(class_of(*error) == "ConfigError");
}

TEST_CASE("names: not empty, UTF-8, without control characters and what the caller forbids") {
  const auto refusal = [](const std::string& name, const char* without = "") {
    return error_of([&] { check_name("thing", name, without); });
  };
  CHECK(refusal("weight") == "no error");
  CHECK(refusal("größe 2*[x]") == "no error");
  CHECK(refusal("a.b") == "no error");
  CHECK(refusal("a.b", "/.") == "thing \"a.b\" cannot be a name: it has a \".\"");
  CHECK(refusal("") == "thing \"\" cannot be a name: it is empty");
  CHECK(refusal("a\nb") == "thing \"a\\x0ab\" cannot be a name: it has a control character");
  CHECK(refusal(std::string("a\0b", 3)) == "thing \"a\\x00b\" cannot be a name: it has a control character");
  CHECK(refusal("a\x7f") == "thing \"a\\x7f\" cannot be a name: it has a control character");
  CHECK(refusal(" ") == "thing \" \" cannot be a name: it begins or ends with a space");
  CHECK(refusal("a ") == "thing \"a \" cannot be a name: it begins or ends with a space");
  CHECK(refusal("\xff\xc3") == "thing \"\\xff\\xc3\" cannot be a name: it is not UTF-8");
  CHECK(refusal("\xed\xa0\x80") == "thing \"\\xed\\xa0\\x80\" cannot be a name: it is not UTF-8");  // half of a surrogate pair
}
