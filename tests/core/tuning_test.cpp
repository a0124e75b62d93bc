#include "core/backend/tuning.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "core/backend/backend.h"
#include "core/backend/candidates.h"
#include "core/backend/conv/offer.h"
#include "core/base/error.h"
#include "core/base/random.h"
#include "core/ops/conv.h"
#include "core/tensor/create.h"
#include "tests/compare.h"
#include "tests/core/direct_conv.h"
#include "tests/core/own_cache.h"

namespace az::test {
namespace {

namespace fs = std::filesystem;

void write(const std::string& file, const std::string& text) {
  fs::create_directories(fs::path(file).parent_path());
  std::ofstream(file) << text;
}

// Three ways to solve a problem, of which "quick" takes no time, by a clock of its own: what disturbs the machine changes
// nothing.
struct Problem {
  int runs = 0;
  double time = 0;  // seconds
  std::set<std::string> wrong = {};
  std::vector<std::string> asked = {};  // whether they are right
  Candidates candidates{.problem = "a problem",
                        .names = {"slow", "quick", "slower"},
                        .by_rule = 2,
                        .run =
                            [this](size_t i) {
                              ++runs;
                              time += i == 0 ? 2e-3 : i == 2 ? 20e-3 : 0;
                            },
                        .is_right =
                            [this](size_t i) {
                              asked.push_back(candidates.names[i]);
                              return !wrong.contains(candidates.names[i]);
                            },
                        .now = [this] { return time; }};
  std::string solve() {
    const std::optional<size_t> choice = choose(candidates);
    return choice ? candidates.names[*choice] : "none";
  }
};

// The cache file: the table and which implementations are right.
void write_cache(const std::string& table, const std::vector<std::string>& right) {
  nlohmann::json json = nlohmann::json::parse(table);
  json["right"] = right;
  write(tuning_file(), json.dump());
}

std::string only_choice() {
  const Algorithms all = algorithms();
  return all.size() == 1 ? all.begin()->second : "";
}

}  // namespace

TEST_CASE("tuning: the fastest is chosen by timing, once, and remembered") {
  OwnCache cache;
  set_algorithms(AlgorithmChoice::timed);
  Problem problem;
  CHECK(problem.solve() == "quick");
  CHECK(only_choice() == "quick");
  const int timed = problem.runs;
  CHECK(timed > 3);
  CHECK(problem.solve() == "quick");
  set_algorithms(AlgorithmChoice::timed);
  CHECK(algorithms().empty());
  CHECK(problem.solve() == "quick");
  CHECK(only_choice() == "quick");
  CHECK(problem.runs == timed);
  CHECK(tuning_note() == "");

  Problem other;
  other.candidates.problem = "another problem";
  CHECK(other.solve() == "quick");
  std::ifstream in(tuning_file());
  CHECK(algorithms_from_json({std::istreambuf_iterator<char>(in), {}}).size() == 2);
  CHECK(std::distance(fs::directory_iterator(fs::path(tuning_file()).parent_path()), {}) == 1);
}

TEST_CASE("tuning: one that is slow the first time only, as where its memory is new, is chosen all the same") {
  OwnCache cache;
  set_algorithms(AlgorithmChoice::timed);
  Problem problem;
  problem.candidates.names[1] = "late";
  problem.candidates.run = [&, run = problem.candidates.run, first = true](size_t i) mutable {
    if (i == 1 && std::exchange(first, false)) problem.time += 0.2;
    run(i);
  };
  CHECK(problem.solve() == "late");
}

TEST_CASE("tuning: times that do not agree choose for this program, and are not remembered") {
  OwnCache cache;
  set_algorithms(AlgorithmChoice::timed);
  Problem problem;
  problem.candidates.run = [&, next = 0.01](size_t i) mutable {
    ++problem.runs;
    problem.time += i == 1 ? next : 0.06;
    if (i == 1) next = std::min(next + 0.01, 0.03);
  };
  CHECK(problem.solve() == "quick");
  CHECK(only_choice() == "quick");
  const int timed = problem.runs;
  CHECK(problem.solve() == "quick");
  CHECK(problem.runs == timed);
  set_algorithms(AlgorithmChoice::timed);
  problem.solve();
  CHECK(problem.runs > timed);
}

TEST_CASE("tuning: what another version's rule chose is not taken") {
  OwnCache cache;
  set_algorithms(AlgorithmChoice::timed);
  Problem problem;
  problem.solve();
  const std::string file = tuning_file(), rule = "_rule_";
  const size_t at = file.find(rule);
  REQUIRE(at != std::string::npos);
  fs::rename(file, file.substr(0, at + rule.size()) + "1.json");
  const int timed = problem.runs;
  set_algorithms(AlgorithmChoice::timed);
  CHECK(problem.solve() == "quick");
  CHECK(problem.runs > timed);
}

TEST_CASE("tuning: what is known is taken, unless there is no such implementation") {
  OwnCache cache;
  set_algorithms(AlgorithmChoice::timed);
  Problem problem;
  problem.solve();
  Algorithms known = algorithms();
  const int timed = problem.runs;
  known.begin()->second = "slower";
  set_algorithms(AlgorithmChoice::timed, known);
  CHECK(problem.solve() == "slower");
  set_algorithms(AlgorithmChoice::fixed, known);
  CHECK(problem.solve() == "slower");
  known.begin()->second = "of another processor";
  set_algorithms(AlgorithmChoice::timed, known);
  CHECK(problem.solve() == "quick");  // from the file
  CHECK(only_choice() == "quick");
  CHECK(problem.runs == timed);
}

TEST_CASE("tuning: one whose result is wrong is not chosen, whatever names it") {
  OwnCache cache;
  set_algorithms(AlgorithmChoice::timed);
  Problem problem;
  REQUIRE(problem.solve() == "quick");
  CHECK(problem.asked == std::vector<std::string>{"slow", "quick", "slower"});  // each once
  const Algorithms known = algorithms();
  for (const char* source : {"timing", "the cache", "a table", "a table and the rule"}) {
    CAPTURE(source);
    OwnCache other;
    if (source == std::string("the cache")) write_cache(algorithms_to_json(known), {"another problem: quick"});
    const bool by_table = source[0] == 'a', by_rule = source == std::string("a table and the rule");
    set_algorithms(by_rule ? AlgorithmChoice::fixed : AlgorithmChoice::timed, by_table ? known : Algorithms{});
    Problem trial;
    trial.wrong = {"quick"};
    CHECK(trial.solve() == (by_rule ? "slower" : "slow"));
    CHECK(only_choice() == (by_rule ? "slower" : "slow"));
  }
}

TEST_CASE("tuning: one that was found right is not tried again, in this program or the next, whatever chooses it") {
  for (const auto choice : {AlgorithmChoice::timed, AlgorithmChoice::fixed}) {
    for (const bool worth : {false, true}) {
      OwnCache cache;
      auto asked = [&](const char* tried, const char* problem) {
        Problem p;
        p.candidates.problem = problem;
        p.candidates.tried = tried;
        p.candidates.worth_timing = worth;
        p.solve();
        return p.asked.size();
      };
      const size_t all = choice == AlgorithmChoice::timed && worth ? 3 : 1;
      set_algorithms(choice);
      CHECK(asked("5 images", "8 images or fewer") == all);
      CHECK(asked("5 images", "8 images or fewer") == 0);
      CHECK(asked("6 images", "8 images or fewer") == 1);  // the one that is chosen: another size is another problem
      set_algorithms(choice);                              // as the next program does
      CHECK(asked("5 images", "8 images or fewer") == 0);
      CHECK(asked("6 images", "8 images or fewer") == 0);
      CHECK(asked("7 images", "8 images or fewer") == 1);
      CHECK(tuning_note() == "");
    }
  }
}

TEST_CASE("tuning: what another program found right meanwhile stays, and a wrong one is asked again") {
  OwnCache cache;
  Problem problem;
  problem.wrong = {"slower"};
  CHECK(problem.solve() == "slow");
  write_cache(algorithms_to_json({}), {"another problem, 1 threads: other"});
  set_algorithms(AlgorithmChoice::fixed);  // writes what it found
  std::ifstream in(tuning_file());
  const auto right = nlohmann::json::parse(in).at("right").get<std::vector<std::string>>();
  CHECK(right.size() == 2);
  CHECK(right[1] == "another problem, 1 threads: other");
  problem.asked = {};
  CHECK(problem.solve() == "slow");
  CHECK(problem.asked == std::vector<std::string>{"slower"});
}

TEST_CASE("tuning: where the rule's candidate is wrong, the first that is right is taken; where none is, none") {
  OwnCache cache;
  Problem problem;
  problem.wrong = {"slower"};
  set_algorithms(AlgorithmChoice::fixed);
  CHECK(problem.solve() == "slow");
  problem.candidates.worth_timing = false;
  CHECK(problem.solve() == "slow");
  problem.candidates.tried = "another problem";
  problem.wrong = {"slow", "quick", "slower"};
  for (const auto choice : {AlgorithmChoice::fixed, AlgorithmChoice::timed}) {
    for (const bool worth : {false, true}) {
      set_algorithms(choice);
      problem.candidates.worth_timing = worth;
      CHECK(problem.solve() == "none");
    }
  }
  Problem only{.candidates = {.problem = "one more problem", .names = {"only"}}};
  only.wrong = {"only"};
  only.candidates.is_right = [&](size_t) { return !only.wrong.contains("only"); };
  CHECK(only.solve() == "none");
  only.wrong = {};
  CHECK(only.solve() == "only");
}

TEST_CASE("tuning: a fall-back is not timed, and is taken where none of those that compete is right") {
  OwnCache cache;
  set_algorithms(AlgorithmChoice::timed);
  Problem problem;
  problem.candidates.competing = 1;
  CHECK(problem.solve() == "slower");  // by rule: there is nothing to compare
  problem.candidates.competing = 2;
  std::set<size_t> timed;
  problem.candidates.run = [&, run = problem.candidates.run](size_t i) {
    timed.insert(i);
    run(i);
  };
  CHECK(problem.solve() == "quick");
  CHECK(timed == std::set<size_t>{0, 1});
  set_algorithms(AlgorithmChoice::timed);
  problem.candidates.problem = problem.candidates.tried = "another problem";
  problem.wrong = {"slow", "quick"};
  CHECK(problem.solve() == "slower");
}

TEST_CASE("tuning: the fixed choice follows the rule, times nothing and remembers no choice") {
  OwnCache cache;
  set_algorithms(AlgorithmChoice::fixed);
  Problem problem;
  CHECK(problem.solve() == "slower");
  CHECK(only_choice() == "slower");
  set_algorithms(AlgorithmChoice::timed);
  problem.candidates.worth_timing = false;
  CHECK(problem.solve() == "slower");
  CHECK(algorithms().empty());
  CHECK(problem.runs == 0);
  set_algorithms(AlgorithmChoice::fixed);
  std::ifstream in(tuning_file());
  CHECK(algorithms_from_json({std::istreambuf_iterator<char>(in), {}}).empty());
}

TEST_CASE("tuning: a cache that is damaged, another machine's or cannot be written is told of and harms nothing") {
  OwnCache cache;
  const std::string file = tuning_file();
  auto solved = [] {
    set_algorithms(AlgorithmChoice::timed);
    Problem problem;
    CHECK(problem.solve() == "quick");
    return problem.runs > 0;
  };
  for (const char* text : {"", "{", "[]", "{}", R"({"processor": 3})", "\xff\xfe"}) {
    CAPTURE(text);
    write(file, text);
    CHECK(solved());
    CHECK(tuning_note() == "the tuning cache " + file + " is damaged; convolutions are tried and timed anew");
    CHECK_FALSE(solved());  // mended
  }
  std::string text = algorithms_to_json({{"a problem", "slow"}});
  const std::string here = R"("instruction_set": ")";
  text.insert(text.find(here) + here.size(), "other ");
  write(file, text);
  CHECK(solved());
  CHECK(tuning_note() == "the tuning cache " + file + " is another machine's; convolutions are tried and timed anew");

  const ScopedVariable variable("XDG_CACHE_HOME", "/proc/none");
  CHECK(solved());
  CHECK(tuning_note() == "the tuning cache " + tuning_file() +
                             ": cannot be written: No such file or directory; until that is mended each run tries and times "
                             "convolutions anew");
}

TEST_CASE("tuning: a table of algorithms reads back, and a damaged one says so") {
  const Algorithms table = {{"a", "x"}, {"b", "y"}};
  CHECK(algorithms_from_json(algorithms_to_json(table)) == table);
  CHECK_THROWS_AS(algorithms_from_json("{"), Error);
  CHECK_THROWS_AS(algorithms_from_json(R"({"algorithms": {"a": 1}})"), Error);
}

TEST_CASE("tuning: convolutions run by the table they are given, equal tables to equal bits, every table to the same numbers") {
  OwnCache cache;
  Philox generator(5);
  const Tensor weight = uniform({48, 32, 3, 3}, {.low = -1, .high = 1}, generator);
  const Tensor x = uniform({8, 32, 9, 8}, {.low = -1, .high = 1}, generator),
               g = uniform({8, 48, 9, 8}, {.low = -1, .high = 1}, generator);
  auto solve = [&](DType type) {
    Tensor leaf = x.to(type).clone().set_requires_grad(), w = weight.to(type).clone().set_requires_grad();
    Tensor y = conv2d(leaf, w, {}, {.padding = 1});
    y.backward(g.to(type));
    return std::vector<Tensor>{y.detach(), leaf.grad(), w.grad()};
  };
  const auto wanted = solve(DType::f64);
  set_algorithms(AlgorithmChoice::fixed);
  const auto fixed = solve(DType::f32);
  const Algorithms by_rule = algorithms();
  set_algorithms(AlgorithmChoice::timed);
  const auto timed = solve(DType::f32);
  const Algorithms by_timing = algorithms();
  CHECK(by_timing.size() == by_rule.size());
  bool winograd = false;
  for (const auto& [problem, name] : by_rule) winograd |= name.find("wino") != std::string::npos;
  CHECK(winograd == !by_rule.empty());  // other processors than x86-64 may have one implementation only
  set_algorithms(AlgorithmChoice::timed, by_rule);
  const auto again = solve(DType::f32);
  CHECK(algorithms() == by_rule);
  for (size_t i = 0; i < wanted.size(); ++i) {
    CAPTURE(i);
    CHECK(fixed[i].to_vector<float>() == again[i].to_vector<float>());
    CHECK(distance(fixed[i], wanted[i]) <= 1e-4);
    CHECK(distance(timed[i], wanted[i]) <= 1e-4);
  }
  // The table decides: another implementation rounds otherwise.
  Algorithms direct = by_rule;
  for (auto& [problem, name] : direct) name = test::direct_conv(problem);
  set_algorithms(AlgorithmChoice::fixed, direct);
  const auto other = solve(DType::f32);
  CHECK(algorithms() == direct);
  for (const auto& [problem, name] : direct) {
    CAPTURE(problem);
    const size_t i = problem.starts_with("forward") ? 0 : problem.starts_with("backward_data") ? 1 : 2;
    CHECK(other[i].to_vector<float>() != fixed[i].to_vector<float>());
  }
}

TEST_CASE("tuning: a table may name a fall-back of oneDNN's where a residual is added, as it is right") {
  OwnCache cache;
  Philox generator(7);
  const Tensor weight = uniform({48, 32, 3, 3}, {.low = -1, .high = 1}, generator);
  const Tensor x = uniform({8, 32, 9, 8}, {.low = -1, .high = 1}, generator),
               residual = uniform({8, 48, 9, 8}, {.low = -1, .high = 1}, generator);
  auto solve = [&](DType type) {
    return backend_for(type, "conv2d")
        .conv2d(x.to(type), weight.to(type), {}, {}, {.padding = 1}, {residual.to(type), true}, residual.shape());
  };
  const Tensor wanted = solve(DType::f64);
  set_algorithms(AlgorithmChoice::fixed);
  solve(DType::f32);
  const ConvProblem with_sum{"forward", x.shape(), weight.shape(), residual.shape(), DType::f32, {.padding = 1},
                             false,     true,      true,           {x.layout()}};
  const Implementations<ConvForward> offer = offered<ConvForward>(with_sum);
  for (const char* name : {"x64:gemm:jit", "ref:any"}) {
    if (offer.find(name) == offer.all.size()) continue;  // other processors and versions have others
    Algorithms table = algorithms();
    for (auto& [problem, choice] : table) choice = name;
    set_algorithms(AlgorithmChoice::fixed, table);
    CHECK(distance(solve(DType::f32), wanted) <= 1e-5);
    CHECK(algorithms() == table);
  }
}

}  // namespace az::test
