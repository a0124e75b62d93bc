#include "experiments/training_lines.h"

namespace az::experiments {

MetricFields step_fields(const StepSummary& summary) {
  return {{"step", summary.step}, {"epoch", summary.epoch}, {"lr", summary.lr}, {"loss", summary.loss}};
}

Measurement step_measurement() {
  return {
      "step",
      {{.key = "loss", .title = "Training loss", .unit = "loss", .caption = "The loss of the batches, as each run went along."},
       {.key = "lr",
        .title = "Learning rate",
        .unit = "learning rate",
        .caption = "What the schedule makes of the learning rate."}}};
}

MetricFields epoch_fields(const EpochSummary& summary) {
  MetricFields fields = {{"epoch", summary.epoch}, {"step", summary.step}, {"lr", summary.lr}};
  add_score(fields, "train", summary.train);
  if (summary.validation) add_score(fields, "validation", *summary.validation);
  if (summary.test) add_score(fields, "test", *summary.test);
  fields.emplace_back("seconds", summary.seconds);
  fields.emplace_back("images_per_second", summary.images_per_second);
  return fields;
}

// The page draws them by plots of its own, which choose between validation and test.
Measurement epoch_measurement() {
  const auto kept = [](const std::string& key, const std::string& name, const std::string& unit, bool share = false) {
    return Quantity{.key = key, .unit = unit, .per = "epoch", .name = name, .drawn = false, .share = share};
  };
  Measurement result{"epoch", {kept("lr", "learning rate", "learning rate")}};
  for (const std::string part : {"train", "validation", "test"}) {
    result.quantities.push_back(kept(part + "_loss", part + " loss", "loss"));
    result.quantities.push_back(kept(part + "_accuracy", part + " accuracy", "accuracy", true));
    result.quantities.push_back(kept(part + "_top5", part + " top-5 accuracy", "accuracy", true));
  }
  result.quantities.push_back(kept("seconds", "seconds", "seconds"));
  result.quantities.push_back(kept("images_per_second", "images a second", "images/s"));
  return result;
}

Measurements measurements_of(const Experiment& experiment) {
  Measurements all{{step_measurement(), epoch_measurement()},
                   optim::norm_rule(*experiment.optimizer, {.average = experiment.average.get(),
                                                            .clips_values = experiment.config.train.clip_value.has_value()})};
  for (const NamedProbe& one : experiment.probes) all.add({one.kind, one.columns});
  return all;
}

}  // namespace az::experiments
