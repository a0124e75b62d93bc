#include "experiments/sweep/plan.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "core/base/ascii.h"
#include "core/base/files.h"
#include "core/config/json_document.h"
#include "core/config/unknown_key.h"
#include "experiments/preflight.h"
#include "experiments/sweep/overlap.h"

namespace az::experiments {
namespace {

namespace fs = std::filesystem;
using config::fail_at;
using config::Member;
using config::Value;
using Settings = Value::Object;  // "optimizer.lr": 0.1, ...

constexpr size_t most_runs = 10000;

// How a run's name shows a value: as it is where that can stand in a file name, else by its number in the grid.
std::string value_text(const Value& value, size_t index) {
  if (value.is_array() || value.is_object()) return "#" + std::to_string(index + 1);
  const std::string text = value.is_string() ? value.as_string() : config::dump(value);
  const auto plain = [](char c) { return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-' || c == '+'; };
  const bool usable = !text.empty() && text.size() <= 40 && std::all_of(text.begin(), text.end(), plain);
  return usable ? text : "#" + std::to_string(index + 1);
}

// "lr" of "optimizer.lr", or the whole where another key of the grid ends likewise.
std::string short_key(const std::string& key, const Settings& grid) {
  const auto end_of = [](const std::string& path) { return path.substr(path.rfind('.') + 1); };
  const auto same = std::count_if(grid.begin(), grid.end(), [&](const Member& m) { return end_of(m.key) == end_of(key); });
  return same > 1 ? key : end_of(key);
}

void join(std::string& name, const std::string& part) { name += (name.empty() ? "" : ",") + part; }

struct Choice {
  Settings settings;
  std::string name;  // "lr=0.1,momentum=0.9"
};

// Every combination of the grid's values; the last key varies fastest.
std::vector<Choice> choices_of(const Settings& grid, const std::string& path) {
  std::vector<Choice> choices(1);
  for (const Member& axis : grid) {
    const std::string place = path + "." + axis.key;
    const Value::Array& values = axis.value.as_array();
    if (choices.size() * values.size() > most_runs)
      fail_at(axis.value.position(), place, fmt::format("makes more than {} runs; try fewer values", most_runs));
    std::vector<Choice> longer;
    for (const Choice& choice : choices) {
      for (size_t i = 0; i < values.size(); ++i) {
        Choice next = choice;
        next.settings.push_back({axis.key, values[i], values[i].position()});
        join(next.name, short_key(axis.key, grid) + "=" + value_text(values[i], i));
        longer.push_back(std::move(next));
      }
    }
    choices = std::move(longer);
  }
  return choices;
}

Settings together(Settings first, const Settings& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// One variant with what the sweep adds to it.
struct Variant {
  std::string path;  // in the sweep file: "variants.2", or "" for the sweep itself
  config::Position position;
  std::string name, base;
  Settings set, grid;
  bool own_grid = false;  // not the sweep's
  std::optional<std::vector<int64_t>> seeds;
};

class Planner {
 public:
  Planner(std::string path, const std::vector<std::string>& overrides)
      : path_(std::move(path)), overrides_(overrides), file_(config::parse_file(path_)) {
    const bool is_experiment = file_.is_object() && file_.find("data") && file_.find("model") && !file_.find("base");
    if (is_experiment)
      throw ConfigError(fmt::format(
          "{0}: this is an experiment, not a sweep; train it with: azimuth train {0}, or name it as the \"base\" of a sweep",
          path_));
    try {
      options_ = config::parse<SweepOptions>(file_);
    } catch (const config::UnknownKey& error) {
      point_to_set(error);
      throw;
    }
    for (const std::string& text : overrides_) {
      if (text.starts_with("seed=") || text.starts_with("name="))
        throw ConfigError("--set " + text + ": a sweep gives its runs their seeds and names");
    }
  }

  Sweep plan() {
    Sweep sweep{
        .name = name_or_stem(options_.name, path_), .description = options_.description, .runs = {}, .legend = {}, .notes = {}};
    for (const Variant& variant : variants()) add(variant, sweep);
    for (const auto& [note, groups] : notes_) {
      const std::string more = groups.size() > 1 ? fmt::format(" and {} more", groups.size() - 1) : "";
      sweep.notes.push_back(groups.size() == groups_.size() ? note : fmt::format("{} ({}{})", note, groups[0], more));
    }
    return sweep;
  }

 private:
  std::vector<Variant> variants() const {
    std::vector<Variant> result;
    if (options_.variants.empty()) result.push_back(complete({}, file_, ""));
    for (size_t i = 0; i < options_.variants.size(); ++i) {
      const Value& value = file_.at("variants").as_array()[i];
      result.push_back(complete(options_.variants[i], value, fmt::format("variants.{}", i)));
    }
    return result;
  }

  Variant complete(const SweepVariant& given, const Value& value, const std::string& path) const {
    const std::string prefix = path.empty() ? "" : path + ".";
    Variant variant{.path = path,
                    .position = value.position(),
                    .name = given.name,
                    .base = base_of(given, value, prefix),
                    .set = together(options_.set, given.set),
                    .grid = given.grid.value_or(options_.grid),
                    .own_grid = given.grid.has_value(),
                    .seeds = given.seeds ? given.seeds : options_.seeds};
    std::vector<GivenKey> keys;
    const auto add = [&](const Settings& settings, GivenKey::By by, const std::string& place) {
      for (const Member& m : settings) keys.push_back({m.key, by, m.position, place + "." + m.key});
    };
    add(options_.set, GivenKey::By::set, "set");
    add(given.set, GivenKey::By::variant_set, prefix + "set");
    add(variant.grid, GivenKey::By::grid, (given.grid ? prefix : "") + "grid");
    for (const std::string& text : overrides_) {
      const std::string key = text.substr(0, text.find('='));
      keys.push_back({key, GivenKey::By::command_line, {std::make_shared<const std::string>("--set " + key)}});
    }
    check_overlaps(keys);
    return variant;
  }

  std::string base_of(const SweepVariant& given, const Value& value, const std::string& prefix) const {
    const std::optional<std::string>& base = given.base ? given.base : options_.base;
    if (!base) fail_at(value.position(), prefix + "base", "required key is missing: the config that the runs vary");
    const std::string path = (fs::path(path_).parent_path() / *base).lexically_normal().string();
    const Value& place = given.base ? value.at("base") : file_.at("base");
    if (std::error_code error; !fs::is_regular_file(path, error))
      fail_at(place.position(), (given.base ? prefix : "") + "base",
              absolute_path(path) + " is no file that can be read; is the path right? It counts from the sweep file");
    return path;
  }

  void add(const Variant& variant, Sweep& sweep) {
    const std::string grid_path = variant.path.empty() ? "grid" : variant.path + ".grid";
    const std::vector<Choice> choices = choices_of(variant.grid, grid_path);
    for (const Choice& choice : choices) {
      try {
        add(variant, choice, &choice == &choices.front(), sweep);
      } catch (Error& error) {
        std::string run = variant.name;
        if (!choice.name.empty()) join(run, choice.name);
        // An error about the base, which other runs have, too, does not say which run it is of.
        if (!run.empty() && !std::string(error.what()).starts_with(path_ + ":"))
          error.add(fmt::format(" (in the run {})", run));
        throw;
      }
    }
  }

  void add(const Variant& variant, const Choice& choice, bool is_first, Sweep& sweep) {
    std::string group = variant.name;
    const ExperimentConfig first = resolve(variant, choice, {}).config;
    // Without variants the grid says enough.
    if (group.empty() && (!options_.variants.empty() || choice.name.empty())) group = first.name;
    if (is_first) explain(variant.grid, variant.own_grid ? group : "", sweep.legend);
    if (!choice.name.empty()) join(group, choice.name);
    if (!groups_.insert(group).second)
      fail_at(variant.position, variant.path,
              fmt::format("is called \"{}\", as is one before; give it a name of its own", group));
    const Blueprint blueprint(first, Purpose::training, &tried_);
    for (const std::string& note : blueprint.notes) notes_[note].push_back(group);
    for (int64_t seed : variant.seeds.value_or(std::vector{first.seed})) {
      const std::string name = fmt::format("{},seed={}", group, seed);
      Settings own = {{"name", name, variant.position}, {"seed", seed, variant.position}};
      for (Member& member : own) member.value.set_position(variant.position);
      SweepRun run = resolve(variant, choice, own);
      run.group = group;
      run.name = name;
      check_differs(run, variant, blueprint.source.plan);
      sweep.runs.push_back(std::move(run));
      if (sweep.runs.size() > most_runs)
        fail_at(variant.position, variant.path, fmt::format("makes more than {} runs", most_runs));
    }
  }

  // Adds the values of a grid that have a number for a name.
  void explain(const Settings& grid, const std::string& variant, std::vector<std::string>& legend) {
    for (const Member& axis : grid) {
      const Value::Array& values = axis.value.as_array();
      for (size_t i = 0; i < values.size(); ++i) {
        const std::string text = value_text(values[i], i);
        if (!text.starts_with('#')) continue;
        std::string line = variant;
        join(line, fmt::format("{}={}: {}", short_key(axis.key, grid), text, config::dump(values[i])));
        if (explained_.insert(line).second) legend.push_back(line);
      }
    }
  }

  // A run's config, from its base and all that is set.
  SweepRun resolve(const Variant& variant, const Choice& choice, const Settings& own) const {
    SweepRun run{.group = "", .name = "", .base = variant.base, .overrides = {}, .config = {}};
    Value value = config::parse_file(variant.base);
    for (const Member& member : together(together(variant.set, choice.settings), own)) {
      config::set_path(value, member.key, member.value, member.position);
      run.overrides.push_back(member.key + "=" + config::dump(member.value));
    }
    run.overrides.insert(run.overrides.end(), overrides_.begin(), overrides_.end());
    try {
      run.config = parse_config(std::move(value), variant.base, overrides_);
    } catch (const ConfigError& error) {
      for (const Member& member : choice.settings) point_to_variants(member, error.what());
      throw;
    }
    return run;
  }

  // Throws what went wrong with the remedy, if it is about the options of a component whose type the grid changes.
  static void point_to_variants(const Member& member, const std::string& error) {
    if (!member.key.ends_with(".type")) return;
    // An error begins with its position and the path, as in "base.json:6:5: optimizer.nesterov: ...".
    const std::string component = member.key.substr(0, member.key.rfind('.')), start = ": " + component + ".";
    const size_t at = error.find(start);
    if (at == std::string::npos || error.compare(at, member.key.size() + 4, ": " + member.key + ": ") == 0) return;
    throw ConfigError(fmt::format(
        "{}; the grid at {} keeps the other options for each type: types that differ in them are \"variants\", each with "
        "\"set\": {{\"{}\": {{\"type\": {}, ...}}}}",
        error, member.position.text(), component, short_text(member.value)));
  }

  // Throws where a key of an experiment stands in the sweep file itself, with the remedy.
  void point_to_set(const config::UnknownKey& error) const {
    Value base;
    try {
      base = config::parse_file((fs::path(path_).parent_path() / file_.at("base").as_string()).string());
    } catch (const ConfigError&) {}  // it would know the options of the components, too
    std::string option = error.key.find('.') == error.key.npos ? "" : error.key;
    config::CodecOf<ExperimentConfig>::get().objects(&base, "", [&](const std::string& object, const config::ObjectType& type) {
      for (const std::string& name : type.names()) {
        if (name == error.key && option.empty()) option = object.empty() ? name : object + "." + name;
      }
    });
    if (error.near || option.empty()) return;
    fail_at(error.position, error.path,
            fmt::format("unknown key of a sweep file; an experiment's goes into \"set\": {{\"{}\": ...}}", option));
  }

  void check_differs(const SweepRun& run, const Variant& variant, const std::optional<data::DataPlan>& plan) {
    ExperimentConfig nameless = run.config;
    nameless.name = "";
    TrainOptions& train = nameless.train;
    if (plan) {  // in whatever words their length is given
      train.max_steps = train.length(train.steps_of(plan->batches())).steps;
      train.epochs = {};
    }
    const auto [same, fresh] = contents_.emplace(to_json(nameless), run.name);
    if (!fresh) {
      fail_at(variant.position, variant.path,
              fmt::format("the runs \"{}\" and \"{}\" are the same but for their names", same->second, run.name));
    }
  }

  std::string path_;
  const std::vector<std::string>& overrides_;
  Value file_;
  SweepOptions options_;
  std::set<std::string> groups_, explained_;
  std::map<std::string, std::vector<std::string>> notes_;  // note -> groups
  std::map<std::string, std::string> contents_;            // config -> name of the run
  TriedBatches tried_;
};

}  // namespace

Sweep load_sweep(const std::string& path, const std::vector<std::string>& overrides) { return Planner(path, overrides).plan(); }

}  // namespace az::experiments
