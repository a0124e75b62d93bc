#include "experiments/checkpoint.h"

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/c_locale.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "experiments/damage.h"
#include "experiments/precision.h"

namespace az::experiments {
namespace {

namespace fs = std::filesystem;

constexpr const char* remedy = "put back a copy, or train anew";

// By nlohmann's JSON, as random numbers are counted in 64 bits without a sign, which a config's values do not have.
std::string state_to_json(const TrainingState& s) {
  nlohmann::ordered_json json = {
      {"format", 1},
      {"epochs", s.epochs},
      {"step", s.step},
      {"batches", s.batches},
      {"measured", s.measured},
      {"train",
       {{"loss_sum", s.train.loss_sum}, {"correct", s.train.correct}, {"top5", s.train.top5}, {"images", s.train.images}}},
      {"epoch_seconds", s.epoch_seconds},
      {"seconds", s.seconds},
      {"random", {{"seed", s.random.seed}, {"draws", s.random.draws}}},
      {"lr", s.lr},
      {"precision", name_of(s.precision)},
      {"best_accuracy", nullptr},
      {"best_epoch", s.best_epoch},
      {"metrics_bytes", s.metrics_bytes},
  };
  if (s.best_accuracy) json["best_accuracy"] = *s.best_accuracy;
  return json.dump(2) + "\n";
}

const nlohmann::json& member(const nlohmann::json& object, const char* name) {
  if (!object.is_object() || !object.contains(name)) fail("\"{}\" is missing", name);
  return object[name];
}

// What is in a list or an object may be nested deeper than dump() can go.
std::string text_of(const nlohmann::json& value) {
  return value.is_array() ? "a list" : value.is_object() ? "an object" : value.dump();
}

// JSON has neither NaN nor infinity.
double number(const nlohmann::json& object, const char* name) {
  const nlohmann::json& value = member(object, name);
  if (!value.is_number()) fail("\"{}\" must be a number, got {}", name, text_of(value));
  return value;
}

uint64_t count(const nlohmann::json& object, const char* name, uint64_t most) {
  const nlohmann::json& value = member(object, name);
  if (!value.is_number_unsigned() || value.get<uint64_t>() > most)
    fail("\"{}\" must be a whole number from 0 to {}, got {}", name, most, text_of(value));
  return value;
}

// No training comes to more, and sums of two do not overflow.
int64_t count(const nlohmann::json& object, const char* name) { return int64_t(count(object, name, 1'000'000'000'000'000)); }

TrainingState state_from_json(const std::string& text) {
  const CLocale locale;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) fail("it is not JSON");
  if (const int64_t format = count(json, "format"); format != 1) fail("\"format\" must be 1, got {}", format);
  const auto& train = member(json, "train");
  const auto& random = member(json, "random");
  TrainingState s;
  s.epochs = count(json, "epochs");
  s.step = count(json, "step");
  s.batches = count(json, "batches");
  s.measured = json.contains("measured") ? count(json, "measured") : s.batches == 0 ? s.step : 0;  // older versions have none
  s.train = {number(train, "loss_sum"), count(train, "correct"), count(train, "top5"), count(train, "images")};
  s.epoch_seconds = number(json, "epoch_seconds");
  s.seconds = number(json, "seconds");
  constexpr uint64_t any = std::numeric_limits<uint64_t>::max();
  s.random = {count(random, "seed", any), count(random, "draws", any)};
  s.lr = number(json, "lr");
  if (json.contains("precision")) {
    const auto& precision = json["precision"];
    s.precision = precision_of(precision.is_string() ? precision.get<std::string>() : text_of(precision));
  }
  if (!member(json, "best_accuracy").is_null()) s.best_accuracy = number(json, "best_accuracy");
  s.best_epoch = count(json, "best_epoch");
  s.metrics_bytes = count(json, "metrics_bytes");
  return s;
}

// Throws what cannot be.
void check(const TrainingState& s) {
  const auto holds = [](bool it, const std::string& otherwise) {
    if (!it) throw Error(otherwise);
  };
  const Score& train = s.train;
  holds(train.correct <= train.top5 && train.top5 <= train.images,
        "\"correct\", \"top5\" and \"images\" contradict each other");
  holds(s.seconds >= 0 && s.epoch_seconds >= 0, "a time is negative");
  const double best = s.best_accuracy.value_or(0);
  holds(s.measured <= s.step, "\"measured\" is a step that was not made");
  const int64_t begun = s.epochs + (s.batches > 0);
  holds(best >= 0 && best <= 1 && s.best_epoch <= begun && s.best_accuracy.has_value() == (s.best_epoch > 0),
        "\"best_accuracy\" and \"best_epoch\" cannot be");
}

}  // namespace

std::map<std::string, Tensor> Checkpoint::weights() const {
  auto result = average.tensors;
  result.insert(model.tensors.begin(), model.tensors.end());  // those that have no average
  return result;
}

void save_checkpoint(const std::string& folder, const Checkpoint& checkpoint) {
  const std::string fresh = folder + ".new";
  std::error_code error;
  fs::remove_all(fresh, error);
  if (!error) error = make_folders(fresh);
  if (error) fail("cannot make the checkpoint folder {}: {}", fresh, error.message());
  try {
    write_safetensors(fresh + "/model.safetensors", checkpoint.model);
    write_safetensors(fresh + "/optimizer.safetensors", checkpoint.optimizer);
    if (!checkpoint.average.tensors.empty()) write_safetensors(fresh + "/average.safetensors", checkpoint.average);
    write_file(fresh + "/state.json", state_to_json(checkpoint.state));
    write_file(fresh + "/algorithms.json", algorithms_to_json(checkpoint.algorithms));
    error = replace_folder({.fresh = fresh, .target = folder, .aside = folder + ".old"});
    if (error) fail("cannot put the checkpoint {} in place: {}", folder, error.message());
  } catch (...) {
    fs::remove_all(fresh, error);  // the disk may be full
    throw;
  }
}

std::string existing_checkpoint(const std::string& folder) {
  return !is_there(folder) && is_there(folder + ".old") ? folder + ".old" : folder;
}

std::string best_or_last(const std::string& run) {
  return is_there(existing_checkpoint(run + "/checkpoints/best")) ? "best" : "last";
}

TrainingState load_state(const std::string& folder) {
  const std::string file = folder + "/state.json";
  return undamaged(file, remedy, [&] {
    const TrainingState state = state_from_json(read_file(file));
    check(state);
    return state;
  });
}

Checkpoint load_checkpoint(const std::string& wanted) {
  const std::string folder = existing_checkpoint(wanted);
  if (!is_there(folder)) throw DataError(fmt::format("there is no checkpoint at {}; {}", absolute_path(folder), remedy));
  const auto tensors = [&](const char* name) {
    const std::string file = fmt::format("{}/{}.safetensors", folder, name);
    return undamaged(file, remedy, [&] { return read_safetensors(file); });
  };
  Checkpoint result{tensors("model"), tensors("optimizer"), {}};
  result.state = load_state(folder);
  if (const std::string file = folder + "/algorithms.json"; is_there(file))
    result.algorithms = undamaged(file, remedy, [&] { return algorithms_from_json(read_file(file)); });
  if (is_there(folder + "/average.safetensors")) result.average = tensors("average");
  return result;
}

}  // namespace az::experiments
