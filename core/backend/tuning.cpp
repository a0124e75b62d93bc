#include "core/backend/tuning.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "core/backend/candidates.h"
#include "core/backend/info.h"
#include "core/base/ascii.h"
#include "core/base/c_locale.h"
#include "core/base/cache_folder.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/threads.h"

namespace az {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Machine {
  std::string processor, instruction_set, onednn;
  bool operator==(const Machine&) const = default;
};

Machine this_machine() {
  const BackendInfo info = backend_info();
  return {info.processor, info.onednn_isa, info.onednn};
}

Json parsed(const std::string& text) {
  const CLocale locale;
  return Json::parse(text);
}

Machine machine_of(const Json& json) { return {json.at("processor"), json.at("instruction_set"), json.at("onednn")}; }

// The two shortest times of an implementation. Where they are close, nothing else disturbed them.
struct Times {
  double best = INFINITY, second = INFINITY;
  void add(double seconds) {
    second = std::min(second, std::max(best, seconds));
    best = std::min(best, seconds);
  }
  bool settled() const { return second < 1.1 * best + 2e-5; }
};

struct Fastest {
  size_t index;
  bool settled;  // otherwise others kept the machine busy, and another time may say otherwise
};

// How choices are made, below and in the candidates offered; one more with each change, so that none made otherwise stays.
constexpr int timing_rule = 12;

// What the file remembers.
struct Memory {
  Algorithms fastest;
  std::set<std::string> right;  // "<problem>: <implementation>"
};
// Who meets new shapes without end must not fill it.
constexpr size_t most_remembered = 10'000;

// Which candidates are right: each is asked where it is not remembered, once, when it matters.
class Right {
 public:
  Right(const Candidates& candidates, std::set<std::string>& remembered)
      : candidates_(candidates), remembered_(remembered), known_(candidates.names.size()) {}

  bool operator()(size_t i) {
    if (!known_[i]) {
      const std::string fact = fmt::format("{}, {} threads: {}", candidates_.tried, thread_count(), candidates_.names[i]);
      known_[i] = remembered_.contains(fact) || candidates_.is_right(i);
      if (*known_[i] && remembered_.size() < most_remembered) remembered_.insert(fact);
    }
    return *known_[i];
  }
  // `wanted`, or else the first.
  std::optional<size_t> first(size_t wanted) {
    if ((*this)(wanted)) return wanted;
    for (size_t i = 0; i < known_.size(); ++i) {
      if ((*this)(i)) return i;
    }
    return {};
  }
  std::vector<size_t> competing() {
    std::vector<size_t> found;
    for (size_t i = 0; i < candidates_.competing; ++i) {
      if ((*this)(i)) found.push_back(i);
    }
    return found;
  }

 private:
  const Candidates& candidates_;
  std::set<std::string>& remembered_;
  std::vector<std::optional<bool>> known_;
};

// The least of several times of each of `competing`, taken by turns so that what disturbs the machine disturbs all alike. The
// first, which is what the library itself would take, stays unless another is clearly faster.
Fastest fastest(const Candidates& candidates, const std::vector<size_t>& competing) {
  if (competing.size() == 1) return {competing[0], true};
  const size_t count = competing.size();
  constexpr int least_rounds = 6, most_rounds = 24;
  constexpr double enough = 0.1, hopeless = 2, clearly = 0.97;
  std::vector<Times> times(count);
  auto winner = [&] {
    return size_t(std::min_element(times.begin(), times.end(), [](auto& a, auto& b) { return a.best < b.best; }) -
                  times.begin());
  };
  auto settled = [&] { return times[winner()].settled() && times[0].settled(); };
  const double start = candidates.now();
  candidates.run(competing[0]);  // touches the memory that all of them use
  for (int round = 0; round < most_rounds; ++round) {
    if (round >= least_rounds && candidates.now() - start > enough && settled()) break;
    const double limit = hopeless * times[winner()].best;
    for (size_t i = 0; i < count; ++i) {
      // The first time says little, as memory of its own may have been new.
      if (round > 1 && times[i].best > limit && times[i].settled()) continue;
      const double before = candidates.now();
      candidates.run(competing[i]);
      times[i].add(candidates.now() - before);
    }
  }
  const size_t index = times[winner()].best < clearly * times[0].best ? winner() : 0;
  return {competing[index], settled()};
}

std::optional<size_t> find(const Algorithms& choices, const std::string& problem, const std::vector<std::string>& names) {
  const auto choice = choices.find(problem);
  if (choice == choices.end()) return {};
  const auto at = std::find(names.begin(), names.end(), choice->second);
  if (at == names.end()) return {};
  return size_t(at - names.begin());
}

class Tuner {
 public:
  ~Tuner() { save(); }

  void reset(AlgorithmChoice choice, Algorithms known) {
    std::lock_guard lock(mutex_);
    save();
    choice_ = choice;
    chosen_ = std::move(known);
    memory_.reset();
    ++generation_;
  }

  std::optional<size_t> choose(const Candidates& c) {
    std::lock_guard lock(mutex_);
    if (!memory_) {
      file_ = tuning_file();
      memory_ = recall().value_or(Memory());
    }
    const size_t known = memory_->right.size();
    const std::optional<size_t> index = choose(c, *memory_);
    unsaved_ |= memory_->right.size() != known;
    if (steady_seconds() - saved_at_ > 1) save();
    return index;
  }

  Algorithms chosen() {
    std::lock_guard lock(mutex_);
    return chosen_;
  }
  std::string note() {
    std::lock_guard lock(mutex_);
    save();
    return note_;
  }
  uint64_t generation() const { return generation_; }

 private:
  std::optional<size_t> choose(const Candidates& c, Memory& memory) {
    Right right(c, memory.right);
    if (c.competing < 2 || !c.worth_timing) return right.first(c.by_rule);
    const std::string problem = fmt::format("{}, {} threads", c.problem, thread_count());
    auto named_by = [&](const Algorithms& table) {
      const std::optional<size_t> index = find(table, problem, c.names);
      return index && right(*index) ? index : std::nullopt;
    };
    std::optional<size_t> index = named_by(chosen_);
    if (!index && choice_ == AlgorithmChoice::fixed) index = right.first(c.by_rule);
    if (!index) index = named_by(memory.fastest);
    if (!index) {
      if (const std::vector<size_t> competing = right.competing(); !competing.empty()) {
        const Fastest timed = fastest(c, competing);
        index = timed.index;
        if (timed.settled) {
          memory.fastest[problem] = c.names[*index];
          unsaved_ = true;
          saved_at_ = -INFINITY;  // to have it again takes longer than to write it
        }
      } else {
        index = right.first(c.by_rule);
      }
    }
    if (index) chosen_[problem] = c.names[*index];
    return index;
  }

  // What the file holds for this machine; nothing where it cannot be read now.
  std::optional<Memory> recall() {
    if (file_.empty()) return Memory();
    try {
      if (!is_there(file_)) return Memory();
      const std::string text = read_file(file_);
      const Json json = parsed(text);
      if (machine_of(json) == this_machine())
        return Memory{algorithms_from_json(text), json.at("right").get<std::set<std::string>>()};
      note_ = fmt::format("the tuning cache {} is another machine's; {}", file_, anew);
    } catch (const FileError& unreadable) {
      note_ = fmt::format("the tuning cache {}; {}", unreadable.what(), anew);
      return {};
    } catch (const std::exception&) {
      note_ = fmt::format("the tuning cache {} is damaged; {}", file_, anew);
    }
    return Memory();
  }

  // Reads the file again first: another process may have added to it.
  void save() {
    if (!std::exchange(unsaved_, false)) return;
    saved_at_ = steady_seconds();
    if (file_.empty()) {
      note_ = fmt::format("no place for the tuning cache: {}; until then {}", why_no_cache_folder(), always_anew);
      return;
    }
    std::optional<Memory> all = recall();
    if (!all) return;
    for (const auto& [problem, name] : memory_->fastest) all->fastest[problem] = name;
    all->right.insert(memory_->right.begin(), memory_->right.end());
    try {
      const fs::path folder = fs::path(file_).parent_path();
      if (const std::error_code error = make_folders(folder)) throw FileError(file_, "cannot be written", error.value());
      if (!std::exchange(cleared_, true)) delete_unfinished_files(folder.string());
      Json json = parsed(algorithms_to_json(all->fastest));
      json["right"] = all->right;
      write_file(file_, json.dump(2) + "\n");
    } catch (const std::exception& unwritten) {
      note_ = fmt::format("the tuning cache {}; until that is mended {}", unwritten.what(), always_anew);
    }
  }

  static constexpr const char* anew = "convolutions are tried and timed anew";
  static constexpr const char* always_anew = "each run tries and times convolutions anew";

  std::mutex mutex_;
  AlgorithmChoice choice_ = AlgorithmChoice::timed;
  Algorithms chosen_;
  std::string file_;
  std::optional<Memory> memory_;
  bool unsaved_ = false, cleared_ = false;
  double saved_at_ = -INFINITY;  // seconds
  std::string note_;
  std::atomic<uint64_t> generation_ = 1;
};

Tuner& tuner() {
  static Tuner instance;
  return instance;
}

}  // namespace

void set_algorithms(AlgorithmChoice choice, Algorithms known) { tuner().reset(choice, std::move(known)); }
Algorithms algorithms() { return tuner().chosen(); }
std::string tuning_note() { return tuner().note(); }
std::optional<size_t> choose(const Candidates& candidates) { return tuner().choose(candidates); }
uint64_t algorithms_generation() { return tuner().generation(); }

std::string tuning_file() {
  if (cache_folder().empty()) return "";
  const Machine machine = this_machine();
  std::string name =
      fmt::format("{} {} oneDNN {} rule {}", machine.processor, machine.instruction_set, machine.onednn, timing_rule);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !is_letter(c) && !is_digit(c) && c != '.'; }, '_');
  return (cache_folder() / "tuning" / (name + ".json")).string();
}

std::string algorithms_to_json(const Algorithms& algorithms) {
  const Machine machine = this_machine();
  const Json json = {{"processor", machine.processor},
                     {"instruction_set", machine.instruction_set},
                     {"onednn", machine.onednn},
                     {"algorithms", algorithms}};
  return json.dump(2) + "\n";
}

Algorithms algorithms_from_json(const std::string& text) {
  const CLocale locale;
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) fail("it is not JSON");
  try {
    return json.at("algorithms").get<Algorithms>();
  } catch (const Json::exception&) {
    fail("it has no table \"algorithms\" of names by problem");
  }
}

}  // namespace az
