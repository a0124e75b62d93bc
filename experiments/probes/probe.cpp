#include "experiments/probes/probe.h"

#include <set>

#include "core/base/names.h"

namespace az::experiments {
namespace {

std::string of(const std::string& kind, const Parameter& parameter) {
  return fmt::format("probe \"{}\" at \"{}\"", kind, parameter.name);
}

}  // namespace

void ProbeRegistry::register_builtin() { register_builtin_probes(); }

void ProbeRegistry::check_name(const std::string& name) {
  if (name == "step" || name == "epoch" || name == "path")
    fail("probe \"{}\": metrics.jsonl has lines of that kind already; choose another name", name);
}

void Probes::before(const Parameter& parameter, const Tensor& gradient) {
  for (const auto& [kind, probe] : all_)
    placed([&, &name = kind] { return of(name, parameter); }, [&, one = probe] { one->before(parameter, gradient); });
}

void Probes::after(const Parameter& parameter, const Tensor& gradient, const optim::UpdateInfo& info) {
  for (const auto& [kind, probe] : all_)
    placed([&, &name = kind] { return of(name, parameter); }, [&, one = probe] { one->after(parameter, gradient, info); });
}

std::vector<MetricFields> reported_by(const std::string& kind, Probe& probe) {
  std::vector<MetricFields> lines;
  const auto take = [&](const MetricFields& fields) {
    std::set<std::string> taken{"kind", "step", "epoch"};
    for (const auto& [name, value] : fields) {
      az::check_name("field", name);
      if (!taken.insert(name).second) fail("a line has the field \"{}\" already; call it otherwise", name);
    }
    lines.push_back(fields);
  };
  placed([&] { return fmt::format("probe \"{}\"", kind); }, [&] { probe.report(take); });
  return lines;
}

}  // namespace az::experiments
