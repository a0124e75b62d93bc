#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "core/config/json_document.h"

using namespace az;
using config::parse_text;
using config::Value;

namespace {

// The message of the error that reading the text gives.
std::string error_of(const std::string& text) {
  try {
    parse_text(text, "a.json");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

std::string set_error(const std::string& path, const std::string& text) {
  Value root = parse_text(R"({"name": "x", "list": [{"a": 1}, 2]})", "a.json");
  try {
    config::set_path(root, path, text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error: " + config::dump(root);
}

}  // namespace

TEST_CASE("JSON values and keys know where they start") {
  Value root = parse_text(
      "{\n"
      "  \"a\": -1.5e3,\n"
      "  \"b\\\"}\": [1,22 , {\"c\":null}, \"x\\\\\"],\n"
      "\t\"h\xC3\xA9\": true, \"d\": {}\n"
      "}",
      "a.json");
  CHECK(root.position().text() == "a.json:1:1");
  CHECK(root.as_object()[0].position.text() == "a.json:2:3");
  CHECK(root.at("a").position().text() == "a.json:2:8");
  CHECK(root.as_object()[1].position.text() == "a.json:3:3");
  const Value& list = root.at("b\"}");
  CHECK(list.position().text() == "a.json:3:11");
  CHECK(list.as_array()[0].position().text() == "a.json:3:12");
  CHECK(list.as_array()[1].position().text() == "a.json:3:14");
  CHECK(list.as_array()[2].as_object()[0].position.text() == "a.json:3:20");
  CHECK(list.as_array()[2].at("c").position().text() == "a.json:3:24");
  CHECK(list.as_array()[3].position().text() == "a.json:3:31");
  CHECK(root.at("h\xC3\xA9").position().text() == "a.json:4:8");
  // Columns count characters, not bytes.
  CHECK(root.as_object()[3].position.text() == "a.json:4:14");
  CHECK(root.at("d").position().text() == "a.json:4:19");
}

TEST_CASE("JSON values keep their types and exact integers") {
  Value list = parse_text("[9223372036854775807, -9223372036854775808, 1.0, \"\\u00e9\\n\", false, null]", "a.json");
  CHECK(list.as_array()[0].as_int() == INT64_MAX);
  CHECK(list.as_array()[1].as_int() == INT64_MIN);
  CHECK(!list.as_array()[2].is_int());
  CHECK(list.as_array()[2].as_double() == 1.0);
  CHECK(list.as_array()[3].as_string() == "\xC3\xA9\n");
  CHECK(list.as_array()[4].as_bool() == false);
  CHECK(list.as_array()[5].is_null());
  CHECK(parse_text("\xEF\xBB\xBF{\"a\": 7}", "a.json").at("a").as_int() == 7);
  CHECK(parse_text("\xEF\xBB\xBF{\"a\": 7}", "a.json").at("a").position().text() == "a.json:1:7");
  CHECK_THROWS_WITH(list.as_array()[2].as_int(), "a.json:1:45: expected an integer, got 1.0");
  CHECK_THROWS_WITH(list.at("x"), "a.json:1:1: expected an object, got a list");
}

TEST_CASE("keys that are there twice, and nesting without end, are refused with their place") {
  CHECK(error_of("{\"a\": 1,\n  \"b\": {\"c\": 1, \"d\": 2,\n \"c\": 3}}") ==
        "a.json:3:2: b.c: duplicate key; remove it, or the one in line 2");
  CHECK(error_of("[[1, {\"a\": [1, {\"b\": 1, \"b\": 2}]}]]") ==
        "a.json:1:25: 0.1.a.1.b: duplicate key; remove it, or the one in line 1");
  CHECK(error_of(std::string(200, '[') + std::string(200, ']')) == "no error");
  CHECK(error_of(std::string(201, '[')) == "a.json:1:201: more than 200 levels deep");
  CHECK(error_of(std::string(1'000'000, '[')) == "a.json:1:201: more than 200 levels deep");
}

TEST_CASE("numbers at the limits are what they say, or refused") {
  const auto number = [](const std::string& text) { return parse_text("[" + text + "]", "a.json").as_array()[0]; };
  CHECK(number("9223372036854775807").as_int() == INT64_MAX);
  CHECK(number("9223372036854775808").as_double() == 0x1p63);
  CHECK(number("18446744073709551616").as_double() == 0x1p64);
  CHECK(number("-9223372036854775809").as_double() == -0x1p63);
  CHECK(number("100000000000000000000000").as_double() == 1e23);
  CHECK(number("1.7976931348623157e308").as_double() == std::numeric_limits<double>::max());
  CHECK(number("4.9406564584124654e-324").as_double() == std::numeric_limits<double>::denorm_min());
  CHECK(number("0." + std::string(1000, '3')).as_double() == 1.0 / 3);
  for (const char* zero : {"0", "-0", "0.0", "-0.0e0", "0e999", "0.000e-999"}) CHECK(number(zero).as_double() == 0);

  CHECK(number("2.0").whole() == 2);
  CHECK(number("1e2").whole() == 100);
  CHECK(number("-0.0").whole() == 0);
  CHECK(number("9007199254740993").whole() == 9007199254740993);
  CHECK(number("-9.223372036854775808e18").whole() == INT64_MIN);
  CHECK(number("9223372036854775808").whole() == std::nullopt);
  CHECK(number("2.5").whole() == std::nullopt);
  CHECK(number("1e300").whole() == std::nullopt);
  CHECK(number("\"2\"").whole() == std::nullopt);
}

TEST_CASE("files that cannot be read, or hold too much, are refused") {
  CHECK_THROWS_WITH_AS(config::parse_file("nowhere/exp.json"), "nowhere/exp.json: cannot be read; is the path right?",
                       ConfigError);
  CHECK_THROWS_WITH_AS(config::parse_file("tests"), "tests: is a folder; give the JSON file", ConfigError);
  CHECK_THROWS_WITH_AS(config::parse_file("/dev/zero"), "/dev/zero: is larger than 64 MiB; is it the right file?", ConfigError);
}

TEST_CASE("JSON text reads back to the same value") {
  Value value;
  value["tenth"] = 0.1;
  value["one"] = 1.0;
  value["tiny"] = std::numeric_limits<double>::denorm_min();
  value["largest"] = std::numeric_limits<double>::max();
  value["integer"] = INT64_MIN;
  value["size"] = sizeof(int64_t);
  value["text"] = "a\"\\\n\t\x01 \xC3\xA9";
  value["flags"].push_back(true);
  value["flags"].push_back(nullptr);
  value["nested"]["list"].push_back(Value::Object{{"k", 1}});
  value["nested"]["empty"] = Value::Object{};
  value["nested"]["none"] = Value::Array{};
  CHECK(parse_text(config::dump(value), "a.json") == value);
  CHECK(parse_text(config::dump(value, 2), "a.json") == value);
  CHECK(config::dump(Value(Value::Object{{"a", 0.1}, {"b", Value::Array{1, "x"}}})) == R"({"a": 0.1, "b": [1, "x"]})");
  CHECK(config::dump(value.at("nested"), 2) ==
        "{\n  \"list\": [\n    {\n      \"k\": 1\n    }\n  ],\n  \"empty\": {},\n  \"none\": []\n}");
  CHECK(config::dump(Value(std::nan(""))) == "null");
  CHECK(config::dump(Value(-std::numeric_limits<double>::infinity())) == "null");
}

TEST_CASE("--set replaces and adds values by path") {
  Value root =
      parse_text(R"({"optimizer": {"type": "sgd", "lr": 0.1}, "augment": [{"padding": 4}], "schedule": null})", "a.json");
  config::set_path(root, "optimizer.lr", "0.05");
  config::set_path(root, "optimizer.type", "adamw");
  config::set_path(root, "augment.0.padding", "2");
  config::set_path(root, "train.epochs", "3");
  config::set_path(root, "schedule.milestones", "[1, 2]");
  config::set_path(root, "name", "3x");
  config::set_path(root, "data", "{\"type\": \"cifar10\"}");
  CHECK(config::dump(root) ==
        R"({"optimizer": {"type": "adamw", "lr": 0.05}, "augment": [{"padding": 2}], )"
        R"("schedule": {"milestones": [1, 2]}, "train": {"epochs": 3}, "name": "3x", "data": {"type": "cifar10"}})");
  CHECK(root.at("optimizer").at("lr").position().text() == "--set optimizer.lr");
  CHECK(root.at("data").at("type").position().text() == "--set data");
  CHECK(root.at("train").position().text() == "--set train.epochs");
  CHECK(root.at("optimizer").position().text() == "a.json:1:15");
}

TEST_CASE("one --set does not undo another") {
  Value root = parse_text(R"({"optimizer": {"lr": 1}})", "a.json");
  config::set_path(root, "optimizer.lr", "0.1");
  config::set_path(root, "optimizer.lr", "0.2");
  CHECK_THROWS_WITH_AS(config::set_path(root, "optimizer", R"({"type": "sgd"})"),
                       "--set optimizer: would undo --set optimizer.lr; put it before that, or leave one out", ConfigError);
  Value other = parse_text("{}", "a.json");
  config::set_path(other, "optimizer", R"({"type": "sgd", "lr": 1})");
  config::set_path(other, "optimizer.lr", "0.1");
  CHECK(config::dump(other) == R"({"optimizer": {"type": "sgd", "lr": 0.1}})");
}

TEST_CASE("--set errors name the path") {
  CHECK(set_error("list.2.a", "1") == "--set list.2.a: \"2\" is no index into a list of 2; the first is 0");
  CHECK(set_error("list.a", "1") == "--set list.a: \"a\" is no index into a list of 2; the first is 0");
  CHECK(set_error("list.-1", "1") == "--set list.-1: \"-1\" is no index into a list of 2; the first is 0");
  CHECK(set_error("list.1.a", "1") == "--set list.1.a: list.1 is 2, not an object");
  CHECK(set_error("name.a.b", "1") == "--set name.a.b: name is \"x\", not an object");
  CHECK(set_error("a..b", "1") == "--set a..b: the path has an empty part; write it as in optimizer.lr");
  CHECK(set_error("", "1").starts_with("--set : the path has an empty part"));
  CHECK(set_error("name", "{\"a\": 1, \"a\": 2}").starts_with("--set name:1:10: a: duplicate key"));
  CHECK(set_error("name", "[1, 2") ==
        "--set name:1:6: the text ends here, but the [ of line 1, column 1 is still open; add a ]");
  CHECK(set_error("augment.5.padding", "1") ==
        "--set augment.5.padding: there is no list at augment yet; give it whole: augment=[...]");
  CHECK(set_error("data.augment.0", "{}") ==
        "--set data.augment.0: there is no list at data.augment yet; give it whole: "
        "data.augment=[...]");
  CHECK(set_error("list.00.a", "1") == "--set list.00.a: \"00\" is no index into a list of 2; the first is 0");
  std::string deep = "a";
  for (int i = 0; i < 50'000; ++i) deep += ".a";
  CHECK(set_error(deep, "1").ends_with(": more than 200 levels deep"));
}
