#include "experiments/history.h"

#include <charconv>
#include <filesystem>

#include "core/config/json_document.h"
#include "core/files.h"

namespace az::experiments {
namespace {

namespace fs = std::filesystem;
using config::Value;

struct Entry {
  int64_t step;
  Value config;
};

std::string history_file(const std::string& folder) { return folder + "/configs.jsonl"; }
std::string config_file(const std::string& folder) { return folder + "/config.json"; }

// What `read` gives of the history; whatever it throws is damage.
template <class Read> auto undamaged(const std::string& file, const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    throw DataError(
        fmt::format("{} is damaged: {}; put back a copy, or remove it, and what was changed is not checked", file, error.what()));
  }
}

// Empty where there is no history.
std::vector<Entry> read_history(const std::string& folder) {
  std::vector<Entry> entries;
  const std::string file = history_file(folder);
  if (!fs::exists(file)) return entries;
  const std::string text = read_file(file);
  return undamaged(file, [&] {
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

std::optional<ExperimentConfig> last_config(const std::string& folder) {
  const std::vector<Entry> entries = read_history(folder);
  if (entries.empty()) return {};
  return undamaged(history_file(folder), [&] { return config::parse<ExperimentConfig>(entries.back().config); });
}

// Where an option stands in what was read, or else the innermost thing around its place.
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

std::string brief(const Value& value) {
  const std::string text = config::dump(value);
  return text.size() <= 80 ? text : config::short_text(value);
}

// The changes, which are all allowed. `given` is what the config was read from, for the place of one that is not.
std::vector<config::Change> allowed_changes(const std::string& folder, const ExperimentConfig& before,
                                            const ExperimentConfig& now, const Value& given) {
  std::vector<config::Change> changes = config::changes(before, now);
  const config::Change* first = nullptr;
  std::string others;
  for (const config::Change& change : changes) {
    if (config::has(change.rules, config::Rule::Kind::changes_on_resume)) continue;
    if (first)
      others += fmt::format("{}{} was {} and is {}", others.empty() ? " (and " : ", ", change.path, brief(change.before),
                            brief(change.now));
    else
      first = &change;
  }
  if (!first) return changes;
  if (!others.empty()) others += ")";
  const config::Position place = place_of(given, first->path);
  config::fail_at(place.source ? place : config::Position{std::make_shared<const std::string>(config_file(folder))}, first->path,
                  fmt::format("was {} in the training so far and is {} now{}, which steps depend on; put it back, or train anew "
                              "with azimuth train (azimuth describe config says what may change on resume)",
                              brief(first->before), brief(first->now), others));
}

// Whether the steps that both lengths have are taken at other learning rates; of many steps some are looked at.
bool schedule_differs(const Experiment& experiment, const optim::Length& before, const optim::Length& now) {
  const int64_t steps = std::min(before.steps, now.steps), stride = std::max<int64_t>(1, steps / 1000);
  for (int64_t step = 0; step < steps; step += stride) {
    if (experiment.lr_at(before.moment(step)) != experiment.lr_at(now.moment(step))) return true;
  }
  return false;
}

void replace_text(const std::string& file, const std::string& text) {
  if (!fs::exists(file) || read_file(file) != text) write_file(file, text);
}

}  // namespace

RunConfig resumed_config(const std::string& folder, const std::vector<std::string>& overrides) {
  Value given = read_run_config(folder);
  set_overrides(given, overrides);
  RunConfig run{.now = parse_config(given, config_file(folder)), .before = last_config(folder), .changes = {}};
  if (run.before) run.changes = allowed_changes(folder, *run.before, run.now, given);
  return run;
}

std::vector<std::string> notes_on_changes(const RunConfig& run, const Experiment& experiment, const TrainingState& state) {
  if (!run.before) return {"the run has no configs.jsonl, so that nobody can tell whether its config.json was changed"};
  std::vector<std::string> notes;
  for (const config::Change& change : run.changes)
    notes.push_back(fmt::format("{} was {} and is {} now", change.path, brief(change.before), brief(change.now)));
  const optim::Length before = run.before->train.length(experiment.steps_per_epoch()), now = experiment.length();
  if (before.steps == now.steps) return notes;
  std::string note = fmt::format("the training has {} steps now, not {}", now.steps, before.steps);
  if (state.step >= now.steps) {
    note += ": there is nothing left to train";
  } else if (!schedule_differs(experiment, before, now)) {
    note += "; the learning rate does not depend on that";
  } else {
    note += ", over which the schedule is spread: ";
    if (state.step > 0) note += fmt::format("step {} was taken at the learning rate {:.6g}, ", state.step, state.lr);
    note += fmt::format("step {} is taken at {:.6g} and the last one at {:.6g}", state.step + 1, experiment.lr_at(state.step),
                        experiment.lr_at(now.steps - 1));
  }
  if (experiment.average && experiment.average->follows_length()) note += "; so is the decay of train.average";
  notes.push_back(note);
  return notes;
}

void check_resumable(const std::string& folder, const ExperimentConfig& config) {
  if (const auto before = last_config(folder)) allowed_changes(folder, *before, config, {});
}

void record_config(const std::string& folder, const ExperimentConfig& config, int64_t step) {
  replace_text(config_file(folder), to_json(config));
  const Value now = config::to_value(config);
  std::vector<Entry> entries = read_history(folder);
  // Of steps that are taken again, or that were never taken.
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
