#pragma once

#include <optional>
#include <string>
#include <vector>

#include "experiments/experiment.h"

namespace az::experiments {

// Rules on what a sweep changes, and on its seeds.
inline config::Rule no_seed() { return config::no_key("seed", "a sweep lists the seeds of its runs in \"seeds\""); }
inline config::Rule no_name() { return config::no_key("name", "a sweep names its runs itself"); }
inline config::Rule some_seeds() {
  return config::elements(1, INT64_MAX, "the list is empty; leave the key out for a run with the config's seed");
}

// One way to vary a sweep's experiment. What it leaves out is the sweep's.
struct SweepVariant {
  std::string name;
  std::optional<std::string> base = {};
  config::Value::Object set = {};
  std::optional<config::Value::Object> grid = {};
  std::optional<std::vector<int64_t>> seeds = {};

  static void fields(auto& f) {
    f("name", &SweepVariant::name, "of its runs, before what the grid adds; by default the config's", config::folder_name());
    f("base", &SweepVariant::base, "config to start from, a path relative to the sweep file; null: the sweep's");
    f("set", &SweepVariant::set, R"(options to change, as --set does, after the sweep's: {"optimizer.lr": 0.1})", no_seed(),
      no_name());
    f("grid", &SweepVariant::grid, "as the sweep's, and instead of it; null: the sweep's", config::lists(), no_seed(),
      no_name());
    f("seeds", &SweepVariant::seeds, "a run for each; null: the sweep's", config::at_least(0), some_seeds(),
      config::distinct());
  }
};

// A sweep as JSON states it: every variant, with every choice that its grid leaves, with every seed, is a run.
struct SweepOptions {
  std::string schema;
  std::string name;
  std::string description;
  std::optional<std::string> base = {};
  config::Value::Object set = {}, grid = {};
  std::vector<SweepVariant> variants = {};
  std::optional<std::vector<int64_t>> seeds = {};

  static void fields(auto& f) {
    f("$schema", &SweepOptions::schema, "for editors: what `azimuth schema sweep` prints");
    f("name", &SweepOptions::name, "of the sweep's folder; by default the sweep file's", config::folder_name());
    f("description", &SweepOptions::description, "what the sweep is for");
    f("base", &SweepOptions::base, "config to start from, a path relative to the sweep file");
    f("set", &SweepOptions::set, R"(options to change in all runs, as --set does: {"train.epochs": 12})", no_seed(), no_name());
    f("grid", &SweepOptions::grid, R"(options to try every combination of: {"optimizer.lr": [0.1, 0.2]})", config::lists(),
      no_seed(), no_name());
    f("variants", &SweepOptions::variants, "other ways to vary it, each with the grid and the seeds; none: just the base");
    f("seeds", &SweepOptions::seeds, "a run for each; null: one, with the config's", config::at_least(0), some_seeds(),
      config::distinct());
  }
};

struct SweepRun {
  std::string group;                   // "sgd,lr=0.1": all of it but the seed
  std::string name;                    // "sgd,lr=0.1,seed=1": of its folder in the sweep's
  std::string base;                    // path of the config that it varies
  std::vector<std::string> overrides;  // of that, as --set takes them
  ExperimentConfig config;
};

// A sweep, spelled out: at least one run, of names that differ, in the order of the file.
struct Sweep {
  std::string name, description;
  std::vector<SweepRun> runs;
  std::vector<std::string> legend;      // "groups=#1: []": what stands behind each value that names only number
  std::vector<std::string> notes = {};  // what is odd about the configs, each with the groups that it is of
};

// Reads a sweep file; `overrides`, as --set takes them, hold in all runs. Throws ConfigError with the place, also where the
// config of a run is wrong or names something that cannot be built.
Sweep load_sweep(const std::string& path, const std::vector<std::string>& overrides = {});

}  // namespace az::experiments
