// azimuth data get | list | path
#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "core/config/json_document.h"
#include "data/catalog.h"
#include "data/download.h"
#include "experiments/cli/command_line.h"
#include "experiments/cli/commands.h"
#include "experiments/interrupt.h"
#include "experiments/say.h"

namespace az::cli {
namespace {

using namespace experiments;

struct Arguments {
  std::string name, url;
  bool json = false;
};

std::filesystem::path folder_of(const data::CatalogEntry& entry) { return data::datasets_folder() / entry.folder; }

Exit get(const Arguments& arguments) {
  const data::CatalogEntry& entry = data::catalog_entry(arguments.name);
  experiments::InterruptGuard guard("stopping the download");
  const bool terminal = ::isatty(STDERR_FILENO);
  const auto progress = [&](int64_t done, int64_t total) {
    const int64_t bytes = total ? total : entry.bytes;
    if (terminal) print_to_stderr(fmt::format("\r{}: {} of {} MB", entry.name, done / 1000000, bytes / 1000000));
    return experiments::InterruptGuard::received() == Exit::done;
  };
  const auto on_damage = [](const std::filesystem::path& folder, const std::string& damage) {
    say("azimuth: replacing the damaged {}: {}", folder.string(), damage);
  };
  try {
    const auto folder = data::download(entry, {.base_url = arguments.url, .progress = progress, .on_damage = on_damage});
    if (terminal) say("");
    fmt::print("{}\n", folder.string());
  } catch (const DataError&) {
    if (terminal) say("");
    const Exit signal = experiments::InterruptGuard::received();
    if (signal == Exit::done) throw;
    say("azimuth: download of {} stopped", entry.name);
    return signal;
  }
  return Exit::done;
}

void list(bool json) {
  using data::SetState;
  config::Value::Array sets;
  for (const data::CatalogEntry& entry : data::catalog()) {
    const std::string folder = folder_of(entry).string(), get = "azimuth data get " + entry.name;
    const SetState found = data::state_of(entry, folder);
    const auto& [state, words] = [&]() -> std::pair<const char*, std::string> {
      switch (found.state) {
        case SetState::absent: return {"absent", "not here; get it with: " + get};
        case SetState::damaged: return {"damaged", "damaged: " + found.reason + "; replace it with: " + get};
        case SetState::unreadable: return {"unreadable", found.reason + "; make it readable"};
        default: return {"whole", folder};
      }
    }();
    if (!json) fmt::print("{:<10} {}\n", entry.name, words);
    sets.emplace_back(
        config::Value::Object{{"name", entry.name}, {"path", folder}, {"state", state}, {"reason", found.reason}});
  }
  if (json) fmt::print("{}\n", config::dump(sets, 2));
}

}  // namespace

void add_data_command(CommandDeclaration& program, Outcome& outcome) {
  auto arguments = std::make_shared<Arguments>();
  CommandDeclaration command = program.command("data", "Get data sets, list them, or say where they lie");
  command.needs_command();

  CommandDeclaration get_command = command.command("get", "Download, verify and unpack a data set");
  get_command.needs("name", arguments->name, data_set, "which");
  get_command.takes("--url", arguments->url, any_text, "folder to download from, instead of the set's own");
  get_command.runs([=, &outcome] { outcome.exit = get(*arguments); });

  CommandDeclaration list_command = command.command("list", "List the data sets there are");
  list_command.takes_flag("--json", arguments->json, "print JSON");
  list_command.runs([=] { list(arguments->json); });

  CommandDeclaration path_command = command.command("path", "Print where data sets lie, or one of them");
  path_command.takes("name", arguments->name, data_set, "which; without one their folder");
  path_command.runs([=] {
    const bool all = arguments->name.empty();
    fmt::print("{}\n", (all ? data::datasets_folder() : folder_of(data::catalog_entry(arguments->name))).string());
  });
}

}  // namespace az::cli
