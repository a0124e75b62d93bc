// azimuth doctor
#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "core/backend/tuning.h"
#include "core/base/cache_folder.h"
#include "core/base/files.h"
#include "core/config/json_document.h"
#include "data/catalog.h"
#include "experiments/cli/commands.h"
#include "experiments/experiment.h"
#include "experiments/machine.h"
#include "experiments/precision.h"
#include "experiments/say.h"

namespace az::cli {
namespace {

using experiments::Finding;
namespace fs = std::filesystem;

// The choices of convolution algorithms that are remembered for this machine.
Finding tuning() {
  const std::string file = tuning_file();
  try {
    if (!is_there(file)) return {"algorithms", "none timed yet"};
    const size_t count = algorithms_from_json(read_file(file)).size();
    return {"algorithms", fmt::format("{} timed, in {}", count, file)};
  } catch (const FileError& error) {
    return {"algorithms", error.what(), "", "make it readable, or delete it"};
  } catch (const Error&) {
    return {"algorithms", file, "", "damaged: delete it"};
  }
}

Finding cache() {
  const fs::path folder = cache_folder();
  if (folder.empty()) return {"cache", "nowhere", "", why_no_cache_folder()};
  fs::path existing = folder;
  std::error_code error;
  while (fs::status(existing, error).type() == fs::file_type::not_found && existing.has_relative_path())
    existing = existing.parent_path();
  // What is there must be a folder that may be entered and written to.
  const bool usable = fs::is_directory(existing, error) && ::access(existing.c_str(), R_OK | W_OK | X_OK) == 0;
  return {"cache", folder.string(), "", usable ? "" : "cannot write there: set XDG_CACHE_HOME to a folder you own"};
}

Finding data_set(const data::CatalogEntry& entry) {
  const std::string get = "azimuth data get " + entry.name;
  const fs::path folder = cache_folder().empty() ? fs::path() : data::datasets_folder() / entry.folder;
  const auto [state, reason] = data::state_of(entry, folder);
  switch (state) {
    case data::SetState::absent: return {entry.name, "not here", "", "get it with: " + get};
    case data::SetState::damaged: return {entry.name, "damaged: " + reason, "", "replace it with: " + get};
    case data::SetState::unreadable: return {entry.name, reason, "", "make it readable"};
    default: return {entry.name, folder.string()};
  }
}

std::vector<Finding> examine() {
  std::vector<Finding> findings = experiments::examine_machine();
  findings.push_back(cache());
  findings.push_back(tuning());
  for (const data::CatalogEntry& entry : data::catalog()) findings.push_back(data_set(entry));
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
    if (!slower.empty()) experiments::say("azimuth: note: {}{}{}", slower, remedy.empty() ? "" : "; ", remedy);
  }
}

void print_notes(const std::vector<std::string>& notes) {
  for (const std::string& note : notes) experiments::say("azimuth: note: {}", note);
}

void print_precision_note(const experiments::ExperimentConfig& config, DType now, std::optional<DType> before) {
  const DType wanted = experiments::precision_of(config.train.precision);
  const std::string note = experiments::precision_note({.wanted = wanted, .now = now, .before = before});
  if (!note.empty()) experiments::say("azimuth: note: {}", note);
}

void add_doctor_command(CommandDeclaration& program, Outcome&) {
  auto json = std::make_shared<bool>(false);
  CommandDeclaration command = program.command("doctor", "Examine the machine, the libraries and the data sets");
  command.takes_flag("--json", *json, "print JSON");
  command.runs([=] { doctor(*json); });
}

}  // namespace az::cli
