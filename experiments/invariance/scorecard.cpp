#include "experiments/invariance/scorecard.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/files.h"
#include "core/config/json_document.h"
#include "experiments/checkpoint.h"
#include "experiments/history.h"
#include "experiments/score.h"

namespace az::experiments {
namespace {

using config::Value;
using Kind = ScaleDependence::Kind;

const char* name(const std::optional<optim::View>& view, const char* otherwise) {
  return view ? optim::name_of(*view) : otherwise;
}

std::string place(const ScaleDependence& found) {
  return found.scope.empty() ? found.op : fmt::format("{} in {}", found.op, found.scope);
}

// The graph's rules cannot prove an invariance that both measurements show.
bool is_in_doubt(const Judged& judged) {
  const auto structure = judged.structure(), numbers = judged.numbers(), cosine = judged.cosine();
  const bool broken = structure == optim::View::none && judged.by_layer.kind == Kind::broken;
  return broken && numbers && cosine && *numbers != optim::View::none && *cosine != optim::View::none;
}

std::string structure_in_words(const Judged& judged) {
  const ScaleDependence &channel = judged.by_channel, &layer = judged.by_layer;
  if (layer.kind == Kind::absent) return "The loss does not depend on it";
  if (judged.structure() == optim::View::channel) return fmt::format("{} takes out the length of each channel", place(channel));
  if (judged.structure() == optim::View::layer)
    return fmt::format("{} takes out its length as a whole, not that of each channel: {} {}", place(layer), place(channel),
                       channel.reason);
  if (layer.kind == Kind::unknown) return fmt::format("{} {}, so numbers decide", place(layer), layer.reason);
  if (is_in_doubt(judged)) return fmt::format("The graph cannot show it to be invariant: {} {}", place(layer), layer.reason);
  if (layer.kind == Kind::broken) return fmt::format("Its length matters: {} {}", place(layer), layer.reason);
  return fmt::format("Its length matters: the loss goes with its power {:.3g}", layer.degree);
}

std::string numbers_in_words(const Judged& judged) {
  const auto structure = judged.structure(), numbers = judged.numbers();
  const double change = std::max(judged.change(), structure == optim::View::channel ? judged.channel_change() : 0);
  const bool counts =
      numbers && structure && *numbers != *structure;  // where less is within the tolerance, an odd order is chance
  const std::string shrinks = judged.residue_order && (judged.residue_is_of_eps || counts)
                                  ? fmt::format(", shrinking as 1/a^{:.2f}{}", *judged.residue_order,
                                                judged.residue_is_of_eps ? ", as an eps does" : "")
                                  : "";
  if (!numbers) return "it is zero, so numbers cannot tell";
  if (!structure) return fmt::format("they say {}: the loss changes by up to {:.2g}", optim::name_of(*numbers), change);
  if (judged.gradient_norm == 0) return "at these weights nothing depends on it: its gradient is zero";
  if (*structure == optim::View::none) {
    if (*numbers == optim::View::none) return "numbers agree";
    return fmt::format("numbers {}, as where what is added is zero: the loss changes by {:.2g} at the most",
                       is_in_doubt(judged) ? "take it for invariant at these weights" : "do not show it at these weights",
                       change);
  }
  if (*numbers == *structure) return fmt::format("numbers agree but for {:.2g}{}", change, shrinks);
  if (*structure == optim::View::layer && *numbers == optim::View::channel)
    return fmt::format("numbers show no difference between channels, either: {:.2g} at the most", judged.channel_change());
  if (judged.contradicted())
    return fmt::format(
        "but the loss changes by up to {:.2g}{}, so numbers decide: a large eps, or what no graph records (a "
        "comparison, a mask, a detached value), goes with its length",
        change, shrinks);
  return fmt::format("numbers do not agree: the loss changes by up to {:.2g}{}", change, shrinks);
}

std::string cosine_in_words(const Judged& judged) {
  const auto cosine = judged.cosine();
  if (!cosine) return "SGDP leaves vectors alone";
  const bool is_none = judged.verdict() == optim::View::none;
  const bool by_channel = (is_none ? *cosine : judged.verdict()) == optim::View::channel;
  const std::string rate = percent(by_channel ? judged.channel_hit_rate : judged.layer_hit_rate, 0);
  if (is_none) {
    if (judged.layer_hit_rate == 0 && judged.channel_hit_rate == 0) return "SGDP's rule agrees";
    return fmt::format("SGDP's rule {}: it holds {}in {} % of the batches, where chance gives 8 %{}",
                       *cosine == optim::View::none ? "agrees" : "takes it for invariant",
                       by_channel ? "for every channel " : "", rate, by_channel ? " for each" : "");
  }
  const bool agrees =
      *cosine == judged.verdict() || (*cosine == optim::View::channel && judged.verdict() == optim::View::layer);
  return fmt::format("SGDP's rule {}: it holds in {} % of the batches", agrees ? "agrees" : "misses it", rate);
}

Value losses(const std::vector<LossAtLength>& losses) {
  Value::Array all;
  for (const LossAtLength& s : losses) all.emplace_back(Value::Object{{"a", s.a}, {"loss", s.loss}});
  return all;
}

Value value_of(const Judged& judged) {
  Value::Array shape;
  for (int64_t size : judged.shape) shape.emplace_back(size);
  const auto rate = [](double r) { return std::isnan(r) ? Value() : Value(r); };
  const auto cosine = judged.cosine();
  return Value::Object{
      {"name", judged.name},
      {"shape", shape},
      {"structure", name(judged.structure(), "unknown")},
      {"numbers", name(judged.numbers(), "unknown")},
      {"cosine", cosine ? Value(optim::name_of(*cosine)) : Value()},
      {"verdict", optim::name_of(judged.verdict())},
      {"words", words(judged)},
      {"norm", judged.norm},
      {"gradient_norm", judged.gradient_norm},
      {"loss", judged.loss},
      {"scaled", losses(judged.losses)},
      {"scaled_channels", losses(judged.channel_losses)},
      {"radial", judged.radial},
      {"radial_channel", judged.channel_radial},
      {"hit_rate", Value::Object{{"channel", rate(judged.channel_hit_rate)}, {"layer", rate(judged.layer_hit_rate)}}},
      {"residue", judged.residue},
      {"residue_order", judged.residue_order ? Value(*judged.residue_order) : Value()},
      {"residue_is_of_eps", judged.residue_is_of_eps}};
}

Scorecard judge(Experiment& experiment, int64_t count, const std::string& checkpoint) {
  experiment.use_precision(DType::f32);
  std::vector<data::Batch> batches;
  experiment.train.set_epoch(0);
  // Only batches that the training takes: where it stops within its first epoch, it never sees a small last batch, which the
  // network may not be able to take.
  const optim::Length length = experiment.length();
  const bool cut = length.steps < length.steps_per_epoch;
  const int64_t taken = cut ? length.steps * experiment.config.train.accumulate : experiment.train.batches();
  if (taken < 1) throw ConfigError("data: there is no full batch to judge on; lower data.batch_size");
  while (int64_t(batches.size()) < count) {
    auto at = experiment.train.begin();
    const int64_t most = std::min(count, int64_t(batches.size()) + taken);
    for (; int64_t(batches.size()) < most; ++at) batches.push_back(*at);
  }
  return {checkpoint, count,
          judge_invariance(*experiment.model, batches, {.label_smoothing = experiment.config.train.label_smoothing})};
}

}  // namespace

Scorecard judge_config(const ExperimentConfig& config, int64_t batches) {
  Experiment experiment(config);
  return judge(experiment, batches, "");
}

Scorecard judge_run(const std::string& folder, int64_t batches, const std::string& checkpoint) {
  Experiment experiment(load_run_config(folder));
  const Checkpoint loaded = load_checkpoint(folder + "/checkpoints/" + checkpoint);
  experiment.model->load_state(loaded.model.tensors);
  use_algorithms(experiment.config, loaded.algorithms);
  return judge(experiment, batches, checkpoint);
}

std::string words(const Judged& judged) {
  const std::string structure = structure_in_words(judged);
  if (judged.by_layer.kind == Kind::absent) return structure + ".";
  return fmt::format("{}; {}; {}.", structure, numbers_in_words(judged), cosine_in_words(judged));
}

std::string table(const Scorecard& scorecard) {
  size_t width = 9, shapes = 5;
  for (const Judged& judged : scorecard.parameters) {
    width = std::max(width, judged.name.size());
    shapes = std::max(shapes, judged.shape.str().size());
  }
  std::string text =
      fmt::format("{:<{}}  {:<{}}  {:<9}  {:<7}  {:>7}  {:>7}  {:>7}  {:<7}  {:>9}  {:<7}  {}\n", "parameter", width, "shape",
                  shapes, "structure", "numbers", "|dL|", "radial", "residue", "cosine", "hits %", "verdict", "in words");
  for (const Judged& judged : scorecard.parameters) {
    const std::string hits = std::isnan(judged.layer_hit_rate)
                                 ? "-"
                                 : fmt::format("{:.0f} / {:.0f}", 100 * judged.channel_hit_rate, 100 * judged.layer_hit_rate);
    text += fmt::format("{:<{}}  {:<{}}  {:<9}  {:<7}  {:>7.1e}  {:>7.1e}  {:>7}  {:<7}  {:>9}  {:<7}  {}\n", judged.name,
                        width, judged.shape.str(), shapes, name(judged.structure(), "unknown"), name(judged.numbers(), "-"),
                        judged.change(), judged.radial,
                        judged.verdict() == optim::View::none ? "" : fmt::format("{:.1e}", judged.residue),
                        name(judged.cosine(), "-"), hits, optim::name_of(judged.verdict()), words(judged));
  }
  return text;
}

std::string to_json(const Scorecard& scorecard) {
  Value::Array parameters;
  for (const Judged& judged : scorecard.parameters) parameters.push_back(value_of(judged));
  const Value value = Value::Object{{"checkpoint", scorecard.checkpoint.empty() ? Value() : Value(scorecard.checkpoint)},
                                    {"batches", scorecard.batches},
                                    {"parameters", parameters}};
  return config::dump(value, 1) + "\n";
}

std::string write_scorecard(const Scorecard& scorecard, const std::string& folder) {
  const std::string file = folder + "/invariance.json";
  write_file(file, to_json(scorecard));
  return file;
}

}  // namespace az::experiments
