#include "experiments/history.h"

#include <algorithm>
#include <charconv>

#include "core/base/files.h"
#include "core/config/json_document.h"
#include "experiments/damage.h"
#include "experiments/run_folder.h"

namespace az::experiments {
namespace {

using config::Value;

using Entry = TrainedWith;

std::string history_file(const std::string& folder) { return folder + "/configs.jsonl"; }
std::string config_file(const std::string& folder) { return folder + "/config.json"; }

constexpr const char* remedy = "put back a copy, or remove it, and what was changed is not checked";

// Returns where an option stands in what was read, or else where the innermost thing around its place stands.
config::Position place_of(const Value& given, const std::string& path) {
  const Value* at = &given;
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string key = path.substr(begin, end - begin);
    const Value* next = nullptr;
    if (at->is_object()) next = at->find(key);
    size_t index = 0;
    if (at->is_array() && std::from_chars(key.data(), key.data() + key.size(), index).ec == std::errc() &&
        index < at->as_array().size())
      next = &at->as_array()[index];
    if (!next) break;
    at = next;
    begin = end + 1;
  }
  return at->position();
}

// What an option was and what it is, each in a few words.
struct Told {
  Told(const Value& before, const Value& now) : was(brief(before)), is(brief(now)) {
    if (is == was) is = "another";  // long texts with one beginning
    if (!before.is_array() || !now.is_array() || (was.starts_with('[') && is.starts_with('['))) return;
    const Value::Array &old = before.as_array(), &fresh = now.as_array();
    const auto differs = std::mismatch(old.begin(), old.end(), fresh.begin(), fresh.end()).first;
    was = fmt::format("a list of {} elements", old.size());
    is = fmt::format("one of {}, of which number {} is the first that differs,", fresh.size(), differs - old.begin());
  }

  static std::string brief(const Value& value) {
    const std::string text = config::dump(value);
    return text.size() <= 80 ? text : config::short_text(value);
  }

  std::string was, is;
};

// Says at its place why the run cannot go on with what an option is now.
[[noreturn]] void refuse(const std::string& folder, const Value& given, const std::string& path, const std::string& why) {
  const config::Position place = place_of(given, path);
  config::fail_at(place.source ? place : config::Position{std::make_shared<const std::string>(config_file(folder))}, path, why);
}

[[noreturn]] void refuse_change(const std::string& folder, const Value& given, const std::string& path, const Told& told,
                                const std::string& others = "") {
  refuse(folder, given, path,
         fmt::format("was {} in the training so far and is {} now{}, which steps depend on; put it back, or train anew with "
                     "azimuth train (azimuth describe config says what may change on resume)",
                     told.was, told.is, others));
}

// Says whether what is done with a run depends on the option at `path`: an evaluation does on the data and the network alone.
bool depends_on(const std::string& path, Purpose purpose) {
  return purpose != Purpose::evaluation || path.starts_with("data") || path.starts_with("model");
}

// Throws unless all changes are allowed.
void check_changes(const std::string& folder, const RunConfig& run, Purpose purpose) {
  const config::Change* first = nullptr;
  std::string others;
  for (const config::Change& change : run.changes) {
    if (config::has(change.rules, config::Rule::Kind::changes_on_resume) || !depends_on(change.path, purpose)) continue;
    const Told told(change.before, change.now);
    if (first)
      others += fmt::format("{}{} was {} and is {}", others.empty() ? " (and " : ", ", change.path, told.was, told.is);
    else
      first = &change;
  }
  if (!first) return;
  if (!others.empty()) others += ")";
  refuse_change(folder, run.given, first->path, {first->before, first->now}, others);
}

// Throws where a component is of another type now. Its options may not be those of that type, so that the config cannot be
// read.
void check_types(const std::string& folder, const Value& given, const Value& before, const Value& now, Purpose purpose,
                 const std::string& path = "") {
  if (before.is_array() && now.is_array()) {
    for (size_t i = 0; i < std::min(before.as_array().size(), now.as_array().size()); ++i)
      check_types(folder, given, before.as_array()[i], now.as_array()[i], purpose, fmt::format("{}.{}", path, i));
  }
  if (!before.is_object() || !now.is_object()) return;
  for (const config::Member& member : before.as_object()) {
    const std::string inner = path.empty() ? member.key : path + "." + member.key;
    const Value* other = now.find(member.key);
    if (!other || inner == "probes" || !depends_on(inner, purpose)) continue;  // probes may change
    if (member.key == "type" && other->is_string() && !(*other == member.value))
      refuse_change(folder, given, inner, {member.value, *other});
    check_types(folder, given, member.value, *other, purpose, inner);
  }
}

RunConfig compared(const std::string& folder, const std::vector<Entry>& history, ExperimentConfig now, const Value& given,
                   Purpose purpose = Purpose::training) {
  RunConfig run{.now = std::move(now), .given = given};
  if (history.empty()) return run;
  run.before = undamaged(history_file(folder), remedy, [&] { return config::parse<ExperimentConfig>(history.back().config); });
  run.changes = config::changes(*run.before, run.now);
  run.from_the_start = history.front().step == 0;
  check_changes(folder, run, purpose);
  return run;
}

// Says whether the steps that both lengths have are taken at other learning rates. Of many steps, only some are looked at.
bool schedule_differs(const Experiment& experiment, const optim::Length& before, const optim::Length& now) {
  const int64_t steps = std::min(before.steps, now.steps), stride = std::max<int64_t>(1, steps / 1000);
  for (int64_t step = 0; step < steps; step += stride) {
    if (experiment.lr_at(before.moment(step)) != experiment.lr_at(now.moment(step))) return true;
  }
  return false;
}

RunConfig read_config(const std::string& folder, const std::vector<std::string>& overrides, Purpose purpose) {
  Value given = read_run_config(folder);
  set_overrides(given, overrides);
  const std::vector<Entry> history = read_history(folder);
  const auto parsed = [&] {
    try {
      return parse_config(given, config_file(folder));
    } catch (const ConfigError&) {
      if (!history.empty()) check_types(folder, given, history.back().config, given, purpose);
      throw;
    }
  };
  return compared(folder, history, parsed(), given, purpose);
}

}  // namespace

std::vector<TrainedWith> read_history(const std::string& folder) {
  std::vector<Entry> entries;
  const std::string file = history_file(folder);
  return undamaged(file, remedy, [&] {
    if (!is_there(file)) return entries;
    const std::string text = read_file(file);
    size_t lines = 0;
    for (size_t begin = 0; begin < text.size(); ++lines) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      // The empty lines above give errors their place.
      const Value line = config::parse_text(std::string(lines, '\n') + text.substr(begin, end - begin), file);
      entries.push_back({line.at("step").as_int(), line.at("config")});
      begin = end + 1;
    }
    if (entries.empty()) fail("it is empty");
    return entries;
  });
}

RunConfig resumed_config(const std::string& folder, const std::vector<std::string>& overrides) {
  return read_config(folder, overrides, Purpose::training);
}

RunConfig resumed_config(const std::string& folder, const ExperimentConfig& config) {
  return compared(folder, read_history(folder), config, {});
}

ExperimentConfig load_run_config(const std::string& folder, Purpose purpose) {
  try {
    return read_config(folder, {}, purpose).now;
  } catch (const DataError&) {  // of the history, without which nobody can tell
    if (purpose == Purpose::training) throw;
    return parse_config(read_run_config(folder), config_file(folder));
  }
}

void check_length(const std::string& folder, const RunConfig& run, const TrainingState& state, int64_t batches) {
  const TrainOptions& train = run.now.train;
  const char* otherwise = "a run cannot be made shorter than it is: raise it, or train anew with azimuth train";
  if (train.max_steps && *train.max_steps < state.step)
    refuse(folder, run.given, "train.max_steps",
           fmt::format("{} is less than the {} steps trained; {}", *train.max_steps, state.step, otherwise));
  const auto epochs = train.epochs_or_default();
  if (epochs && (*epochs < state.epochs || (*epochs == state.epochs && state.batches > 0)))
    refuse(folder, run.given, "train.epochs",
           fmt::format("{} is less than the {:.4g} epochs trained; {}", *epochs,
                       double(state.epochs) + double(state.batches) / double(batches), otherwise));
}

std::vector<std::string> notes_on_changes(const RunConfig& run, const Experiment& experiment, const TrainingState& state) {
  if (!run.before) return {"the run has no configs.jsonl, so that nobody can tell whether its config.json was changed"};
  std::vector<std::string> notes;
  for (const config::Change& change : run.changes) {
    const Told told(change.before, change.now);
    notes.push_back(fmt::format("{} was {} and is {} now", change.path, told.was, told.is));
  }
  const optim::Length before = run.before->train.length(experiment.steps_per_epoch()), now = experiment.length();
  if (before.steps == now.steps) return notes;
  std::string note = fmt::format("the training has {} steps now, not {}", now.steps, before.steps);
  const bool average_differs = experiment.average && experiment.average->follows_length();
  if (state.step >= now.steps) {
    note += ": there is nothing left to train";
  } else if (!schedule_differs(experiment, before, now)) {
    note += "; the learning rate does not depend on that";
    if (average_differs) note += ", but the decay of train.average does";
  } else {
    note += ", over which the schedule is spread: ";
    if (state.step > 0) note += fmt::format("step {} was taken at the learning rate {:.6g}, ", state.step, state.lr);
    note += fmt::format("step {} is taken at {:.6g} and the last one at {:.6g}", state.step + 1, experiment.lr_at(state.step),
                        experiment.lr_at(now.steps - 1));
    if (average_differs) note += "; so is the decay of train.average";
  }
  notes.push_back(note);
  return notes;
}

void record_config(const std::string& folder, const ExperimentConfig& config, int64_t step) {
  replace_text(config_file(folder), to_json(config));
  const Value now = config::to_value(config);
  std::vector<Entry> entries = read_history(folder);
  // These entries are of steps that are taken again, or that were never taken.
  std::erase_if(entries, [&](const Entry& entry) { return entry.step > step; });
  if (entries.empty() || config::dump(entries.back().config) != config::dump(now)) {
    std::erase_if(entries, [&](const Entry& entry) { return entry.step == step; });
    entries.push_back({step, now});
  }
  std::string text;
  for (const Entry& entry : entries) text += config::dump(Value::Object{{"step", entry.step}, {"config", entry.config}}) + "\n";
  replace_text(history_file(folder), text);
}

}  // namespace az::experiments
