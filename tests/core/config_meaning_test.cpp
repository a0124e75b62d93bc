// What was meant by a key that is unknown, what options of one struct are to one another, and paths.
#include <doctest/doctest.h>

#include <array>
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
