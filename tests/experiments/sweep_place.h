#pragma once

#include <string>
#include <vector>

#include "core/base/files.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

// A folder with the base config and a sweep of it.
struct SweepPlace {
  explicit SweepPlace(const std::string& sweep_text,
                      const std::string& train = R"({"epochs": 2, "threads": 1, "deterministic": true})") {
    az::write_file(base, tiny_config(train));
    az::write_file(sweep, sweep_text);
  }
  CommandResult run(std::vector<std::string> more = {}) const { return run_azimuth(command(std::move(more))); }
  std::vector<std::string> command(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"sweep", sweep, "--folder", runs});
    return more;
  }
  std::string metrics(const std::string& run) const { return az::read_file(runs + "/" + run + "/metrics.jsonl"); }

  TemporaryFolder folder;
  std::string base = (folder.path / "base.json").string(), sweep = (folder.path / "sweep.json").string();
  std::string runs = (folder.path / "runs").string();
};
