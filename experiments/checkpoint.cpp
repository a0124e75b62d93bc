#include "experiments/checkpoint.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/files.h"
#include "experiments/files.h"

namespace az::experiments {
namespace {

namespace fs = std::filesystem;

std::string state_to_json(const TrainingState& s) {
  nlohmann::ordered_json json = {
      {"format", 1},
      {"epochs", s.epochs},
      {"step", s.step},
      {"batches", s.batches},
      {"train",
       {{"loss_sum", s.train.loss_sum}, {"correct", s.train.correct}, {"top5", s.train.top5}, {"images", s.train.images}}},
      {"epoch_seconds", s.epoch_seconds},
      {"seconds", s.seconds},
      {"random", {{"seed", s.random.seed}, {"draws", s.random.draws}}},
      {"lr", s.lr},
      {"precision", s.precision},
      {"best_accuracy", nullptr},
      {"best_epoch", s.best_epoch},
      {"metrics_bytes", s.metrics_bytes},
  };
  if (s.best_accuracy) json["best_accuracy"] = *s.best_accuracy;
  return json.dump(2) + "\n";
}

TrainingState state_from_json(const std::string& text) {
  const auto json = nlohmann::json::parse(text);
  const auto& train = json.at("train");
  TrainingState s;
  s.epochs = json.at("epochs");
  s.step = json.at("step");
  s.batches = json.at("batches");
  s.train = {train.at("loss_sum"), train.at("correct"), train.at("top5"), train.at("images")};
  s.epoch_seconds = json.at("epoch_seconds");
  s.seconds = json.at("seconds");
  s.random = {json.at("random").at("seed"), json.at("random").at("draws")};
  s.lr = json.at("lr");
  s.precision = json.value("precision", s.precision);
  if (!json.at("best_accuracy").is_null()) s.best_accuracy = json.at("best_accuracy").get<double>();
  s.best_epoch = json.at("best_epoch");
  s.metrics_bytes = json.at("metrics_bytes");
  return s;
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
  fs::create_directories(fresh, error);
  if (error) fail("cannot make the checkpoint folder {}: {}", fresh, error.message());
  write_safetensors(fresh + "/model.safetensors", checkpoint.model);
  write_safetensors(fresh + "/optimizer.safetensors", checkpoint.optimizer);
  if (!checkpoint.average.tensors.empty()) write_safetensors(fresh + "/average.safetensors", checkpoint.average);
  write_file(fresh + "/state.json", state_to_json(checkpoint.state));
  write_file(fresh + "/algorithms.json", to_json(checkpoint.algorithms));
  error = replace_folder(fresh, folder);
  if (error) fail("cannot put the checkpoint {} in place: {}", folder, error.message());
}

std::string existing_checkpoint(const std::string& folder) {
  return !fs::exists(folder) && fs::exists(folder + ".old") ? folder + ".old" : folder;
}

Checkpoint load_checkpoint(const std::string& wanted) {
  const std::string folder = existing_checkpoint(wanted);
  if (!fs::exists(folder)) throw DataError(fmt::format("there is no checkpoint at {}", folder));
  Checkpoint result{read_safetensors(folder + "/model.safetensors"), read_safetensors(folder + "/optimizer.safetensors"), {}};
  std::string file = folder + "/state.json";
  try {
    result.state = state_from_json(read_file(file));
    file = folder + "/algorithms.json";
    if (fs::exists(file)) result.algorithms = algorithms_from_json(read_file(file));
  } catch (const std::exception& error) {
    throw DataError(fmt::format("{} is damaged: {}", file, error.what()));
  }
  if (const std::string average = folder + "/average.safetensors"; fs::exists(average))
    result.average = read_safetensors(average);
  return result;
}

}  // namespace az::experiments
