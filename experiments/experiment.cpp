#include "experiments/experiment.h"

#include <cmath>
#include <filesystem>

#include "core/base/files.h"
#include "core/base/random.h"
#include "core/base/threads.h"
#include "core/config/json_document.h"
#include "experiments/checkpoint.h"
#include "experiments/history.h"
#include "experiments/precision.h"
#include "experiments/preflight.h"
#include "nn/data_init.h"

namespace az::experiments {
namespace {

namespace fs = std::filesystem;

std::string name_of(const config::Component<data::DataRegistry>& data) { return fmt::format("data set \"{}\"", data.type()); }

// An error of a data set begins with its name.
data::Splits load_data(const Blueprint& blueprint) {
  const config::Component<data::DataRegistry>& data = blueprint.config.data;
  try {
    data::Splits splits = data.placed([&] { return data::read(blueprint.source, name_of(data)); });
    splits.training.seed = uint64_t(blueprint.config.seed);
    return splits;
  } catch (const DataError& error) {
    const std::string name = data.type() + ": ", what = error.what();
    if (what.starts_with(name)) throw;
    throw DataError(name + what);
  }
}

// A program may have made the config, or changed one that it read. More threads than there can be are no fault of a part of
// it: that is found out before any is built.
ExperimentConfig checked(ExperimentConfig config) {
  config::checked("", config);
  use_thread_count();
  return config;
}

Shape one_image(const data::DataSource& source) {
  const Shape& image = source.image_shape;
  return {1, image[0], image[1], image[2]};
}

void check_is_no_sweep(const config::Value& file, const std::string& path) {
  const auto has = [&](const char* key) { return file.is_object() && file.find(key); };
  const bool is_sweep = has("base") || has("grid") || has("variants") || has("seeds");
  if (is_sweep && !has("data") && !has("model"))
    throw ConfigError(fmt::format("{0}: this is a sweep, not an experiment; its runs are trained by: azimuth sweep {0}", path));
}

data::Loader loader_of(const ExperimentConfig& config, const data::Dataset& set, data::LoaderOptions options, DType precision) {
  options.type = available_precision(precision);
  options.config_place = config.data.place();
  const auto who = [&] { return name_of(config.data); };
  return config.data.placed([&] { return placed(who, [&] { return data::Loader(set, std::move(options)); }); });
}

}  // namespace

void register_builtin() {
  data::register_builtin_data();
  nn::register_builtin_layers();
  nn::register_builtin_models();
  optim::register_builtin_optimizers();
  optim::register_builtin_schedules();
  optim::register_builtin_averages();
  register_builtin_probes();
}

std::string name_or_stem(const std::string& name, const std::string& path) {
  if (!name.empty()) return name;
  std::string stem = fs::path(path).stem().string();
  if (!config::names_folder(stem)) throw ConfigError(fmt::format("{}: name: {}", path, config::not_a_folder_name));
  return stem;
}

ExperimentConfig load_config(const std::string& path, const std::vector<std::string>& overrides) {
  return parse_config(config::parse_file(path), path, overrides);
}

void set_overrides(config::Value& value, const std::vector<std::string>& overrides) {
  for (const std::string& text : overrides) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      throw ConfigError("--set " + text + ": expected key=value, as in --set optimizer.lr=0.05");
    config::set_path(value, text.substr(0, equals), text.substr(equals + 1));
  }
}

ExperimentConfig parse_config(config::Value value, const std::string& path, const std::vector<std::string>& overrides) {
  check_is_no_sweep(value, path);
  set_overrides(value, overrides);
  auto config = config::parse<ExperimentConfig>(value);
  config.name = name_or_stem(config.name, path);
  config.train.epochs = config.train.epochs_or_default();
  return config;
}

config::Value read_run_config(const std::string& folder) {
  std::error_code unknown;
  if (fs::is_regular_file(folder, unknown))
    throw ConfigError(absolute_path(folder) + " is a file; give the folder of a run, which azimuth train makes");
  const std::string file = folder + "/config.json";
  try {
    if (is_there(file)) return config::parse_file(file);
  } catch (const FileError& unreadable) {
    throw ConfigError(unreadable.what());
  }
  throw ConfigError(absolute_path(folder) + " is not a run folder: it has no config.json");
}

std::string to_json(const ExperimentConfig& config) { return config::dump(config::to_value(config), 2) + "\n"; }

void use_algorithms(const ExperimentConfig& config, Algorithms known) {
  set_algorithms(config.train.deterministic ? AlgorithmChoice::fixed : AlgorithmChoice::timed, std::move(known));
}

nn::BatchSize as_in_batches_of(const data::DataSource& source) {
  return nn::BatchSize(source.plan ? std::min(source.plan->train, source.plan->batch_size) : 1);
}

nn::ModulePtr build_model(const ExperimentConfig& config) {
  const data::DataSource source = config.data.create();
  const nn::BatchSize batch_size = as_in_batches_of(source);
  seed_random(uint64_t(config.seed));
  return config.model.create(one_image(source), source.class_count);
}

nn::Summary summarize(const Blueprint& blueprint, std::optional<DType> type) {
  const nn::BatchSize batch_size = as_in_batches_of(blueprint.source);
  return nn::summarize(*blueprint.model, one_image(blueprint.source), type);
}

optim::Length TrainOptions::length(int64_t steps_per_epoch) const {
  const auto passes = epochs_or_default();
  const int64_t planned = passes ? *passes * steps_per_epoch : *max_steps;
  return {
      .steps = std::min(planned, max_steps.value_or(planned)), .planned_steps = planned, .steps_per_epoch = steps_per_epoch};
}

std::vector<NamedProbe> make_probes(const ExperimentConfig& config, const optim::Optimizer& optimizer,
                                    const nn::Module& model) {
  std::vector<NamedProbe> probes;
  for (const auto& probe : config.probes) {
    std::unique_ptr<Probe> made = probe.create(optimizer.parameters());
    probes.push_back(probe.placed([&] { return named(probe.type(), std::move(made), model, probes); }));
  }
  return probes;
}

Blueprint::Blueprint(ExperimentConfig given, Purpose purpose, TriedBatches* tried)
    : config(checked(std::move(given))),
      source(config.data.create()),
      model(build_model(config)),
      optimizer(config.optimizer.create(model->parameters())),
      probes(make_probes(config, *optimizer, *model)),
      schedule(config.schedule.create()),
      notes(preflight(*this, purpose, tried)) {}

Experiment::Experiment(ExperimentConfig given, Purpose purpose)
    : Blueprint(std::move(given), purpose),
      splits(load_data(*this)),
      train(loader_of(config, splits.train, splits.training, precision_of(config.train.precision))),
      test(loader_of(config, splits.test, splits.evaluation, precision())),
      base_lr_(optimizer->lr()) {
  if (!source.plan) {
    source.plan = splits.plan();
    notes = preflight(*this, purpose);
  }
  if (config.train.threads) set_thread_count(int(*config.train.threads), "train.threads");
  use_algorithms(config);
  if (splits.validation) validation = loader_of(config, *splits.validation, splits.evaluation, precision());
  // A run that is resumed or evaluated overwrites it with what it took then.
  nn::initialize_from_data(*model, [&] { return (*data::Loader(splits.train, splits.evaluation).begin()).images; });
  if (config.train.average) average = config.train.average->create(model->state());
}

void Experiment::use_precision(DType wanted) {
  train = loader_of(config, splits.train, splits.training, wanted);
  if (splits.validation) validation = loader_of(config, *splits.validation, splits.evaluation, wanted);
  test = loader_of(config, splits.test, splits.evaluation, wanted);
}

int64_t Experiment::steps_per_epoch() const { return config.train.steps_of(train.batches()); }

double Blueprint::lr_factor(const optim::Moment& moment) const {
  const auto where = [&] { return fmt::format("schedule \"{}\" at step {}", config.schedule.type(), moment.step); };
  const auto checked = [&] {
    const double factor = schedule(moment);
    if (!(factor >= 0 && std::isfinite(factor))) fail("its factor is {}; a learning rate is 0 or more", factor);
    return factor;
  };
  return schedule.located([&] { return placed(where, checked); });
}

double Experiment::lr_at(const optim::Moment& moment) const { return base_lr_ * lr_factor(moment); }

nn::ModulePtr load_run(const std::string& folder) {
  register_builtin();
  const Checkpoint checkpoint = load_checkpoint(folder + "/checkpoints/" + best_or_last(folder));
  const RandomState before = random_state();
  nn::ModulePtr model = build_model(load_run_config(folder, Purpose::evaluation));
  set_random_state(before);
  model->load_state(checkpoint.weights());
  model->eval();
  return model;
}

}  // namespace az::experiments
