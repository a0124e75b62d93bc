// Each syntax error is told in one sentence, with its place and what to write instead.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "core/config/json_document.h"

using namespace az;

namespace {

std::string said_of(const std::string& text) {
  try {
    config::parse_text(text, "a.json");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

void check(const std::vector<std::pair<std::string, std::string>>& table) {
  for (const auto& [text, message] : table) {
    CAPTURE(text);
    CHECK(said_of(text) == "a.json:" + message);
  }
}

}  // namespace

TEST_CASE("what is said of JSON that is wrong: words of other languages") {
  check({
      {R"({"a": True})", "1:7: a: JSON writes true, not True"},
      {R"({"a": FALSE})", "1:7: a: JSON writes false, not FALSE"},
      {R"({"a": None})", "1:7: a: JSON writes null, not None"},
      {R"({"a": nil})", "1:7: a: JSON writes null, not nil"},
      {R"({"a": undefined})", "1:7: a: JSON writes null, not undefined"},
      {R"({"a": yes})", "1:7: a: JSON writes true, not yes"},
      {R"({"a": off})", "1:7: a: JSON writes false, not off"},
      {R"({"a": NaN})", "1:7: a: JSON has no NaN; write a finite number"},
      {R"({"a": -Infinity})", "1:7: a: JSON has no -Infinity; write a finite number"},
      {R"({"a": inf})", "1:7: a: JSON has no inf; write a finite number"},
      {R"({"a": tru})", "1:7: a: JSON writes true, not tru"},
      {R"({"a": truely})", "1:7: a: JSON writes true, not truely"},
      {R"({"a": nulll})", "1:7: a: JSON writes null, not nulll"},
      {R"({"a": sgd})", R"(1:7: a: sgd is no value; put text in double quotes: "sgd")"},
      {R"({"a": ../data/x})", R"(1:7: a: ../data/x is no value; put text in double quotes: "../data/x")"},
      {"[a, b]", R"(1:2: 0: a is no value; put text in double quotes: "a")"},
  });
}

TEST_CASE("what is said of JSON that is wrong: numbers") {
  check({
      {R"({"a": .1})", "1:7: a: JSON writes 0.1, not .1"},
      {R"({"a": +1})", "1:7: a: JSON writes 1, not +1"},
      {R"({"a": 01})", "1:7: a: JSON writes 1, not 01"},
      {R"({"a": 1.})", "1:7: a: JSON writes 1.0, not 1."},
      {R"({"a": -.5})", "1:7: a: JSON writes -0.5, not -.5"},
      {R"({"a": 0x1F})", "1:7: a: JSON writes 31, not 0x1F"},
      {R"({"a": 1_000})", "1:7: a: JSON writes 1000, not 1_000"},
      {R"({"a": 1'000})", "1:7: a: JSON writes 1000, not 1'000"},
      {R"({"a": 0.1f})", "1:7: a: JSON writes 0.1, not 0.1f"},
      {R"({"a": 1e})", "1:7: a: 1e is no number; JSON writes numbers such as 10, -0.5 and 1e-4, and text in double quotes"},
      {R"({"a": 1e+})", "1:7: a: 1e+ is no number; JSON writes numbers such as 10, -0.5 and 1e-4, and text in double quotes"},
      {R"({"a": -})", "1:7: a: - is no number; JSON writes numbers such as 10, -0.5 and 1e-4, and text in double quotes"},
      {R"({"a": 1.5.2})",
       "1:7: a: 1.5.2 is no number; JSON writes numbers such as 10, -0.5 and 1e-4, and text in double quotes"},
      {R"({"a": 1/255})", "1:7: a: JSON does no arithmetic; write what 1/255 comes to"},
      {R"({"a": 2**3})", "1:7: a: JSON does no arithmetic; write what 2**3 comes to"},
      {R"({"a": 5%})", "1:7: a: 5% is no number; JSON writes numbers such as 10, -0.5 and 1e-4, and text in double quotes"},
      {R"({"a": 0,1})", "1:7: a: JSON writes 0.1, not 0,1"},
      {R"({"a": 10,000, "b": 1})", "1:7: a: JSON writes 10000, not 10,000"},
      {R"({"a": 1.000,5})", "1:7: a: JSON writes 1000.5, not 1.000,5"},
      {R"({"a": 1,000.5})", "1:7: a: JSON writes 1000.5, not 1,000.5"},
      {R"({"a": 0,001})", "1:7: a: JSON writes 0.001, not 0,001"},
      {R"({"a": 1,5e-3})", "1:7: a: JSON writes 1.5e-3, not 1,5e-3"},
      {"{\"a\": \u00BD}", "1:7: a: JSON does no arithmetic; write what \u00BD comes to"},
      {"{\"a\": -\u221E}", "1:7: a: JSON has no -\u221E; write a finite number"},
      {"{\"a\": \uFF11}", "1:7: a: JSON writes numbers in the digits 0 to 9, not \uFF11"},
      {"{\"a\": \u0663\u0661}", "1:7: a: JSON writes numbers in the digits 0 to 9, not \u0663\u0661"},
      {R"({"a": 1e400})", "1:7: a: 1e400 is too large; the largest number is 1.8e308"},
      {R"({"a": -1e-400})", "1:7: a: -1e-400 is too close to 0 for a number; write 0"},
      {R"({"a": [1, 1E999]})", "1:11: a.1: 1E999 is too large; the largest number is 1.8e308"},
      {R"({"a": 2024-01-01})",
       "1:7: a: 2024-01-01 is no number; JSON writes numbers such as 10, -0.5 and 1e-4, and text in double quotes"},
      {R"({"a": 10k})", "1:7: a: 10k is no number; JSON writes numbers such as 10, -0.5 and 1e-4, and text in double quotes"},
      {"{\"a\": \u22123}", "1:7: a: JSON writes -3, not \u22123"},
      {"{\"a\": \u22120.5}", "1:7: a: JSON writes -0.5, not \u22120.5"},
      {"{\"a\": \u2013.5}", "1:7: a: JSON writes -0.5, not \u2013.5"},
      {"{\"a\": \uFF0D3}", "1:7: a: JSON writes -3, not \uFF0D3"},
      {"{\"a\": 1e\u22124}", "1:7: a: JSON writes 1e-4, not 1e\u22124"},
      {"[1, \u20102]", "1:5: 1: JSON writes -2, not \u20102"},
      {R"({"a": --1})", "1:7: a: --1 is no number; JSON writes numbers such as 10, -0.5 and 1e-4, and text in double quotes"},
      {R"({"a": 1e4.5})",
       "1:7: a: 1e4.5 is no number; JSON writes numbers such as 10, -0.5 and 1e-4, and text in double quotes"},
      {R"({"a": 00})", "1:7: a: JSON writes 0, not 00"},
      {R"({"a": -01})", "1:7: a: JSON writes -1, not -01"},
      {"[1.0.0]", "1:2: 0: 1.0.0 is no number; JSON writes numbers such as 10, -0.5 and 1e-4, and text in double quotes"},
      {R"({"a": ...})", "1:7: a: ... is no number; JSON writes numbers such as 10, -0.5 and 1e-4, and text in double quotes"},
      {R"({"a": 1e5)", "1:10: the text ends here, but the { of line 1, column 1 is still open; add a }"},
  });
}

TEST_CASE("what is said of JSON that is wrong: comments") {
  check({
      {"{\"a\": 1 -- x\n}", "1:9: JSON has no comments; remove this one"},
      {"{ -- x\n\"a\": 1}", "1:3: JSON has no comments; remove this one"},
      {"{\"a\": 1, --x\n\"b\": 2}", "1:10: JSON has no comments; remove this one"},
      {"-- x\n{}", "1:1: JSON has no comments; remove this one"},
      {"{\"a\": --\n 1}", "1:7: JSON has no comments; remove this one"},
      {"{\"a\": 1 // x\n}", "1:9: JSON has no comments; remove this one"},
      {"{ # x\n\"a\": 1}", "1:3: JSON has no comments; remove this one"},
      {R"({"a": 1, /* x */ "b": 2})", "1:10: JSON has no comments; remove this one"},
      {"// x\n{}", "1:1: JSON has no comments; remove this one"},
      {"{\"a\": // x\n 1}", "1:7: JSON has no comments; remove this one"},
      {R"({"a" /* */ : 1})", "1:6: JSON has no comments; remove this one"},
      {R"({"a": 1} // end)", "1:10: JSON has no comments; remove this one"},
      {"{\"a\": 1}\n# end", "2:1: JSON has no comments; remove this one"},
      {"{\"a\": 1//x\n}", "1:8: JSON has no comments; remove this one"},
  });
}

TEST_CASE("what is said of JSON that is wrong: commas and brackets") {
  check({
      {"[1, 2,]", "1:6: remove the comma: nothing follows it"},
      {"{\"a\": 1,\n}", "1:8: remove the comma: nothing follows it"},
      {"[1,,2]", "1:4: remove one of the two commas"},
      {"[,1]", "1:2: remove the comma: nothing stands before it"},
      {R"({,"a": 1})", "1:2: remove the comma: nothing stands before it"},
      {R"({"a": 1,, "b": 2})", "1:9: remove one of the two commas"},
      {R"({"a": 1},)", "1:9: remove the comma: nothing follows it"},
      {"{\"a\": 1\n \"b\": 2}", R"(2:2: put a comma before "b")"},
      {"[1 2]", "1:4: put a comma before 2"},
      {R"([1 "x"])", R"(1:4: put a comma before "x")"},
      {R"(["x" "y"])", R"(1:6: put a comma before "y")"},
      {"[{} {}]", "1:5: put a comma before {"},
      {R"({"a": {} "b": 1})", R"(1:10: put a comma before "b")"},
      {R"({"a": 1; "b": 2})", "1:8: write a comma instead of ;"},
      {R"({"a": , "b": 1})", "1:7: a: a value is missing before the ,"},
      {R"({"a": })", "1:7: a: a value is missing before the }"},
      {R"({"a":, })", "1:6: a: a value is missing before the ,"},
      {R"([{"a": 1}, ])", "1:10: remove the comma: nothing follows it"},
  });
}

TEST_CASE("what is said of JSON that is wrong: colons") {
  check({
      {R"({"a" 1})", R"(1:6: put a colon behind the key "a")"},
      {R"({"a" = 1})", "1:6: write a colon instead of ="},
      {R"({"a" => 1})", "1:6: write a colon instead of =>"},
      {R"({"a", "b"})", R"(1:5: the key "a" has no value; write a colon and a value behind it)"},
      {R"({"a"})", R"(1:5: the key "a" has no value; write a colon and a value behind it)"},
      {R"({"a":: 1})", "1:6: remove this colon"},
      {R"({"a": "b": 1})", "1:10: this comes after a value; is a comma or a quote missing before it?"},
      {R"(["a": 1])", R"(1:5: a list holds no keys; put braces around them: [{"key": 1}])"},
      {R"({"a: 1})", "1:2: this text is not closed; put a double quote at its end"},
      {R"({"a: 1, "b": 2})", R"(1:2: close this key with a double quote; now it reads "a: 1, ")"},
      {R"({"name: "x"})", R"(1:2: close this key with a double quote; now it reads "name: ")"},
      {R"({"a": 1 = 2})", "1:9: this comes after a value; is a comma or a quote missing before it?"},
  });
}

TEST_CASE("what is said of JSON that is wrong: quotes") {
  check({
      {"{'a': 1}", R"(1:2: JSON writes keys in straight double quotes: "a")"},
      {R"({"a": 'sgd'})", R"(1:7: a: JSON writes text in straight double quotes: "sgd")"},
      {"{“a”: 1}", R"(1:2: JSON writes keys in straight double quotes: "a")"},
      {R"({"a": “sgd”})", R"(1:7: a: JSON writes text in straight double quotes: "sgd")"},
      {R"({"a": „sgd“})", R"(1:7: a: JSON writes text in straight double quotes: "sgd")"},
      {R"({"a": «é»})", R"(1:7: a: JSON writes text in straight double quotes: "é")"},
      {R"({"a": `x`})", R"(1:7: a: JSON writes text in straight double quotes: "x")"},
      {R"({"a": 'unclosed})", R"(1:7: a: JSON writes text in straight double quotes: "unclosed}")"},
      {R"({"a": "say "hi" there"})",
       R"(1:13: the quote before this ended the text; a quote within it is written \", parts of a list need commas)"},
      {R"({"a": ""x""})",
       R"(1:9: the quote before this ended the text; a quote within it is written \", parts of a list need commas)"},
      {R"({"a": 'it's'})", R"(1:7: a: JSON writes text in straight double quotes: "it's")"},
  });
}

TEST_CASE("what is said of JSON that is wrong: what programs write") {
  check({
      {R"({"a": """x"""})", R"(1:7: JSON writes one double quote on each side of a text, and a new line within it as \n)"},
      {R"({"""a""": 1})", R"(1:2: JSON writes one double quote on each side of a text, and a new line within it as \n)"},
      {"{\"a\": '''x'''}", R"(1:7: JSON writes one double quote on each side of a text, and a new line within it as \n)"},
      {R"({"a": f"x"})", R"(1:7: a: remove the f before the quote: JSON has one kind of text, in double quotes)"},
      {R"({"a": f'x'})", R"(1:7: a: remove the f before the quote: JSON has one kind of text, in double quotes)"},
      {R"(["x", rb"y"])", R"(1:7: 1: remove the rb before the quote: JSON has one kind of text, in double quotes)"},
      {R"({"a": @"x"})", R"(1:7: a: remove the @ before the quote: JSON has one kind of text, in double quotes)"},
      {R"({f"a": 1})", R"(1:2: remove the f before the quote: JSON has one kind of text, in double quotes)"},
      {R"({$a: 1})", "1:2: JSON has no variables; write the value itself"},
      {R"({("a"): 1})", "1:2: JSON has no parentheses; write a list in [ and ], and a number as it is"},
      {R"({...base, "a": 1})", "1:2: JSON takes over no keys from elsewhere; write them here"},
      {R"({"b": 1, **base})", "1:10: JSON takes over no keys from elsewhere; write them here"},
      {R"({"a": 1+2})", "1:7: a: JSON does no arithmetic; write what 1+2 comes to"},
      {R"({"a": "x" * 3})", "1:11: JSON does no arithmetic; write what it comes to"},
      {R"({"a": ${SEED}})", "1:7: a: JSON has no variables; write the value itself"},
      {R"({"a": $SEED})", "1:7: a: JSON has no variables; write the value itself"},
      {R"({"a": $(nproc)})", "1:7: a: JSON has no variables; write the value itself"},
      {R"({"a": {{ seed }}})", "1:8: JSON has no variables; write the value itself"},
      {R"({"a": range(3)})", "1:7: a: JSON calls no functions; write what range(...) comes to"},
      {R"({"a": float("inf")})", "1:7: a: JSON calls no functions; write what float(...) comes to"},
      {R"({"a": (0.9, 0.99)})", "1:7: a: JSON has no parentheses; write a list in [ and ], and a number as it is"},
      {R"({"a": ()})", "1:7: a: JSON has no parentheses; write a list in [ and ], and a number as it is"},
      {"[1, 2)", "1:6: write ] instead of )"},
      {R"({"a": 1))", "1:8: write } instead of )"},
      {R"({"a": 1;})", "1:8: remove the ;: nothing follows it"},
      {R"({"a": [1; ]})", "1:9: remove the ;: nothing follows it"},
      {R"({"a": 1};)", "1:9: remove the ;: nothing follows it"},
      {R"({"a": 1 + 2})", "1:9: JSON does no arithmetic; write what it comes to"},
      {R"({"a": "x" + "y"})", "1:11: JSON joins no texts; write them as one"},
  });
}

TEST_CASE("what is said of JSON that is wrong: what programs reckon with") {
  const std::string variables = "JSON has no variables; write the value itself";
  const std::string expressions = "JSON has no expressions; write the value itself";
  check({
      {R"({"a": math.pi})", R"(1:7: a: math.pi is no value; write what it stands for, or text in double quotes: "math.pi")"},
      {R"({"a": net.json})", R"(1:7: a: net.json is no value; write what it stands for, or text in double quotes: "net.json")"},
      {R"({"a": os.environ["X"]})", "1:7: a: " + variables},
      {R"({"a": x[0]})", "1:7: a: " + variables},
      {R"({"a": %SEED%})", "1:7: a: " + variables},
      {R"({"a": <lr>})", "1:7: a: " + variables},
      {R"([@rate@])", "1:2: 0: " + variables},
      {R"({"a": &base {}})", "1:7: a: " + variables},
      {R"({"a": *base})", "1:7: a: " + variables},
      {R"({"a": lambda x: x})", "1:7: a: " + expressions},
      {R"({"a": not 1})", "1:7: a: " + expressions},
      {R"({"a": 1 if x else 2})", "1:9: " + expressions},
      {R"([1 for x in y])", "1:4: " + expressions},
      {R"({"a": "b" or "c"})", "1:11: " + expressions},
      {R"({"a": [1:3]})", "1:9: JSON has no ranges; list the values"},
      {R"({"a": {1, 2}})", "1:8: JSON has no sets; write a list in [ and ]"},
      {R"({"a": {1}})", "1:8: JSON has no sets; write a list in [ and ]"},
      {R"({"a": {1: 2}})", R"(1:8: put the key in double quotes: "1")"},
  });
}

TEST_CASE("what is said of JSON that is wrong: keys") {
  check({
      {"{a: 1}", R"(1:2: put the key in double quotes: "a")"},
      {"{lr: 0.1, b: 2}", R"(1:2: put the key in double quotes: "lr")"},
      {"{1: 2}", R"(1:2: put the key in double quotes: "1")"},
      {"{null: 2}", R"(1:2: put the key in double quotes: "null")"},
      {R"({"a": 1, b: 2})", R"(1:10: put the key in double quotes: "b")"},
      {"{[1]: 2}", "1:2: a key in double quotes is missing before ["},
      {R"({{"a": 1}})", "1:2: a key in double quotes is missing before {"},
      {"{: 1}", "1:2: a key in double quotes is missing before :"},
      {"{é: 1}", R"(1:2: put the key in double quotes: "é")"},
      {"{a.b: 1}", R"(1:2: put the key in double quotes: "a.b")"},
      {"{a b: 1}", R"(1:2: put the key in double quotes: "a")"},
  });
}

TEST_CASE("what is said of JSON that is wrong: other formats, other encodings and what a text begins and ends with") {
  check({
      {"name: tiny\nseed: 1\n", R"(1:1: this is YAML, not JSON; JSON writes {"name": ...})"},
      {"[data]\nseed = 1", "1:2: this is INI or TOML, not JSON; JSON writes {\"data\": {...}}"},
      {"\n[data.augment] \r\nseed = 1", "2:2: this is INI or TOML, not JSON; JSON writes {\"data.augment\": {...}}"},
      {"[[runs]]\nseed = 1", "1:3: this is INI or TOML, not JSON; JSON writes {\"runs\": {...}}"},
      {"[data]", "1:2: 0: data is no value; put text in double quotes: \"data\""},
      {"[None]\n", "1:2: 0: JSON writes null, not None"},
      {"---\nname: x", "1:1: this is YAML, not JSON; JSON begins with {"},
      {"- a\n- b", "1:1: this is YAML, not JSON; JSON begins with {"},
      {"<html>", "1:1: this is HTML or XML, not JSON"},
      {"<?xml?>", "1:1: this is HTML or XML, not JSON"},
      {R"(name = "x")", R"(1:1: this is not JSON; JSON writes {"name": ...})"},
      {"export default {}", "1:1: this is not JSON, which begins with {"},
      {"import json", "1:1: this is not JSON, which begins with {"},
      {R"("name": "x", "a": 1)", R"(1:1: put braces around all of it: {"key": value, ...})"},
      {R"({"a": 1} {"b": 2})",
       "1:10: the JSON text has ended before this; a file holds one object, so remove what follows or put it inside"},
      {R"({"a": 1}})", "1:9: remove this }: it closes nothing"},
      {R"({"a": 1}])", "1:9: remove this ]: it closes nothing"},
      {"[1}", "1:3: the [ of line 1, column 1 is open and this } does not close it; write ]"},
      {R"({"a": 1])", "1:8: the { of line 1, column 1 is open and this ] does not close it; write }"},
      {R"({"a": [1, 2})", "1:12: the [ of line 1, column 7 is open and this } does not close it; write ]"},
      {R"({"a": 1)", "1:8: the text ends here, but the { of line 1, column 1 is still open; add a }"},
      {R"({"a": [1,)", "1:10: the text ends here, but the [ of line 1, column 7 is still open; add a ]"},
      {R"({"a")", "1:5: the text ends here, but the { of line 1, column 1 is still open; add a }"},
      {R"({"a":)", "1:6: the text ends here, but the { of line 1, column 1 is still open; add a }"},
      {"{", "1:2: the text ends here, but the { of line 1, column 1 is still open; add a }"},
      {"[", "1:2: the text ends here, but the [ of line 1, column 1 is still open; add a ]"},
      {"", "1:1: the file is empty; JSON begins with {"},
      {" \n ", "2:2: the file is empty; JSON begins with {"},
      {"\357\273\277", "1:1: the file is empty; JSON begins with {"},
      {std::string("\377\376{\000}\000", 6), "1:1: the file is UTF-16; save it as UTF-8"},
      {std::string("\376\377\000{", 4), "1:1: the file is UTF-16; save it as UTF-8"},
      {std::string("{\000\"\000", 4), "1:1: the file is UTF-16; save it as UTF-8"},
      {std::string("{\"a\": 1}\000garbage", 16), "1:9: a zero byte stands here, so this is no text; is it the right file?"},
      {std::string("\000", 1), "1:1: a zero byte stands here, so this is no text; is it the right file?"},
      {"{\"a\": \001}",
       "1:7: a: the character U+0001 is no value; write a number, true, false, null, text in double quotes, [ or {"},
      {"{\"a\": \344}", "1:7: the byte 0xE4 is not UTF-8; save the file as UTF-8"},
      {"{\"a\": \"\344\"}", "1:8: the byte 0xE4 is not UTF-8; save the file as UTF-8"},
      {"{\"\344\": 1}", "1:3: the byte 0xE4 is not UTF-8; save the file as UTF-8"},
      {"{\"a\":\302\2401}", "1:6: the character U+00A0 looks like a space; write a plain one"},
      {"{\342\200\213\"a\": 1}", "1:2: the character U+200B looks like a space; write a plain one"},
      {R"({"a": 1，"b": 2})", "1:8: write a plain , instead of ，"},
      {R"({"a"： 1})", "1:5: write a plain : instead of ："},
      {R"({"a": é})", R"(1:7: a: é is no value; put text in double quotes: "é")"},
      {R"({"a": 日本})", R"(1:7: a: 日本 is no value; put text in double quotes: "日本")"},
      {R"({"a": @})", "1:7: a: @ is no value; write a number, true, false, null, text in double quotes, [ or {"},
      {R"({"a": &x})", "1:7: a: JSON has no variables; write the value itself"},
      {"<<<<<<< HEAD\n{}", "1:1: this is the mark of a merge conflict; resolve it and remove the mark"},
      {"{\"a\": 1,\n<<<<<<< HEAD\n\"b\": 2}", "2:1: this is the mark of a merge conflict; resolve it and remove the mark"},
      {R"({"a": ~})", "1:7: a: JSON writes null, not ~"},
      {"{\"a\": |\n x}", "1:7: a: | is no value; write a number, true, false, null, text in double quotes, [ or {"},
      {R"({"a": !x})", "1:7: a: JSON has no variables; write the value itself"},
      {R"({"a": *})", "1:7: a: * is no value; write a number, true, false, null, text in double quotes, [ or {"},
      {R"({"a": \n})", R"(1:7: a: \n is no value; write a number, true, false, null, text in double quotes, [ or {)"},
      {")", "1:1: ) is no value; write a number, true, false, null, text in double quotes, [ or {"},
      {"}", "1:1: remove this }: it closes nothing"},
      {"]", "1:1: remove this ]: it closes nothing"},
      {":", "1:1: remove this colon"},
      {",", "1:1: a value is missing before the ,"},
      {"{\"a\": \"x\"\n}}\n", "2:2: remove this }: it closes nothing"},
  });
}

TEST_CASE("what is said of JSON that is wrong: what stands within a string") {
  check({
      {R"({"a": "x)", "1:7: this text is not closed; put a double quote at its end"},
      {"{\"a\": \"x\n\"}",
       R"(1:7: this text is not closed on its line; put a double quote at its end, or write \n for a new line)"},
      {"{\"a\": \"x,\n\"b\": 1}",
       R"(1:7: this text is not closed on its line; put a double quote at its end, or write \n for a new line)"},
      {"{\"a\": \"x\ty\"}", R"(1:9: a tab in text is written \t)"},
      {"{\"a\": \"x\001\"}", R"(1:9: this character in text is written \u0001)"},
      {R"({"a": "\d"})", R"(1:8: \d means nothing in text; a backslash is written \\)"},
      {R"({"a": "C:\data"})", R"(1:10: \d means nothing in text; a backslash is written \\)"},
      {R"({"a": "\x41"})", R"(1:8: \x means nothing in text; a backslash is written \\)"},
      {R"({"a": "\'"})", R"(1:8: \' means nothing in text; a backslash is written \\, and ' as it is)"},
      {R"({"a": "\u12"})", R"(1:8: \u takes four hexadecimal digits, as in \u00e9; a backslash is written \\)"},
      {R"({"a": "\ud800"})", R"(1:8: \ud800 is half of a character; write the character itself)"},
      {R"({"a": "\ud800\u0041"})", R"(1:8: \ud800 is half of a character; write the character itself)"},
      {R"({"a": "\udc00"})", R"(1:8: \udc00 is half of a character; write the character itself)"},
      {R"({"a": "\)", "1:7: this text is not closed; put a double quote at its end"},
      {R"({"a": "\"})", "1:7: this text is not closed; put a double quote at its end"},
      {R"({"a": "\é"})", R"(1:8: \é means nothing in text; a backslash is written \\)"},
      {"{\"a\": \"x\r\n\"}",
       R"(1:7: this text is not closed on its line; put a double quote at its end, or write \n for a new line)"},
      {"{\"a\": \"\303\"}", "1:8: the byte 0xC3 is not UTF-8; save the file as UTF-8"},
      {"{\"a\": \"\355\240\200\"}", "1:8: the byte 0xED is not UTF-8; save the file as UTF-8"},
      {"{\"a\n\": 1}",
       R"(1:2: this text is not closed on its line; put a double quote at its end, or write \n for a new line)"},
      {R"({"a": "x" "y"})", R"(1:11: put a comma before "y")"},
  });
}

TEST_CASE("what is quoted from a wrong text is short, and no character is cut") {
  const std::string long_word(1000, 'x');
  std::string accents;
  for (int i = 0; i < 1000; ++i) accents += "é";
  const auto said = [](const std::string& text) { return said_of("{\"a\": " + text + "}").substr(15); };
  std::string sixty;
  for (int i = 0; i < 60; ++i) sixty += "é";
  CHECK(said("'" + accents + "'") == "JSON writes text in straight double quotes: \"" + sixty + "...\"");
  CHECK(said(accents) == sixty + "... is no value; put text in double quotes: \"" + sixty + "...\"");
  CHECK(said(long_word).size() < 200);
  CHECK(said(std::string(400, '9')) == std::string(30, '9') + "... is too large; the largest number is 1.8e308");
  CHECK(said("0." + std::string(400, '0') + "1") ==
        "0." + std::string(28, '0') + "... is too close to 0 for a number; write 0");
  CHECK(said("0" + std::string(400, '1')) ==
        "JSON writes " + std::string(60, '1') + "..., not 0" + std::string(59, '1') + "...");
  CHECK(said_of("{\"" + accents + "\": tru}").size() < 600);
  CHECK(said_of("{\"a\\n\\u001b[31m\": tru}") == "a.json:1:19: a\\n\\u001b[31m: JSON writes true, not tru");
}
