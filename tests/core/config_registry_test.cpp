#include <doctest/doctest.h>

#include <stdexcept>

#include "core/config/json_document.h"
#include "core/config/registry.h"

using namespace az;
using config::Component;
using config::Value;

namespace {

// A small world of shapes: a factory gets a scale and gives an area.
struct ShapeRegistry : config::Registry<ShapeRegistry, double, const double&> {
  static constexpr const char* kind = "test shape";
};

struct SquareOptions {
  double side = 1;
  static void fields(auto& f) { f("side", &SquareOptions::side, "length of a side", config::more_than(0)); }
};

struct UnitOptions {
  static void fields(auto&) {}
};

struct GroupOptions {
  std::vector<Component<ShapeRegistry>> shapes;
  std::optional<Component<ShapeRegistry>> hole;
  static void fields(auto& f) {
    f("shapes", &GroupOptions::shapes, "what to add up", config::required());
    f("hole", &GroupOptions::hole, "what to take away");
  }
};

struct BrokenOptions {
  std::string how = "error";
  static void fields(auto& f) { f("how", &BrokenOptions::how, "how to fail"); }
};

double group_area(const GroupOptions& options, const double& scale) {
  double area = 0;
  for (const auto& shape : options.shapes) area += shape.create(scale);
  return options.hole ? area - options.hole->create(scale) : area;
}

double break_down(const BrokenOptions& options, const double&) {
  if (options.how == "data") throw DataError("no data");
  if (options.how == "other") throw std::out_of_range("other");
  fail("it {} down", "breaks");
}

void register_shapes() {
  static const bool once = [] {
    ShapeRegistry::add<SquareOptions>("square", "a square",
                                      [](const SquareOptions& o, const double& scale) { return scale * o.side * o.side; });
    ShapeRegistry::add<UnitOptions>("unit", "the unit square", [](const UnitOptions&, const double& scale) { return scale; });
    ShapeRegistry::add<GroupOptions>("group", "several shapes", group_area);
    ShapeRegistry::add<BrokenOptions>("broken", "always fails", break_down);
    return true;
  }();
  CHECK(once);
}

struct DrawingOptions {
  Component<ShapeRegistry> shape;
  Component<ShapeRegistry> frame{"square"};
  static void fields(auto& f) {
    f("shape", &DrawingOptions::shape, "what to draw", config::required());
    f("frame", &DrawingOptions::frame, "what to put around it");
  }
};

struct TwinRegistry : config::Registry<TwinRegistry, double> {
  static constexpr const char* kind = "twin";
};

struct ForgetfulOptions {
  Component<ShapeRegistry> shape;
  static void fields(auto& f) { f("shape", &ForgetfulOptions::shape, "neither required nor given"); }
};

DrawingOptions parse(const std::string& text) {
  register_shapes();
  return config::parse<DrawingOptions>(config::parse_text(text, "exp.json"));
}

std::string error_of(const std::string& text) {
  try {
    parse(text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

const std::string nested = R"({"shape": {"type": "group", "shapes": [
  {"type": "unit"},
  {"type": "group", "shapes": [{"side": 3, "type": "square"}], "hole": {"type": "square", "side": 2}}]}})";

}  // namespace

TEST_CASE("components are built from JSON, nested in one another") {
  DrawingOptions options = parse(nested);
  CHECK(options.shape.type() == "group");
  CHECK(options.shape.options<GroupOptions>().shapes.size() == 2);
  CHECK(options.shape.create(10.0) == 10 * (1 + 9 - 4));
  Component<ShapeRegistry> copy = options.frame;
  options = {};
  CHECK(copy.create(1.0) == 1);
  CHECK(!options.shape);
  CHECK_THROWS_WITH(options.shape.create(1.0), "the component is empty");
  CHECK_THROWS_WITH(copy.options<UnitOptions>(), "the options of \"square\" are of another type than asked for");
}

TEST_CASE("errors in components name the place, the kind and the known types") {
  const std::string known = R"((known: "broken", "group", "square", "unit"))";
  CHECK(error_of(R"({"shape": {"side": 2, "type": "sqare"}})") ==
        "exp.json:1:31: shape.type: unknown test shape \"sqare\"; did you mean \"square\"? " + known);
  CHECK(error_of(R"({"shape": {"type": "circle"}})") == "exp.json:1:20: shape.type: unknown test shape \"circle\" " + known);
  CHECK(error_of(R"({"shape": {"side": 2}})") == "exp.json:1:11: shape.type: required key is missing " + known);
  CHECK(error_of(R"({"shape": {"type": 2}})") == "exp.json:1:20: shape.type: expected a string, got 2");
  CHECK(error_of(R"({"shape": "unit"})") ==
        R"(exp.json:1:11: shape: expected an object with a "type", got "unit"; write {"type": "unit"})");
  CHECK(error_of(R"({"shape": {"type": "group", "shapes": "unit"}})") ==
        R"(exp.json:1:39: shape.shapes: expected a list, got "unit"; write it in brackets: [{"type": "unit"}])");
  CHECK(error_of(R"({"shape": {"type": "group", "shapes": "circle"}})") ==
        R"(exp.json:1:39: shape.shapes: expected a list, got "circle")");
  CHECK(error_of(R"({"shape": {"type": "group", "shapes": {"type": "unit"}}})") ==
        R"(exp.json:1:39: shape.shapes: expected a list, got an object; write it in brackets: [{...}])");
  CHECK(error_of(R"({"shape": null})") == "exp.json:1:11: shape: expected an object with a \"type\", got null");
  CHECK(error_of(R"({})") == "exp.json:1:1: shape: required key is missing");
  CHECK(error_of(R"({"shape": {"type": "Square"}})") ==
        "exp.json:1:20: shape.type: unknown test shape \"Square\"; did you mean \"square\"? " + known);
  CHECK(error_of(R"({"shape": {"type": "unit"}, "frame": null})") ==
        "exp.json:1:38: frame: expected a test shape, got null; leave the key out for its default");
  CHECK(error_of(R"({"shape": {"type": "unit", "color": 1}})") ==
        "exp.json:1:28: shape.color: unknown key (it has no options)");
  // What another of its kind has, what another object here has, what another of any kind has.
  CHECK(error_of(R"({"shape": {"type": "unit", "side": 1}})") ==
        "exp.json:1:28: shape.side: unknown key of \"unit\"; it is an option of the test shape \"square\"");
  CHECK(error_of(R"({"shape": {"type": "unit", "frame": 1}})") ==
        "exp.json:1:28: shape.frame: unknown key here; it belongs in the top level");
  CHECK(error_of(R"({"side": 1, "shape": {"type": "square"}})") ==
        "exp.json:1:2: side: unknown key here; it belongs in \"shape\"");
  CHECK(error_of(R"({"shapes": 1, "shape": {"type": "unit"}})").find("; did you mean \"shape\"?") != std::string::npos);
  CHECK(error_of(R"({"how": 1, "shape": {"type": "unit"}})") ==
        "exp.json:1:2: how: unknown key here; it is an option of the test shape \"broken\"");
  CHECK(error_of(
            "{\"shape\": {\"type\": \"group\", \"shapes\": [{\"type\": \"unit\"},\n {\"type\": \"square\", \"side\": 0}]}}") ==
        "exp.json:2:29: shape.shapes.1.side: must be more than 0, got 0");
}

TEST_CASE("a name where a component is wanted is told as the component of the nearest name, or with all names") {
  const auto refusal = [](const std::string& shapes) {
    register_shapes();
    try {
      config::parse<GroupOptions>(config::parse_text(R"({"shapes": [)" + shapes + "]}", "e.json"));
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const std::string start = "e.json:1:13: shapes.0: expected an object with a \"type\", got ";
  CHECK(refusal(R"("unit")") == start + R"("unit"; write {"type": "unit"})");
  CHECK(refusal(R"("Sqare")") == start + R"("Sqare"; write {"type": "square"})");
  CHECK(refusal(R"("pentagon")").starts_with(start + R"("pentagon" (known: "broken", )"));
}

TEST_CASE("an error while a component is built names its place once, and keeps its exit code") {
  auto options = parse("{\"shape\": {\"type\": \"group\", \"shapes\": [\n  {\"type\": \"broken\"}]}}");
  CHECK_THROWS_WITH_AS(options.shape.create(1.0), "exp.json:2:3: shape.shapes.0: it breaks down", ConfigError);
  options = parse(R"({"shape": {"type": "broken", "how": "data"}})");
  CHECK_THROWS_WITH_AS(options.shape.create(1.0), "no data", DataError);
  options = parse(R"({"shape": {"type": "broken", "how": "other"}})");
  CHECK_THROWS_WITH_AS(options.shape.create(1.0), "exp.json:1:11: shape: test shape \"broken\": other", ConfigError);
  CHECK_THROWS_WITH_AS(Component<ShapeRegistry>("broken").create(1.0), "it breaks down", Error);
}

TEST_CASE("a component has its defaults when it is named in code") {
  register_shapes();
  CHECK(Component<ShapeRegistry>("square").create(3.0) == 3);
  CHECK_THROWS_WITH(
      Component<ShapeRegistry>("sqare"),
      "unknown test shape \"sqare\"; did you mean \"square\"? (known: \"broken\", \"group\", \"square\", \"unit\")");
  CHECK_THROWS_WITH(Component<ShapeRegistry>("group"), "group.shapes: required key is missing");
  CHECK_THROWS_WITH(config::describe<ForgetfulOptions>(),
                    "option \"shape\": a component must be required(), have a default type, or be std::optional");
}

TEST_CASE("a component of options given in code is of the type that has them") {
  register_shapes();
  GroupOptions group{.shapes = {SquareOptions{.side = 3}, UnitOptions{}}, .hole = SquareOptions{.side = 2}};
  CHECK(Component<ShapeRegistry>(group).create(1.0) == 9 + 1 - 4);
  CHECK(group.shapes[0].type() == "square");
  CHECK(config::dump(config::to_value(group)) ==
        R"({"shapes": [{"type": "square", "side": 3.0}, {"type": "unit"}], "hole": {"type": "square", "side": 2.0}})");
  group.shapes[0] = SquareOptions{.side = -1};
  CHECK_THROWS_WITH(config::checked("group", group), "group.shapes.0.side: must be more than 0, got -1.0");
  CHECK_THROWS_WITH(Component<ShapeRegistry>(DrawingOptions{.shape = UnitOptions{}}),
                    "no test shape has such options; register it first");
  for (const char* name : {"one", "other"}) TwinRegistry::add<UnitOptions>(name, "", [](const UnitOptions&) { return 1.0; });
  CHECK_THROWS_WITH(Component<TwinRegistry>(UnitOptions{}), "the options are those of the twins \"one\" and \"other\" alike");
}

TEST_CASE("resolved components read back to the same") {
  Value resolved = config::to_value(parse(nested));
  CHECK(
      config::dump(resolved) ==
      R"({"shape": {"type": "group", "shapes": [{"type": "unit"}, {"type": "group", "shapes": [{"type": "square", "side": 3.0}], )"
      R"("hole": {"type": "square", "side": 2.0}}], "hole": null}, "frame": {"type": "square", "side": 1.0}})");
  CHECK(config::to_value(config::parse<DrawingOptions>(config::parse_text(config::dump(resolved, 2), "x"))) == resolved);
}

TEST_CASE("a registry lists and describes, and refuses a name twice") {
  register_shapes();
  CHECK(ShapeRegistry::names() == std::vector<std::string>{"broken", "group", "square", "unit"});
  CHECK(ShapeRegistry::describe("square") ==
        "test shape \"square\": a square\n  side  number  1.0  more than 0  length of a side\n");
  CHECK(ShapeRegistry::describe("group") ==
        "test shape \"group\": several shapes\n"
        "  shapes  list of test shapes  (required)    what to add up\n"
        "  hole    test shape or null   null          what to take away\n");
  CHECK(config::describe<DrawingOptions>() ==
        "  shape  test shape  (required)            what to draw\n"
        "  frame  test shape  {\"type\": \"square\"}    what to put around it\n");
  CHECK_THROWS_WITH_AS(
      ShapeRegistry::describe("sqare"),
      "unknown test shape \"sqare\"; did you mean \"square\"? (known: \"broken\", \"group\", \"square\", \"unit\")",
      ConfigError);
  CHECK_THROWS_WITH(ShapeRegistry::add<UnitOptions>("unit", "again", [](const UnitOptions&, const double&) { return 0.0; }),
                    "test shape \"unit\" is registered already; register each name once");
}

TEST_CASE("the JSON Schema refers to components by name, so that they may nest") {
  register_shapes();
  Value schema = config::parse_text(config::dump(config::schema<DrawingOptions>(), 2), "schema");
  CHECK(schema.at("$schema").as_string() == "https://json-schema.org/draft/2020-12/schema");
  CHECK(schema.at("required") == Value::Array{"shape"});
  CHECK(schema.at("additionalProperties") == false);
  CHECK(config::dump(schema.at("properties").at("shape")) ==
        R"({"description": "what to draw", "$ref": "#/$defs/test_shape"})");
  CHECK(config::dump(schema.at("properties").at("frame").at("default")) == R"({"type": "square", "side": 1.0})");

  const Value& definitions = schema.at("$defs");
  CHECK(
      config::dump(definitions.at("test_shape")) ==
      R"({"type": "object", "properties": {"type": {"enum": ["broken", "group", "square", "unit"]}}, "required": ["type"], "allOf": [)"
      R"({"if": {"properties": {"type": {"const": "broken"}}}, "then": {"$ref": "#/$defs/test_shape.broken"}}, )"
      R"({"if": {"properties": {"type": {"const": "group"}}}, "then": {"$ref": "#/$defs/test_shape.group"}}, )"
      R"({"if": {"properties": {"type": {"const": "square"}}}, "then": {"$ref": "#/$defs/test_shape.square"}}, )"
      R"({"if": {"properties": {"type": {"const": "unit"}}}, "then": {"$ref": "#/$defs/test_shape.unit"}}]})");
  CHECK(config::dump(definitions.at("test_shape.square")) ==
        R"({"description": "a square", "type": "object", "properties": {"type": {"const": "square"}, )"
        R"("side": {"description": "length of a side", "type": "number", "exclusiveMinimum": 0, "default": 1.0}}, )"
        R"("required": ["type"], "additionalProperties": false})");
  CHECK(
      config::dump(definitions.at("test_shape.group").at("properties").at("hole")) ==
      R"({"description": "what to take away", "anyOf": [{"$ref": "#/$defs/test_shape"}, {"type": "null"}], "default": null})");
  CHECK(config::dump(definitions.at("test_shape.group").at("properties").at("shapes")) ==
        R"({"description": "what to add up", "type": "array", "items": {"$ref": "#/$defs/test_shape"}})");
}
