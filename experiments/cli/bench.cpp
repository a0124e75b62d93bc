// azimuth bench
#include "experiments/bench.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "core/base/files.h"
#include "core/config/json_document.h"
#include "experiments/cli/command_line.h"
#include "experiments/cli/commands.h"
#include "experiments/flame.h"
#include "experiments/say.h"

namespace az::cli {
namespace {

using namespace experiments;
using config::Value;

struct Arguments {
  std::string config;
  std::vector<std::string> overrides;
  std::string flame;
  BenchOptions options;
  bool json = false;
};

// What belongs together: a phase, an op, a module.
struct Row {
  std::string name;
  double forward = 0, backward = 0, other = 0;
  double ms() const { return forward + backward + other; }
};

template <class Key> std::vector<Row> rows_by(const BenchReport& report, Key key) {
  std::vector<Row> rows;
  for (const BenchReport::Part& part : report.parts) {
    auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.name == key(part); });
    if (row == rows.end()) row = rows.insert(rows.end(), {key(part)});
    (part.phase == Phase::forward ? row->forward : part.phase == Phase::backward ? row->backward : row->other) += part.ms;
  }
  return rows;
}

int64_t multiply_adds_of(const BenchReport& report, const std::string& path) {
  int64_t sum = 0;
  for (const auto& layer : report.layers.rows) sum += layer.path == path ? layer.multiply_adds : 0;
  return sum;
}

// 1e9 operations a second, of `passes` times a module's multiply-adds for each image; "" where it multiplies nothing.
std::string gflops(const BenchReport& report, int64_t multiply_adds, double passes, double ms) {
  if (multiply_adds == 0 || ms <= 0) return "";
  return fmt::format("{:.0f}", 2e-6 * passes * double(multiply_adds * report.images_per_step) / ms);
}

void print_summary(const BenchReport& r) {
  fmt::print("{}: {} of {} images, {}, {} threads, {} timed\n\n", r.name, r.evaluation ? "evaluation steps" : "training steps",
             r.images_per_step, r.precision, r.threads, r.steps);
  fmt::print("speed       {:.1f} images/s; step {:.2f} ms (10th to 90th percentile {:.2f} to {:.2f})\n", r.images_per_second,
             r.step_ms_median, r.step_ms_p10, r.step_ms_p90);
  fmt::print("arithmetic  {:.1f} GFLOP/s{}\n", r.gflops,
             r.peak_gflops > 0 ? fmt::format(", {:.1f} % of the {:.0f} that a product of matrices reaches here",
                                             100 * r.gflops / r.peak_gflops, r.peak_gflops)
                               : "");
  fmt::print("data        {:.2f} ms of a step spent waiting; {:.2f} ms of processor time, {:.3f} of a core\n",
             r.phase_ms(Phase::data), r.data_cpu_ms, r.data_cpu_ms / r.step_ms_mean);
  fmt::print("reorders    {:.1f} a step\n", r.reorders_per_step);
  fmt::print("memory      {:.1f} MiB at the most, {:.1f} MiB without the {:.1f} MiB of the data set\n", r.peak_rss_mib,
             r.peak_rss_mib - r.data_mib, r.data_mib);
}

// Prints where the time of the mean step goes. Each table adds up to all of it.
void print_times(const BenchReport& r) {
  const auto time = [](double ms) { return ms > 0 ? fmt::format("{:.2f}", ms) : std::string(); };
  const auto line = [&](const Row& row) {
    return fmt::format("{:<24}  {:>8}  {:>8}  {:>8.2f}  {:>5.1f}", row.name, time(row.forward), time(row.backward), row.ms(),
                       100 * row.ms() / r.step_ms_mean);
  };
  const auto title = [](const char* name) {
    return fmt::format("\n{:<24}  {:>8}  {:>8}  {:>8}  {:>5}", name, "forward", "backward", "ms", "%");
  };
  fmt::print("{}\n", title("phase"));
  for (const Row& phase : rows_by(r, [](const BenchReport::Part& part) { return std::string(name_of(part.phase)); }))
    fmt::print("{}\n", line(phase));
  fmt::print("{}\n", title("op"));
  std::vector<Row> ops = rows_by(r, [](const BenchReport::Part& part) { return part.op; });
  std::stable_sort(ops.begin(), ops.end(), [](const Row& a, const Row& b) { return a.ms() > b.ms(); });
  for (const Row& op : ops) fmt::print("{}\n", line(op));
  fmt::print("{}    GFLOP/s forward, backward\n", title("module"));
  for (Row& module : rows_by(r, [](const BenchReport::Part& part) { return part.scope; })) {
    const int64_t work = multiply_adds_of(r, module.name);
    const std::string forward = gflops(r, work, 1, module.forward), backward = gflops(r, work, 2, module.backward);
    if (module.name.empty()) module.name = "(in no module)";
    fmt::print("{}{}\n", line(module), work ? fmt::format("  {:>8}  {:>8}", forward, backward) : "");
  }
}

// Prints which kernel each convolution ran by, in each direction. Winograd's kernels do with fewer operations than are counted,
// so that their share of the peak may pass 100 %.
void print_kernels(const BenchReport& r) {
  fmt::print("\n{:<24}  {:<18}  {:>8}  {:>8}  {:>5}  {}\n", "convolution", "direction", "ms", "GFLOP/s", "peak", "kernel");
  for (const BenchReport::Part& part : r.parts) {
    if (part.kernel.empty()) continue;
    const char* direction = part.phase == Phase::forward  ? "forward"
                            : part.op == "conv2d_weights" ? "weight's gradient"
                                                          : "image's gradient";
    const double flops = 2e-6 * double(multiply_adds_of(r, part.scope) * r.images_per_step) / part.ms;
    const std::string share = r.peak_gflops > 0 ? fmt::format("{:.0f} %", 100 * flops / r.peak_gflops) : "";
    fmt::print("{:<24}  {:<18}  {:>8.2f}  {:>8.0f}  {:>5}  {}\n", part.scope, direction, part.ms, flops, share, part.kernel);
  }
}

void print_json(const BenchReport& r) {
  Value::Object phases;
  for (Phase phase : all_phases) phases.push_back({name_of(phase), r.phase_ms(phase)});
  Value::Array parts, layers;
  for (const BenchReport::Part& part : r.parts) {
    parts.emplace_back(Value::Object{{"phase", name_of(part.phase)},
                                     {"op", part.op},
                                     {"module", part.scope},
                                     {"kernel", part.kernel.empty() ? Value() : Value(part.kernel)},
                                     {"ms", part.ms},
                                     {"calls", part.calls}});
  }
  for (const auto& layer : r.layers.rows) {
    if (layer.multiply_adds == 0) continue;
    layers.emplace_back(
        Value::Object{{"module", layer.path}, {"layer", layer.description}, {"multiply_adds", layer.multiply_adds}});
  }
  const Value report = Value::Object{{"name", r.name},
                                     {"mode", r.evaluation ? "evaluation" : "training"},
                                     {"precision", r.precision},
                                     {"threads", r.threads},
                                     {"steps", r.steps},
                                     {"images_per_step", r.images_per_step},
                                     {"images_per_second", r.images_per_second},
                                     {"step_ms_median", r.step_ms_median},
                                     {"step_ms_p10", r.step_ms_p10},
                                     {"step_ms_p90", r.step_ms_p90},
                                     {"step_ms_mean", r.step_ms_mean},
                                     {"phases_ms", phases},
                                     {"gflops", r.gflops},
                                     {"peak_gflops", r.peak_gflops > 0 ? Value(r.peak_gflops) : Value()},
                                     {"multiply_adds", r.layers.multiply_adds},
                                     {"data_cpu_ms", r.data_cpu_ms},
                                     {"reorders_per_step", r.reorders_per_step},
                                     {"peak_rss_mib", r.peak_rss_mib},
                                     {"data_mib", r.data_mib},
                                     {"parts", parts},
                                     {"layers", layers}};
  fmt::print("{}\n", config::dump(report, 2));
}

Exit run_bench(const Arguments& arguments) {
  ExperimentConfig config = load_config(arguments.config, arguments.overrides);
  if (!arguments.flame.empty())
    check_output("--flame", arguments.flame, {"picture of a step that azimuth drew", "<svg ", flame_mark});
  Experiment experiment(std::move(config));
  print_machine_notes();
  print_precision_note(experiment.config, experiment.precision());
  const BenchReport report = bench(experiment, arguments.options);
  const bool flamed = has_written([&] {
    if (arguments.flame.empty()) return;
    write_file(arguments.flame, flame_svg(report));
    say("{}: open it in a browser", arguments.flame);
  });
  if (arguments.json) {
    print_json(report);
  } else {
    print_summary(report);
    print_times(report);
    print_kernels(report);
  }
  return flamed ? Exit::done : Exit::failure;
}

}  // namespace

void add_bench_command(CommandDeclaration& program, Outcome& outcome) {
  auto arguments = std::make_shared<Arguments>();
  CommandDeclaration command =
      program.command("bench", "Time the training steps of a config, part by part; trains nothing to keep");
  command.needs("config", arguments->config, config_file, "the experiment, a JSON file");
  command.takes_changes(arguments->overrides, "change an option: --set train.threads=1");
  command.takes("--steps", arguments->options.steps, "steps to time");
  command.takes("--warmup", arguments->options.warmup, "steps before them");
  command.takes_flag("--eval", arguments->options.evaluate, "time forward passes over the test set instead");
  command.takes("--flame", arguments->flame, any_file, "also draw where the time goes, as an SVG file");
  command.takes_flag("--json", arguments->json, "print JSON");
  command.runs([=, &outcome] { outcome.exit = run_bench(*arguments); });
}

}  // namespace az::cli
