// What options, names and factories of one's own can get wrong: refused as they are registered, or made.
#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <stdexcept>

#include "core/config/json_document.h"
#include "core/config/registry.h"
#include "tests/compare.h"

using namespace az;
using test::error_of;

namespace {

struct Thing {
  int64_t size = 0;
};

struct NoneOptions {
  static void fields(auto&) {}
};

// A kind of part with all that a registry may have; "plain" is its own.
struct ThingRegistry : config::Registry<ThingRegistry, std::unique_ptr<Thing>, int64_t> {
  static constexpr const char* kind = "thing";
  static void register_builtin() {
    static const bool once = [] {
      const config::BuiltIn built_in;
      add<NoneOptions>("plain", "comes along", [](const NoneOptions&, int64_t) { return std::make_unique<Thing>(); });
      return true;
    }();
    CHECK(once);
  }
  static void check_name(const std::string& name) {
    if (name == "none") fail("thing \"none\": means that there is none");
  }
  static void check(const std::unique_ptr<Thing>& thing, int64_t most) {
    if (thing->size > most) fail("a thing of {}, where {} is the most", thing->size, most);
  }
};

template <class O> std::string refusal(const std::string& name = "own") {
  return error_of([&] { ThingRegistry::add<O>(name, "mine", [](const O&, int64_t) { return std::make_unique<Thing>(); }); });
}

// One option "x" of type T that starts as `start`.
template <class T, auto start, auto... rules> struct OneOption {
  T x = start();
  static void fields(auto& f) { f("x", &OneOption::x, "an option", rules()...); }
};
constexpr auto positive = [] { return config::more_than(0); };
constexpr auto letters = [] { return config::one_of({"a", "b"}); };

template <int which> struct Named {
  double a = 1, b = 1;
  static void fields(auto& f) {
    const char* const names[] = {"", "type", "a.b", "line\n", "\xff", "a=b", "a\"b", " "};
    if constexpr (which < 8)
      f(names[which], &Named::a, "an option");
    else
      f("twice", &Named::a, "an option"), f("twice", &Named::b, "another");
  }
};

struct Required {
  double x = 0;
  static void fields(auto& f) { f("x", &Required::x, "an option", config::required(), config::more_than(0)); }
};
struct Inner {
  double lr = 0;
  static void fields(auto& f) { f("lr", &Inner::lr, "required", config::required(), config::more_than(0)); }
};
struct Outer {
  Inner inner;
  std::vector<Inner> list;
  static void fields(auto& f) {
    f("inner", &Outer::inner, "nested");
    f("list", &Outer::list, "of nested");
  }
};
struct WithComponent {
  config::Component<ThingRegistry> thing{"plain"};
  static void fields(auto& f) { f("thing", &WithComponent::thing, "one that comes along"); }
};
struct Throwing {
  static void fields(auto&) { throw std::runtime_error("not today"); }
};
template <int which> struct Tied {
  bool on = which == 0;
  std::optional<double> a = {};
  static void fields(auto& f) {
    f("on", &Tied::on, "needs a");
    if (which == 1) f.needs("on", {{"a"}}, "on needs a");
    f("a", &Tied::a, "an option");
    if (which == 0) f.needs("on", {{"a"}}, "on needs a");
    if (which == 2) f.some_of({"a", "b"}, "give a or b");
    if (which == 3) f.needs("off", {{"a"}}, "off needs a");
  }
};
struct TiedToRequired {
  bool on = true;
  double a = 0;
  static void fields(auto& f) {
    f("on", &TiedToRequired::on, "needs a");
    f("a", &TiedToRequired::a, "an option", config::required());
    f.needs("on", {{"a", {config::more_than(0)}}}, "on needs a");
  }
};
struct Validated {
  int64_t how = 0;
  static void fields(auto& f) { f("how", &Validated::how, "how to fail"); }
  void validate() const {
    if (how == 1) throw std::out_of_range("too far");
    if (how == 2) throw 42;
    if (how == 5) fail("a must not exceed b");
    if (how == 6) throw ConfigError("not so");
    if (how == 7) throw DataError("no such file");
  }
};

}  // namespace

TEST_CASE("a default that breaks its own rule, or cannot be read back, is refused as it is registered") {
  using Zero = OneOption<double, [] { return 0.0; }, positive>;
  CHECK(refusal<Zero>() == "thing \"own\": option \"x\": default: must be more than 0, got 0.0");
  using Count = OneOption<int64_t, [] { return int64_t(-1); }, positive>;
  CHECK(refusal<Count>() == "thing \"own\": option \"x\": default: must be more than 0, got -1");
  using Choice = OneOption<std::string, [] { return std::string("c"); }, letters>;
  CHECK(refusal<Choice>() ==
        "thing \"own\": option \"x\": default: must be one of \"a\", \"b\", got \"c\"; did you mean \"a\"?");
  using List = OneOption<std::vector<double>, [] { return std::vector<double>{1, 0}; }, positive>;
  CHECK(refusal<List>() == "thing \"own\": option \"x\": default.1: must be more than 0, got 0.0");
  using Maybe = OneOption<std::optional<double>, [] { return std::optional<double>(-2.0); }, positive>;
  CHECK(refusal<Maybe>() == "thing \"own\": option \"x\": default: must be more than 0, got -2.0");
  using NotANumber = OneOption<double, [] { return double(NAN); }>;
  CHECK(refusal<NotANumber>().starts_with("thing \"own\": option \"x\": default: "));
  using Endless = OneOption<double, [] { return double(INFINITY); }, positive>;
  CHECK(refusal<Endless>().starts_with("thing \"own\": option \"x\": default: "));
  using Bytes = OneOption<std::string, [] { return std::string("\xff"); }>;
  CHECK(refusal<Bytes>() == "thing \"own\": option \"x\": default: a config is UTF-8, and this text is not");
  // A rule for another type of option, too: it would strike whoever gives the option.
  using Misplaced = OneOption<double, [] { return 1.0; }, letters>;
  CHECK(refusal<Misplaced>().starts_with("thing \"own\": option \"x\": "));

  // What was refused was not registered.
  CHECK(ThingRegistry::base().find("own") == nullptr);
  CHECK(ThingRegistry::base().find("plain") != nullptr);
}

TEST_CASE("defaults that must be given, that are empty, nested or made of parts that come along are fine") {
  CHECK(refusal<Required>("required") == "no error");
  CHECK(refusal<Outer>("outer") == "no error");
  CHECK(refusal<WithComponent>("with_component") == "no error");
  using Absent = OneOption<std::optional<double>, [] { return std::optional<double>(); }, positive>;
  CHECK(refusal<Absent>("absent") == "no error");
}

TEST_CASE("options: names that are empty, twice, `type`, or unfit for JSON and paths are refused with the thing's name") {
  CHECK(refusal<Named<0>>() == "thing \"own\": option \"\" cannot be a name: it is empty");
  CHECK(refusal<Named<1>>() == "thing \"own\": an option cannot be called \"type\", which chooses among the things");
  CHECK(refusal<Named<2>>() == "thing \"own\": option \"a.b\" cannot be a name: it has a \".\"");
  CHECK(refusal<Named<3>>() == "thing \"own\": option \"line\\x0a\" cannot be a name: it has a control character");
  CHECK(refusal<Named<4>>() == "thing \"own\": option \"\\xff\" cannot be a name: it is not UTF-8");
  CHECK(refusal<Named<5>>() == "thing \"own\": option \"a=b\" cannot be a name: it has a \"=\"");
  CHECK(refusal<Named<6>>() == "thing \"own\": option \"a\"b\" cannot be a name: it has a \"\"\"");
  CHECK(refusal<Named<7>>() == "thing \"own\": option \" \" cannot be a name: it begins or ends with a space");
  CHECK(refusal<Named<8>>() == "thing \"own\": option \"twice\" is declared twice");
  CHECK(refusal<Throwing>() == "thing \"own\": not today");
}

TEST_CASE("relations: of options that are not there, or broken by the defaults, they are refused as they are registered") {
  CHECK(refusal<Tied<0>>() == "thing \"own\": default: on needs a");
  CHECK(refusal<Tied<1>>() == "thing \"own\": a relation is about \"a\", which is no option declared before it");
  CHECK(refusal<Tied<2>>() == "thing \"own\": a relation is about \"b\", which is no option declared before it");
  CHECK(refusal<Tied<3>>() == "thing \"own\": a relation is about \"off\", which is no option declared before it");
  CHECK(refusal<TiedToRequired>("tied") == "no error");
}

TEST_CASE("registries: names that are empty, unfit, taken, or built in are refused") {
  CHECK(refusal<NoneOptions>("") == "thing \"\" cannot be a name: it is empty");
  CHECK(refusal<NoneOptions>("a/b") == "thing \"a/b\" cannot be a name: it has a \"/\"");
  CHECK(refusal<NoneOptions>("a\tb") == "thing \"a\\x09b\" cannot be a name: it has a control character");
  CHECK(refusal<NoneOptions>("\xc3") == "thing \"\\xc3\" cannot be a name: it is not UTF-8");
  CHECK(refusal<NoneOptions>("none") == "thing \"none\": means that there is none");
  CHECK(refusal<NoneOptions>("plain") == "thing \"plain\" is built in; choose another name");
  CHECK(refusal<NoneOptions>("mine") == "no error");
  CHECK(refusal<NoneOptions>("mine") == "thing \"mine\" is registered already; register each name once");
}

TEST_CASE("factories: null, what the kind's check refuses, and what they throw come with the place in the config") {
  ThingRegistry::add<Validated>("null", "gives nothing", [](const Validated&, int64_t) { return std::unique_ptr<Thing>(); });
  ThingRegistry::add<NoneOptions>("large", "of 9",
                                  [](const NoneOptions&, int64_t) { return std::make_unique<Thing>(Thing{9}); });
  ThingRegistry::add<Validated>("throwing", "throws", [](const Validated& options, int64_t) -> std::unique_ptr<Thing> {
    if (options.how == 0) throw std::out_of_range("index 3");
    if (options.how == 4) throw DataError("no data");
    throw 42;
  });
  using Part = config::Component<ThingRegistry>;
  const auto made = [](const std::string& json) {
    return error_of([&] { config::parse<Part>(config::parse_text(json, "exp.json"), "part").create(5); });
  };
  CHECK(made(R"({"type": "null"})") == "exp.json:1:1: part: the factory of \"null\" returned null");
  CHECK(made(R"({"type": "large"})") == "exp.json:1:1: part: a thing of 9, where 5 is the most");
  CHECK(made(R"({"type": "throwing"})") == "exp.json:1:1: part: thing \"throwing\": index 3");
  CHECK(made(R"({"type": "throwing", "how": 3})") == "exp.json:1:1: part: thing \"throwing\": threw a value of type int");
  CHECK(made(R"({"type": "throwing", "how": 4})") == "no data");
  CHECK(error_of([] { Part("null").create(5); }) == "the factory of \"null\" returned null");
  CHECK(error_of([] { Part("throwing").create(5); }) == "thing \"throwing\": index 3");

  CHECK(made(R"({"type": "null", "how": 1})") == "exp.json:1:1: part: too far");
  CHECK(made(R"({"type": "null", "how": 2})") == "exp.json:1:1: part: threw a value of type int");
  CHECK(made(R"({"type": "null", "how": 5})") == "exp.json:1:1: part: a must not exceed b");
  CHECK(made(R"({"type": "null", "how": 6})") == "exp.json:1:1: part: not so");
  CHECK(made(R"({"type": "null", "how": 7})") == "no such file");
  CHECK_THROWS_AS(config::parse<Validated>(config::parse_text(R"({"how": 5})", "exp.json")), ConfigError);
}
