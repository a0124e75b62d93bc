// azimuth doctor
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <filesystem>
#include <vector>

#include "core/backend/tuning.h"
#include "core/config/json_document.h"
#include "data/catalog.h"
#include "experiments/cli/commands.h"
#include "experiments/files.h"
#include "experiments/machine.h"
#include "experiments/precision.h"

namespace az::cli {
namespace {

using experiments::Finding;

// The choices of convolution algorithms that are remembered for this machine.
Finding tuning() {
  const std::string file = tuning_file();
  if (!std::filesystem::exists(file)) return {"algorithms", "none timed yet"};
  try {
    const size_t count = algorithms_from_json(experiments::read_file(file)).size();
    return {"algorithms", fmt::format("{} timed, in {}", count, file)};
  } catch (const Error&) {
    return {"algorithms", file, "", "damaged: delete it"};
  }
}

std::vector<Finding> examine() {
  std::vector<Finding> findings = experiments::examine_machine();
  const auto cache = data::datasets_folder();
  auto existing = cache;
  while (!std::filesystem::exists(existing) && existing.has_parent_path()) existing = existing.parent_path();
  const bool writable = ::access(existing.c_str(), W_OK) == 0;
  findings.push_back({"cache", cache.string(), "", writable ? "" : "cannot write there: set XDG_CACHE_HOME to a folder you own"});
  findings.push_back(tuning());
  for (const data::CatalogEntry& entry : data::catalog()) {
    const auto folder = cache / entry.folder;
    const std::string get = "azimuth data get " + entry.name;
    if (!std::filesystem::exists(folder)) {
      findings.push_back({entry.name, "not here", "", "get it with: " + get});
    } else if (const std::string damage = data::damage_of(entry, folder); !damage.empty()) {
      findings.push_back({entry.name, "damaged: " + damage, "", "replace it with: " + get});
    } else {
      findings.push_back({entry.name, folder.string()});
    }
  }
  return findings;
}

void doctor(bool json) {
  config::Value::Array all;
  for (const auto& [subject, state, slower, remedy] : examine()) {
    const char* mark = !remedy.empty() ? "do" : !slower.empty() ? "note" : "ok";
    if (!json) {
      fmt::print("{:<17} {:<5} {}{}{}{}{}\n", subject, mark, state, slower.empty() ? "" : "; ", slower,
                 remedy.empty() ? "" : "; ", remedy);
    }
    all.emplace_back(config::Value::Object{
        {"subject", subject}, {"state", state}, {"ok", remedy.empty()}, {"slower", slower}, {"remedy", remedy}});
  }
  if (json) fmt::print("{}\n", config::dump(all, 2));
}

}  // namespace

void print_machine_notes() {
  for (const auto& [subject, state, slower, remedy] : experiments::examine_machine()) {
    if (!slower.empty()) fmt::print(stderr, "azimuth: note: {}{}{}\n", slower, remedy.empty() ? "" : "; ", remedy);
  }
}

void print_precision_note(const experiments::Experiment& experiment, std::optional<DType> before) {
  const DType wanted = experiments::precision_of(experiment.config.train.precision);
  const std::string note = experiments::precision_note({.wanted = wanted, .now = experiment.precision(), .before = before});
  if (!note.empty()) fmt::print(stderr, "azimuth: note: {}\n", note);
}

void add_doctor_command(CLI::App& app, Outcome&) {
  CLI::App* command = app.add_subcommand("doctor", "Examine the machine, the libraries and the data sets");
  CLI::Option* json = command->add_flag("--json")->description("print JSON");
  command->callback([=] { doctor(json->count() > 0); });
}

}  // namespace az::cli
