#include <doctest/doctest.h>
#include <fmt/core.h>

#include <array>
#include <filesystem>

#include "core/config/json_document.h"
#include "core/config/options.h"

using namespace az;
using config::Value;

namespace {

struct GroupOptions {
  std::string kind = "any";
  std::optional<double> weight_decay;
  static void fields(auto& f) {
    f("kind", &GroupOptions::kind, "which parameters", config::one_of({"any", "norm", "bias"}));
    f("weight_decay", &GroupOptions::weight_decay, "overrides the decay", config::at_least(0));
  }
};

struct BaseOptions {
  double lr = 0.1;
  static void fields(auto& f) { f("lr", &BaseOptions::lr, "learning rate", config::required(), config::more_than(0)); }
};

struct OptimizerOptions : BaseOptions {
  double momentum = 0.9;
  bool nesterov = false;
  std::vector<int64_t> milestones = {80, 120};
  std::vector<GroupOptions> groups;
  static void fields(auto& f) {
    BaseOptions::fields(f);
    f("momentum", &OptimizerOptions::momentum, "share of the last step", config::at_least(0), config::less_than(1));
    f("nesterov", &OptimizerOptions::nesterov, "look ahead");
    f("milestones", &OptimizerOptions::milestones, "epochs", config::at_least(1));
    f("groups", &OptimizerOptions::groups, "parameter groups");
  }
  void validate() const {
    if (nesterov && momentum == 0) config::invalid("nesterov needs momentum");
  }
};

struct TrainOptions {
  int64_t epochs = 1;
  std::optional<int64_t> threads;
  static void fields(auto& f) {
    f("epochs", &TrainOptions::epochs, "passes over the data", config::at_least(0), config::at_most(1000));
    f("threads", &TrainOptions::threads, "number of threads", config::at_least(1));
  }
};

struct ExperimentOptions {
  std::string name = "run";
  OptimizerOptions optimizer;
  TrainOptions train{.epochs = 30, .threads = 4};
  static void fields(auto& f) {
    f("name", &ExperimentOptions::name, "name of the run");
    f("optimizer", &ExperimentOptions::optimizer, "how to learn");
    f("train", &ExperimentOptions::train, "how long");
  }
};

ExperimentOptions parse(const std::string& text) {
  return config::parse<ExperimentOptions>(config::parse_text(text, "exp.json"));
}

std::string error_of(const std::string& text) {
  try {
    parse(text);
  } catch (const ConfigError& error) {
    CHECK(error.code() == Exit::config);
    return error.what();
  }
  return "no error";
}

// An experiment whose optimizer has these further members, from line 2, column 3.
std::string optimizer_error(const std::string& members) { return error_of("{\"optimizer\": {\"lr\": 1,\n  " + members + "}}"); }

}  // namespace

TEST_CASE("options are read over their defaults") {
  auto options = parse(
      R"({"optimizer": {"lr": 1, "milestones": [5], "groups": [{"kind": "norm", "weight_decay": 0}, {}]}, "train": {"threads": 2}})");
  CHECK(options.name == "run");
  CHECK(options.optimizer.lr == 1.0);
  CHECK(options.optimizer.momentum == 0.9);
  CHECK(options.optimizer.milestones == std::vector<int64_t>{5});
  REQUIRE(options.optimizer.groups.size() == 2);
  CHECK(options.optimizer.groups[0].kind == "norm");
  CHECK(options.optimizer.groups[0].weight_decay == 0.0);
  CHECK(!options.optimizer.groups[1].weight_decay);
  CHECK(options.train.epochs == 30);
  CHECK(options.train.threads == 2);
  options = parse(R"({"optimizer": {"lr": 1}, "train": {"epochs": 1000, "threads": null}})");
  CHECK(options.train.epochs == 1000);
  CHECK(!options.train.threads);
}

TEST_CASE("an unknown key is reported at the key, with the nearest known one") {
  CHECK(optimizer_error(R"("momentun": 0.9)") == "exp.json:2:3: optimizer.momentun: unknown key; did you mean \"momentum\"?");
  CHECK(optimizer_error(R"("momnetum": 0.9)") == "exp.json:2:3: optimizer.momnetum: unknown key; did you mean \"momentum\"?");
  CHECK(optimizer_error(R"("rl": 0.9)") == "exp.json:2:3: optimizer.rl: unknown key; did you mean \"lr\"?");
  CHECK(optimizer_error(R"("groups": [{}, {"knd": "any"}])") ==
        "exp.json:2:19: optimizer.groups.1.knd: unknown key; did you mean \"kind\"?");
  CHECK(optimizer_error(R"("Momentum": 0.9)") == "exp.json:2:3: optimizer.Momentum: unknown key; did you mean \"momentum\"?");
  CHECK(error_of(R"({"color": 1})") == "exp.json:1:2: color: unknown key (known: \"name\", \"optimizer\", \"train\")");
}

TEST_CASE("a value of the wrong type is reported at the value, with what to write") {
  const std::vector<std::array<std::string, 2>> table = {
      {R"("momentum": "0.9")", R"(15: optimizer.momentum: expected a number, got "0.9"; write 0.9 without quotes)"},
      {R"("momentum": ".9")", R"(15: optimizer.momentum: expected a number, got ".9"; write 0.9 without quotes)"},
      {R"("momentum": "much")", R"(15: optimizer.momentum: expected a number, got "much")"},
      {R"("momentum": "true")", R"(15: optimizer.momentum: expected a number, got "true")"},
      {R"("momentum": null)", "15: optimizer.momentum: expected a number, got null; leave the key out for its default"},
      {R"("lr": null)", "9: optimizer.lr: expected a number, got null"},
      {R"("nesterov": 1)", "15: optimizer.nesterov: expected true or false, got 1; write true"},
      {R"("nesterov": 2)", "15: optimizer.nesterov: expected true or false, got 2"},
      {R"("nesterov": "True")", R"(15: optimizer.nesterov: expected true or false, got "True"; write true without quotes)"},
      {R"("milestones": 80)", "17: optimizer.milestones: expected a list, got 80; write it in brackets: [80]"},
      {R"("milestones": {})", "17: optimizer.milestones: expected a list, got an object"},
      {R"("milestones": "80")", R"(17: optimizer.milestones: expected a list, got "80"; write it in brackets: [80])"},
      {R"("milestones": "late")", R"(17: optimizer.milestones: expected a list, got "late")"},
      {R"("milestones": 1.5)", R"(17: optimizer.milestones: expected a list, got 1.5)"},
      {R"("groups": {"kind": "norm"})", "13: optimizer.groups: expected a list, got an object; write it in brackets: [{...}]"},
      {R"("groups": "norm")", R"(13: optimizer.groups: expected a list, got "norm")"},
      {R"("milestones": ["1.5"])", R"(18: optimizer.milestones.0: expected an integer, got "1.5")"},
      {R"("momentum": "1e400")", R"(15: optimizer.momentum: expected a number, got "1e400"; it is too large or too small)"},
      {R"("milestones": null)",
       "17: optimizer.milestones: expected a list of integers, got null; leave the key out for its default"},
      {R"("milestones": [80, 1.5])", "22: optimizer.milestones.1: expected an integer, got 1.5"},
      {R"("milestones": [null])", "18: optimizer.milestones.0: expected an integer, got null"},
      {R"("milestones": ["80"])", R"(18: optimizer.milestones.0: expected an integer, got "80"; write 80 without quotes)"},
      {R"("milestones": [1e30])",
       "18: optimizer.milestones.0: expected an integer, got 1e+30, which does not fit into 64 bits"},
      {R"("milestones": [9223372036854775808])",
       "18: optimizer.milestones.0: expected an integer, got 9.223372036854776e+18, which does not fit into 64 bits"},
      {R"("groups": ["norm"])", R"(14: optimizer.groups.0: expected an object, got "norm")"},
  };
  for (const auto& [members, message] : table) {
    const std::string without_lr = error_of("{\"optimizer\": {\n  " + members + "}}");
    CHECK((members.starts_with("\"lr\"") ? without_lr : optimizer_error(members)) == "exp.json:2:" + message);
  }
  CHECK(error_of(R"({"name": ["a"]})") == "exp.json:1:10: name: expected a string, got a list");
  CHECK(error_of(R"({"name": 5})") == R"(exp.json:1:10: name: expected a string, got 5; put it in double quotes: "5")");
  CHECK(error_of(R"({"name": "a\u0000b"})") == "exp.json:1:10: name: a string cannot hold the character \\u0000; remove it");
  CHECK(error_of(R"({"train": {"threads": {}}, "optimizer": {"lr": 1}})") ==
        "exp.json:1:23: train.threads: expected an integer, got an object");
  CHECK(error_of("[]") == "exp.json:1:1: expected an object, got a list");
}

TEST_CASE("a whole number is an integer, however it is written") {
  CHECK(parse(R"({"optimizer": {"lr": 1}, "train": {"epochs": 2.0, "threads": 1e1}})").train.epochs == 2);
  CHECK(parse(R"({"optimizer": {"lr": 1}, "train": {"epochs": 2.0, "threads": 1e1}})").train.threads == 10);
  CHECK(config::dump(config::to_value(parse(R"({"optimizer": {"lr": 1, "milestones": [0.5e1]}})").optimizer.milestones)) ==
        "[5]");
  CHECK(parse(R"({"optimizer": {"lr": 123456789012345678901234567890}})").optimizer.lr == 123456789012345678901234567890.0);
}

TEST_CASE("a message is one line of sensible length, whatever stands in the config") {
  const std::string long_word(100'000, 'x');
  CHECK(error_of("{\"" + long_word + "\": 1}").size() < 400);
  CHECK(error_of("{\"train\": {\"epochs\": \"" + long_word + "\"}}").size() < 200);
  CHECK(optimizer_error("\"groups\": [{\"kind\": \"" + long_word + "\"}]").size() < 300);
  CHECK(error_of(R"({"a\nb\u001b[31m": 1})") ==
        R"(exp.json:1:2: a\nb\u001b[31m: unknown key (known: "name", "optimizer", "train"))");
}

TEST_CASE("an option that is a string takes what --set gives as it was typed") {
  const auto set = [](const std::string& path, const std::string& text) {
    Value root = config::parse_text(R"({"optimizer": {"lr": 1}})", "exp.json");
    config::set_path(root, path, text);
    return config::parse<ExperimentOptions>(root);
  };
  const auto complaint = [&](const std::string& path, const std::string& text) -> std::string {
    try {
      set(path, text);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no error";
  };
  for (const char* text : {"123", "1.10", "007", "1e400", "1e-400", "true", "True", "-0", "x"})
    CHECK(set("name", text).name == text);
  CHECK(set("name", "\"123\"").name == "123");
  CHECK(set("optimizer.groups", R"([{"kind": "any"}])").optimizer.groups.size() == 1);
  CHECK(complaint("name", "null") == "--set name: expected a string, got null; leave the key out for its default");
  CHECK(complaint("name", "[1]") ==
        "--set name: expected a string, got a list; for this very text, write it in quotes: '\"[1]\"'");
  CHECK(complaint("optimizer.groups", R"([{"kind": 1}])") ==
        R"(--set optimizer.groups: optimizer.groups.0.kind: expected one of "any", "norm", "bias", got 1)");
  CHECK(complaint("optimizer.lr", "fast") == R"(--set optimizer.lr: expected a number, got "fast")");
  CHECK(complaint("optimizer.lr", "0,1") == R"(--set optimizer.lr: expected a number, got "0,1"; write 0.1)");
  CHECK(complaint("optimizer.lr", "1/3") == R"(--set optimizer.lr: expected a number, got "1/3"; write what it comes to)");
  CHECK(complaint("optimizer.lr", ".1") == R"(--set optimizer.lr: expected a number, got ".1"; write 0.1)");
  CHECK(complaint("optimizer.lr", "1e400") ==
        R"(--set optimizer.lr: expected a number, got "1e400"; it is too large or too small)");
  CHECK(complaint("optimizer.lr", "\"0.1\"") ==
        R"(--set optimizer.lr: expected a number, got "0.1"; write 0.1 without quotes)");
  CHECK(complaint("optimizer.lr", "\".1\"") == R"(--set optimizer.lr: expected a number, got ".1"; write 0.1 without quotes)");
  CHECK(complaint("optimizer.lr", "\"1e400\"") ==
        R"(--set optimizer.lr: expected a number, got "1e400"; it is too large or too small)");
  CHECK(complaint("optimizer.lr", "nan") ==
        R"(--set optimizer.lr: expected a number, got "nan"; JSON has no nan; write a finite number)");
  CHECK(complaint("train.epochs", "\"3\"") == R"(--set train.epochs: expected an integer, got "3"; write 3 without quotes)");
  CHECK(complaint("optimizer.nesterov", "\"true\"") ==
        R"(--set optimizer.nesterov: expected true or false, got "true"; write true without quotes)");
  CHECK(complaint("optimizer.nesterov", "True") ==
        R"(--set optimizer.nesterov: expected true or false, got "True"; write true)");
  CHECK(complaint("optimizer.milestones", "80") ==
        "--set optimizer.milestones: expected a list, got 80; write it in brackets: [80]");
}

TEST_CASE("a value out of range is reported with the range") {
  CHECK(optimizer_error(R"("momentum": 1)") == "exp.json:2:15: optimizer.momentum: must be less than 1, got 1");
  CHECK(optimizer_error(R"("momentum": -0.5)") == "exp.json:2:15: optimizer.momentum: must be at least 0, got -0.5");
  CHECK(error_of(R"({"optimizer": {"lr": 0}})") == "exp.json:1:22: optimizer.lr: must be more than 0, got 0");
  CHECK(optimizer_error(R"("milestones": [0])") == "exp.json:2:18: optimizer.milestones.0: must be at least 1, got 0");
  CHECK(error_of(R"({"train": {"epochs": 1001}})") == "exp.json:1:22: train.epochs: must be at most 1000, got 1001");
  CHECK(error_of(R"({"train": {"threads": 0}})") == "exp.json:1:23: train.threads: must be at least 1, got 0");
  CHECK(optimizer_error(R"("groups": [{"kind": "nrom"}])") ==
        "exp.json:2:23: optimizer.groups.0.kind: must be one of \"any\", \"norm\", \"bias\", got \"nrom\"; did you mean "
        "\"norm\"?");
}

TEST_CASE("a key that another object has is told where it belongs") {
  CHECK(error_of(R"({"lr": 1})") == "exp.json:1:2: lr: unknown key here; it belongs in \"optimizer\"");
  CHECK(optimizer_error(R"("epochs": 1)") == "exp.json:2:3: optimizer.epochs: unknown key here; it belongs in \"train\"");
  CHECK(error_of(R"({"train": {"name": "x"}})") == "exp.json:1:12: train.name: unknown key here; it belongs in the top level");
  CHECK(error_of(R"({"epoch": 1})") == "exp.json:1:2: epoch: unknown key here; did you mean \"train.epochs\"?");
  // Nothing that has nothing but its length in common with a name.
  CHECK(error_of(R"({"peak": 1})") == R"(exp.json:1:2: peak: unknown key (known: "name", "optimizer", "train"))");
  // Where it may have been meant here, it was.
  CHECK(error_of(R"({"train": {"epoch": 1}})") == "exp.json:1:12: train.epoch: unknown key; did you mean \"epochs\"?");
}

TEST_CASE("a required key that is missing is reported at its object") {
  CHECK(error_of("{\n \"optimizer\": {\"momentum\": 0}}") == "exp.json:2:15: optimizer.lr: required key is missing");
  CHECK(error_of("{}") == "exp.json:1:1: optimizer.lr: required key is missing");
}

TEST_CASE("what validate() refuses is reported at the object") {
  CHECK(optimizer_error(R"("nesterov": true, "momentum": 0)") == "exp.json:1:15: optimizer: nesterov needs momentum");
  OptimizerOptions options;
  options.nesterov = true;
  options.momentum = 0;
  CHECK_THROWS_WITH_AS(options.validate(), "nesterov needs momentum", ConfigError);
}

TEST_CASE("a bad --set value is reported by its path") {
  Value root = config::parse_text(R"({"optimizer": {"lr": 1}})", "exp.json");
  auto error_with = [&](const std::string& path, const std::string& text) -> std::string {
    Value changed = root;
    config::set_path(changed, path, text);
    try {
      config::parse<ExperimentOptions>(changed);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no error";
  };
  CHECK(error_with("optimizer.lr", "-1") == "--set optimizer.lr: must be more than 0, got -1");
  CHECK(error_with("optimizer.momentun", "0") == "--set optimizer.momentun: unknown key; did you mean \"momentum\"?");
  CHECK(error_with("optimizer", "{\"lr\": -1}") == "--set optimizer: optimizer.lr: must be more than 0, got -1");
  CHECK(error_with("name", "plain words") == "no error");
}

TEST_CASE("resolved options read back to the same") {
  auto options = parse(R"({"optimizer": {"lr": 0.3, "groups": [{"kind": "bias"}]}, "name": "x"})");
  Value resolved = config::to_value(options);
  CHECK(config::dump(resolved) ==
        R"({"name": "x", "optimizer": {"lr": 0.3, "momentum": 0.9, "nesterov": false, "milestones": [80, 120], )"
        R"("groups": [{"kind": "bias", "weight_decay": null}]}, "train": {"epochs": 30, "threads": 4}})");
  CHECK(config::to_value(config::parse<ExperimentOptions>(config::parse_text(config::dump(resolved, 2), "x"))) == resolved);
}

TEST_CASE("describe lists nested options with types, defaults and ranges") {
  CHECK(config::describe<ExperimentOptions>() ==
        R"(  name                             string            "run"                                     name of the run
  optimizer                        object                                                      how to learn
  optimizer.lr                     number            (required)  more than 0                   learning rate
  optimizer.momentum               number            0.9         at least 0, less than 1       share of the last step
  optimizer.nesterov               boolean           false                                     look ahead
  optimizer.milestones             list of integers  [80, 120]   at least 1                    epochs
  optimizer.groups                 list of objects   []                                        parameter groups
  optimizer.groups[].kind          string            "any"       one of "any", "norm", "bias"  which parameters
  optimizer.groups[].weight_decay  number or null    null        at least 0                    overrides the decay
  train                            object                                                      how long
  train.epochs                     integer           30          at least 0, at most 1000      passes over the data
  train.threads                    integer or null   4           at least 1                    number of threads
)");
}

namespace {

struct OpenOptions {
  Value::Object set = {{"a.b", 1}};
  static void fields(auto& f) { f("set", &OpenOptions::set, "anything"); }
};

}  // namespace

TEST_CASE("an object of any keys keeps them in order, with their positions") {
  const auto options = config::parse<OpenOptions>(config::parse_text("{\"set\": {\"z\": [1],\n \"a.b\": null}}", "f"));
  REQUIRE(options.set.size() == 2);
  CHECK(options.set[0].key == "z");
  CHECK(options.set[1].position.text() == "f:2:2");
  CHECK(options.set[0].value.position().text() == "f:1:15");
  CHECK(config::dump(config::to_value(options)) == R"({"set": {"z": [1], "a.b": null}})");
  CHECK(config::dump(config::to_value(OpenOptions{})) == R"({"set": {"a.b": 1}})");
  CHECK(config::schema<OpenOptions>().at("properties").at("set").at("type").as_string() == "object");
  CHECK_THROWS_WITH(config::parse<OpenOptions>(config::parse_text("{\"set\": []}", "f")),
                    "f:1:9: set: expected an object, got a list");
}

namespace {

struct PlaceOptions {
  std::string root = "/";
  std::optional<std::string> cache;
  int64_t threads = 1;
  double rate = 1;
  std::vector<GroupOptions> groups;
  static void fields(auto& f) {
    f("root", &PlaceOptions::root, "a folder", config::path(), config::changes_on_resume());
    f("cache", &PlaceOptions::cache, "another", config::path());
    f("threads", &PlaceOptions::threads, "how many", config::at_least(1), config::changes_on_resume());
    f("rate", &PlaceOptions::rate, "how fast");
    f("groups", &PlaceOptions::groups, "of what");
  }
};

PlaceOptions place(const std::string& text) { return config::parse<PlaceOptions>(config::parse_text(text, "exp.json")); }

}  // namespace

TEST_CASE("a path is made absolute as it is read, and stays what it is when it is read again") {
  const std::string here = std::filesystem::current_path().string();
  const PlaceOptions options = place(R"({"root": "a/./b/", "cache": "c"})");
  CHECK(options.root == here + "/a/b");
  CHECK(*options.cache == here + "/c");
  CHECK(config::parse<PlaceOptions>(config::to_value(options)).root == here + "/a/b");
  CHECK(place(R"({"root": "/x"})").root == "/x");
  CHECK_FALSE(place("{}").cache);
  CHECK_THROWS_WITH_AS(place(R"({"root": ""})"), "exp.json:1:10: root: must be a path, got \"\"", ConfigError);
}

TEST_CASE("changes between options are named by path, each with the rules of its option") {
  const PlaceOptions before = place(R"({"groups": [{"kind": "norm"}, {"weight_decay": 1}]})");
  const auto changes = [&](const std::string& text) {
    std::string result;
    for (const config::Change& change : config::changes(before, place(text)))
      result += fmt::format("{}{} {} {}; ", config::has(change.rules, config::Rule::Kind::changes_on_resume) ? "may: " : "",
                            change.path, config::dump(change.before), config::dump(change.now));
    return result;
  };
  CHECK(changes(R"({"groups": [{"kind": "norm"}, {"weight_decay": 1.0}]})") == "");
  CHECK(changes(R"({"groups": [{"kind": "norm"}, {"weight_decay": null}], "threads": 2, "cache": "/c"})") ==
        "cache null \"/c\"; may: threads 1 2; groups.1.weight_decay 1.0 null; ");
  CHECK(changes(R"({"groups": [{"kind": "bias"}, {"weight_decay": 1}], "root": "/x", "rate": 3})") ==
        "may: root \"/\" \"/x\"; rate 1.0 3.0; groups.0.kind \"norm\" \"bias\"; ");
  CHECK(changes(R"({"groups": [{}]})") ==
        R"(groups [{"kind": "norm", "weight_decay": null}, {"kind": "any", "weight_decay": 1.0}] )"
        R"([{"kind": "any", "weight_decay": null}]; )");
  CHECK(config::describe<PlaceOptions>().find("at least 1, may change on resume") != std::string::npos);
}
