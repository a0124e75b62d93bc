#pragma once

#include <memory>

#include "optim/average.h"
#include "optim/optimizer.h"
#include "optim/registry.h"
#include "optim/schedule.h"

namespace az::optim {

// JSON's learning rate schedules ("cosine") and averages of weights ("ema"); its optimizers are in registry.h.
struct ScheduleRegistry : config::Registry<ScheduleRegistry, Schedule> {
  static constexpr const char* kind = "schedule";
  static void register_builtin();
};
struct AverageRegistry : config::Registry<AverageRegistry, std::unique_ptr<WeightAverage>, const WeightAverage::Tensors&> {
  static constexpr const char* kind = "weight average";
  static void register_builtin();
};

// Registers what this room has; a second call does nothing.
void register_builtin_optimizers();
void register_builtin_schedules();
void register_builtin_averages();

}  // namespace az::optim
