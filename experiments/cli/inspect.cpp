// azimuth check | describe | schema
#include <fmt/core.h>

#include <memory>
#include <vector>

#include "core/config/json_document.h"
#include "core/config/nearest.h"
#include "experiments/cli/command_line.h"
#include "experiments/cli/commands.h"
#include "experiments/experiment.h"
#include "experiments/precision.h"
#include "experiments/say.h"
#include "experiments/sweep/plan.h"
#include "nn/registry.h"
#include "nn/summary.h"

namespace az::cli {
namespace {

using namespace experiments;

struct Arguments {
  std::string config;
  std::vector<std::string> overrides;
  std::string name, form;
  bool json = false;
};

void check(const Arguments& arguments) {
  const Blueprint blueprint(load_config(arguments.config, arguments.overrides));
  const DType type = available_precision(precision_of(blueprint.config.train.precision));
  print_precision_note(blueprint.config, type);
  print_notes(blueprint.notes);
  const nn::Summary summary = summarize(blueprint, type);
  if (!arguments.json) {
    fmt::print("{}", summary.table());
    say("{}: ok; the data set itself was not looked at", arguments.config);
    return;
  }
  config::Value::Array layers;
  for (const auto& row : summary.rows) {
    config::Value::Array output;
    for (int64_t size : row.output) output.emplace_back(size);
    layers.emplace_back(config::Value::Object{{"path", row.path},
                                              {"layer", row.description},
                                              {"output", output},
                                              {"parameters", row.parameters},
                                              {"multiply_adds", row.multiply_adds}});
  }
  fmt::print("{}\n", config::dump(
                         config::Value::Object{
                             {"layers", layers}, {"parameters", summary.parameters}, {"multiply_adds", summary.multiply_adds}},
                         2));
}

void describe(const std::string& name) {
  std::vector<std::string> known = {"config", "sweep"};
  if (name.empty()) {
    fmt::print("config\n  config               the keys of an experiment\n");
    fmt::print("sweep\n  sweep                the keys of a sweep file\n");
  }
  if (name == "config") {
    fmt::print("{}\n", config::describe<ExperimentConfig>());
    fmt::print(
        "What \"may change on resume\" may differ where a run goes on (azimuth resume RUN --set train.epochs=60, or its "
        "config.json\n"
        "edited): how long it trains, what is watched, kept and written, and where things lie. All else decides what each "
        "step\n"
        "does, so that the config would describe steps that it was not used for: train anew instead.\n");
  }
  if (name == "sweep") fmt::print("{}", config::describe<SweepOptions>());
  bool found = name.empty() || name == "config" || name == "sweep";
  for (const config::RegistryBase* registry : registries()) {
    if (name.empty()) fmt::print("{}\n", registry->kind());
    for (const std::string& entry : registry->names()) {
      known.push_back(entry);
      if (name.empty()) fmt::print("  {:<20} {}\n", entry, registry->at(entry).description);
      if (name != entry) continue;
      fmt::print("{}", registry->describe(entry));
      found = true;
    }
  }
  if (!found)
    throw ConfigError(
        fmt::format("nothing is called \"{}\"{}; `azimuth describe` lists all names", name, config::did_you_mean(name, known)));
}

}  // namespace

std::vector<const config::RegistryBase*> registries() {
  return {&data::DataRegistry::base(),       &data::AugmentRegistry::base(),
          &nn::ModelRegistry::base(),        &nn::LayerRegistry::base(),
          &optim::OptimizerRegistry::base(), &optim::ScheduleRegistry::base(),
          &optim::AverageRegistry::base(),   &ProbeRegistry::base()};
}

void add_inspect_commands(CommandDeclaration& program, Outcome&) {
  auto arguments = std::make_shared<Arguments>();

  CommandDeclaration check_command = program.command("check", "Validate a config and print its network, layer by layer");
  check_command.needs("config", arguments->config, config_file, "the experiment, a JSON file");
  check_command.takes_changes(arguments->overrides, "change an option: --set optimizer.lr=0.05");
  check_command.takes_flag("--json", arguments->json, "print the table as JSON");
  check_command.runs([=] { check(*arguments); });

  CommandDeclaration describe_command = program.command("describe", "List what a config can name, or one thing's options");
  describe_command.takes("name", arguments->name, thing, "a data set, model, layer, optimizer, ..., \"config\" or \"sweep\"");
  describe_command.takes("--as", arguments->form, {"man", "bash", "zsh"},
                         "everything instead, as a man page or as completion for a shell");
  describe_command.runs([=] {
    if (arguments->form.empty()) return describe(arguments->name);
    if (!arguments->name.empty()) throw ConfigError("describe takes a name or --as, not both");
    const Command all = program.as_data();
    fmt::print("{}", arguments->form == "man" ? man_page(all) : completion(all, arguments->form));
  });

  CommandDeclaration schema_command = program.command("schema", "Print the JSON Schema of configs, for editors");
  schema_command.takes("of", arguments->name, {"config", "sweep"}, "config, the default, or sweep");
  schema_command.runs([=] {
    const bool sweep = arguments->name == "sweep";
    fmt::print("{}\n", config::dump(sweep ? config::schema<SweepOptions>() : config::schema<ExperimentConfig>(), 2));
  });
}

}  // namespace az::cli
