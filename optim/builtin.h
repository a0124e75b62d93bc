#pragma once

#include <memory>

#include "core/config/registry.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"

namespace az::optim {

// JSON's optimizers ("sgdp") and learning rate schedules ("cosine").
struct OptimizerRegistry : config::Registry<OptimizerRegistry, std::unique_ptr<Optimizer>, const std::vector<Parameter>&> {
  static constexpr const char* kind = "optimizer";
};
struct ScheduleRegistry : config::Registry<ScheduleRegistry, Schedule> {
  static constexpr const char* kind = "schedule";
};

// Registers what this room has; a second call does nothing.
void register_builtin_optimizers();
void register_builtin_schedules();

}  // namespace az::optim
