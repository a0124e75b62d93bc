// What was meant by a key that is unknown, what options of one struct are to one another, and paths.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <filesystem>

#include "core/config/json_document.h"
#include "core/config/nearest.h"
#include "core/config/options.h"
#include "tests/compare.h"

using namespace az;
using test::error_of;

TEST_CASE(
    "the nearest name is that of the same letters, of few typing errors, of the initials or the only one it is a part of") {
  const std::vector<std::string> types = {"adam", "adamp", "adamw", "sgd", "sgdp"}, keys = {"lr", "weight_decay", "batch_size"};
  CHECK(config::nearest("AdamW", types) == "adamw");
  CHECK(config::nearest("SGDP", types) == "sgdp");
  CHECK(config::nearest("Adam-P", types) == "adamp");
  CHECK(config::nearest("SGD", types) == "sgd");
  CHECK(config::nearest("CIFAR10", {"cifar10", "cifar100", "shapes"}) == "cifar10");
  CHECK(config::nearest("cifar-100", {"cifar10", "cifar100", "shapes"}) == "cifar100");
  CHECK(config::nearest("BatchNorm", {"batch_norm", "group_norm"}) == "batch_norm");
  CHECK(config::nearest("weight-decay", keys) == "weight_decay");
  CHECK(config::nearest("WeightDecay", keys) == "weight_decay");
  CHECK(config::nearest("learning_rate", keys) == "lr");
  CHECK(config::nearest("wd", keys) == "weight_decay");
  CHECK(config::nearest("decay", keys) == "weight_decay");
  CHECK(config::nearest("batch", keys) == "batch_size");
  CHECK(config::nearest("size", {"batch_size", "kernel_size"}) == std::nullopt);
  CHECK(config::nearest("colour", keys) == std::nullopt);
  // One typing error in up to four letters.
  for (const auto& [word, other] : std::vector<std::array<std::string, 2>>{{"seed", "keep"}, {"peak", "mean"}, {"loss", "log"}})
    CHECK(config::nearest(word, {other}) == std::nullopt);
  CHECK(config::nearest("sead", {"keep", "seed"}) == "seed");
  CHECK(config::nearest("kepe", {"keep", "seed"}) == "keep");
  CHECK(config::nearest("", keys) == std::nullopt);
  CHECK(config::nearest("lr", {}) == std::nullopt);
}

namespace {

struct Optimizer {
  double lr = 1;
  static void fields(auto& f) { f("lr", &Optimizer::lr, "learning rate"); }
};
struct Penalty {
  double l1 = 0;
  static void fields(auto& f) { f("l1", &Penalty::l1, "near lr"); }
};
struct Whole {
  Optimizer optimizer;
  Penalty penalty;
  static void fields(auto& f) {
    f("optimizer", &Whole::optimizer, "how to learn");
    f("penalty", &Whole::penalty, "what for");
  }
};

struct Share {
  double of = 0;
  static void fields(auto& f) { f("of", &Share::of, "a share or a count", config::share_or_count()); }
};

struct Place {
  std::string root = "/";
  static void fields(auto& f) { f("root", &Place::root, "a folder", config::path()); }
};

}  // namespace

TEST_CASE("a key that is known elsewhere goes before one that is near") {
  const auto refusal = [](const std::string& text) {
    return error_of([&] { config::parse<Whole>(config::parse_text(text, "exp.json")); });
  };
  CHECK(refusal(R"({"penalty": {"lr": 1}})") == "exp.json:1:14: penalty.lr: unknown key here; it belongs in \"optimizer\"");
  CHECK(refusal(R"({"penalty": {"l2": 1}})") == "exp.json:1:14: penalty.l2: unknown key; did you mean \"l1\"?");
}

TEST_CASE("a share is below 1, and a count whole, however large it is") {
  const auto refusal = [](const std::string& text) {
    return error_of([&] { config::parse<Share>(config::parse_text("{\"of\": " + text + "}", "exp.json")); });
  };
  for (const char* fine : {"0.5", "1", "2.0", "1e19", "1e300"}) CHECK(refusal(fine) == "no error");
  CHECK(refusal("1.5") == "exp.json:1:8: of: must be below 1, or a whole number, got 1.5");
}

TEST_CASE("a path that counts from a folder whose name is not UTF-8 is refused: a config could not be read back with it") {
  namespace fs = std::filesystem;
  const fs::path before = fs::current_path(), folder = fs::temp_directory_path() / "azimuth_not_utf8_\xff";
  fs::create_directories(folder);
  fs::current_path(folder);
  const auto refusal = [](const std::string& text) {
    return error_of([&] { config::parse<Place>(config::parse_text(text, "exp.json")); });
  };
  const std::string relative = refusal(R"({"root": "data"})"), absolute = refusal(R"({"root": "/data"})");
  fs::current_path(before);
  fs::remove_all(folder);
  CHECK(relative ==
        "exp.json:1:10: root: a config is UTF-8, and the name of the current folder, from which this path counts, is not; give "
        "the "
        "path from the root on");
  CHECK(absolute == "no error");
}

namespace {

struct Related {
  std::optional<double> a = {}, b = {}, c = {};
  static void fields(auto& f) {
    f("a", &Related::a, "first");
    f("b", &Related::b, "second");
    f("c", &Related::c, "third");
    f.some_of({"a", "b"}, "give a or b");
    f.all_or_none({"b", "c"}, "b and c go together");
  }
};

}  // namespace

TEST_CASE("options that are tied to one another: some of them, or all or none, where null is none") {
  const auto refusal = [](const std::string& text) {
    return error_of([&] { config::parse<Related>(config::parse_text(text, "exp.json")); });
  };
  CHECK(refusal(R"({"a": 1})") == "no error");
  CHECK(refusal(R"({"b": 1, "c": 1})") == "no error");
  CHECK(refusal(R"({"a": 1, "b": null, "c": null})") == "no error");
  CHECK(refusal("{}") == "exp.json:1:1: give a or b");
  CHECK(refusal(R"({"a": null, "b": null})") == "exp.json:1:1: give a or b");
  CHECK(refusal(R"({"b": 1})") == "exp.json:1:1: b and c go together");
  CHECK(refusal(R"({"a": 1, "b": 1, "c": null})") == "exp.json:1:1: b and c go together");
  const auto given = [](const std::string& name) {
    return R"({"required": [")" + name + R"("], "properties": {")" + name + R"(": {"not": {"type": "null"}}}})";
  };
  CHECK(config::dump(config::schema<Related>().at("allOf")) ==
        R"([{"anyOf": [)" + given("a") + ", " + given("b") + R"(]}, {"anyOf": [{"allOf": [)" + given("b") + ", " + given("c") +
            R"(]}, {"not": {"anyOf": [)" + given("b") + ", " + given("c") + "]}}]}]");
}

namespace {

struct Needing {
  bool mirror = false, smooth = true, fine = true;
  std::optional<double> limit = {};
  double share = 0.5;
  std::optional<int64_t> count = {};
  std::vector<int64_t> sides = {3};
  static void fields(auto& f) {
    f("mirror", &Needing::mirror, "off unless given");
    f("smooth", &Needing::smooth, "on unless given");
    f("fine", &Needing::fine, "a boolean that is needed");
    f("limit", &Needing::limit, "null is none");
    f("share", &Needing::share, "a number", config::at_least(0));
    f("count", &Needing::count, "null is none");
    f("sides", &Needing::sides, "a list");
    f.needs("mirror", {{"share", {config::one_of({0.5})}}, {"fine", {config::one_of({true})}}}, "mirror needs half");
    f.needs("smooth", {{"sides", {config::at_least(2), config::elements(1, 2)}}}, "smooth needs sides");
    f.needs("limit", {{"count", {config::more_than(0)}}}, "limit needs count");
  }
};

}  // namespace

TEST_CASE("options that need others to be given and to keep to rules, where they are neither null nor false") {
  const auto refusal = [](const std::string& text) {
    return error_of([&] { config::parse<Needing>(config::parse_text(text, "exp.json")); });
  };
  for (const char* right : {"{}", R"({"mirror": false, "share": 0.3, "fine": false})", R"({"mirror": true})",
                            R"({"mirror": true, "share": 5e-1})", R"({"smooth": false, "sides": [1]})", R"({"sides": [2, 7]})",
                            R"({"limit": null, "count": 0})", R"({"limit": 0, "count": 1})"}) {
    CAPTURE(right);
    CHECK(refusal(right) == "no error");
  }
  CHECK(refusal(R"({"mirror": true, "share": 0.4})") == "exp.json:1:1: mirror needs half");
  CHECK(refusal(R"({"mirror": true, "fine": false})") == "exp.json:1:1: mirror needs half");
  CHECK(refusal(R"({"sides": [1]})") == "exp.json:1:1: smooth needs sides");
  CHECK(refusal(R"({"smooth": true, "sides": []})") == "exp.json:1:1: smooth needs sides");
  CHECK(refusal(R"({"sides": [2, 3, 4]})") == "exp.json:1:1: smooth needs sides");
  CHECK(refusal(R"({"limit": 0})") == "exp.json:1:1: limit needs count");
  CHECK(refusal(R"({"limit": 1, "count": null})") == "exp.json:1:1: limit needs count");
  CHECK(refusal(R"({"limit": 1, "count": 0})") == "exp.json:1:1: limit needs count");
  CHECK(error_of([] { config::checked("own", Needing{.mirror = true, .share = 0.4}); }) == "own: mirror needs half");

  const std::string table = config::describe<Needing>();
  CHECK(table.find("needs share 0.5 and fine true") != std::string::npos);
  CHECK(table.find("needs sides at least 2, 1 to 2 elements") != std::string::npos);
  const config::Value relations = config::schema<Needing>().at("allOf");
  CHECK(config::dump(relations.as_array()[0]) ==
        R"({"if": {"properties": {"mirror": {"not": {"enum": [null, false]}}}, "required": ["mirror"]}, )"
        R"("then": {"properties": {"share": {"type": "number", "enum": [0.5], "not": {"type": "null"}}, )"
        R"("fine": {"type": "boolean", "enum": [true], "not": {"type": "null"}}}}})");
  CHECK_FALSE(relations.as_array()[1].at("if").find("required"));  // it is on where it is not given
  CHECK(config::dump(relations.as_array()[2].at("then").at("required")) == R"(["count"])");
}

namespace {

struct Group {
  double lr_factor = 1;
  static void fields(auto& f) { f("lr_factor", &Group::lr_factor, "of the rate"); }
};
struct Rates {
  double lr = 1;
  std::vector<Group> groups;
  static void fields(auto& f) {
    f("lr", &Rates::lr, "learning rate");
    f("groups", &Rates::groups, "that differ");
  }
};

struct Meant {
  double lr = 1;
  std::optional<double> clip = {};
  int64_t steps = 1;
  std::vector<double> betas = {0.9, 0.999};
  std::optional<std::vector<double>> mean = {};
  std::string mode = "none";
  std::optional<std::string> kind = {};
  static void fields(auto& f) {
    f("lr", &Meant::lr, "a rate");
    f("clip", &Meant::clip, "a limit", config::more_than(0));
    f("steps", &Meant::steps, "a count");
    f("betas", &Meant::betas, "two shares", config::at_least(0), config::elements(2, 2));
    f("mean", &Meant::mean, "of channels", config::elements(1, INT64_MAX, "give one number for each channel"));
    f("mode", &Meant::mode, "a choice", config::one_of({"none", "flip"}));
    f("kind", &Meant::kind, "another", config::one_of({"norm", "bias"}));
  }
};

}  // namespace

TEST_CASE("what is no number, no value or no list is refused with what to write, in a file and behind --set") {
  const auto in_file = [](const std::string& key, const std::string& value) {
    const std::string text = "{\"" + key + "\": " + value + "}";
    return error_of([&] { config::parse<Meant>(config::parse_text(text, "e.json")); });
  };
  const auto by_set = [](const std::string& key, const std::string& value) {
    config::Value root(config::Value::Object{});
    return error_of([&] {
      config::set_path(root, key, value);
      config::parse<Meant>(root);
    });
  };
  for (const char* word : {"nan", "NaN", "-inf", "Infinity"}) {
    const std::string told = fmt::format("JSON has no {}; write a finite number", word);
    CHECK(test::has(in_file("lr", word), told));
    for (const char* key : {"lr", "clip", "steps"}) CHECK(test::has(by_set(key, word), told));
    CHECK(test::has(in_file("lr", fmt::format("\"{}\"", word)), told));
  }
  CHECK(by_set("lr", "None") == "--set lr: expected a number, got \"None\"; JSON writes null, not None");
  CHECK(by_set("clip", "None") == "--set clip: expected a number or null, got \"None\"; write null");
  CHECK(in_file("clip", "\"None\"") == "e.json:1:10: clip: expected a number or null, got \"None\"; write null without quotes");
  CHECK(by_set("kind", "nil") == "--set kind: expected a string or null, got \"nil\"; write null");
  CHECK(by_set("mode", "none") == "no error");
  CHECK(in_file("betas", "0.9") ==
        "e.json:1:11: betas: expected a list of 2 numbers, got 0.9; write them in brackets, with commas between them");
  CHECK(in_file("mean", "0.5") == "e.json:1:10: mean: expected a list, got 0.5; give one number for each channel");
  for (const char* value : {"true", "1", "[]"}) {
    const std::string told = fmt::format("mode: expected one of \"none\", \"flip\", got {}", *value == '[' ? "a list" : value);
    CHECK(test::has(in_file("mode", value), told));
  }
}

TEST_CASE("a program's options that are infinite or no number are refused as what they are") {
  const auto refusal = [](const Meant& options) { return error_of([&] { config::checked("own", options); }); };
  CHECK(refusal({.lr = -1e308}) == "no error");
  CHECK(refusal({.lr = NAN}) == "own.lr: expected a finite number, got NaN");
  CHECK(refusal({.lr = INFINITY}) == "own.lr: expected a finite number, got infinity");
  CHECK(refusal({.clip = INFINITY}) == "own.clip: expected a finite number, got infinity");
  CHECK(refusal({.betas = {0.9, -INFINITY}}) == "own.betas.1: expected a finite number, got -infinity");
}

TEST_CASE("a key whose beginning is known elsewhere is told both what begins so here and where it belongs") {
  CHECK(error_of([] { config::parse<Rates>(config::parse_text(R"({"groups": [{"lr": 1}]})", "e.json")); }) ==
        "e.json:1:14: groups.0.lr: unknown key here; did you mean \"lr_factor\"? \"lr\" itself belongs in the top level");
}

TEST_CASE("a path that begins with the shell's ~ is refused, wherever the option stands") {
  for (const char* path : {"~", "~/data"})
    CHECK(error_of([&] {
            config::parse<Place>(config::Value(config::Value::Object{{"root", path}}));
          }) == fmt::format("root: \"{}\": the shell did not replace ~; write the folder in full", path));
  CHECK(config::parse<Place>(config::Value(config::Value::Object{{"root", "/a/~/b"}})).root == "/a/~/b");
}
