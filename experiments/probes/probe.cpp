#include "experiments/probes/probe.h"

#include <algorithm>
#include <set>

#include "core/base/names.h"
#include "core/config/nearest.h"

namespace az::experiments {
namespace {

using config::did_you_mean;
using config::quoted_list;

void check_value(const Quantity& quantity, const MetricValue& value) {
  const auto* word = std::get_if<std::string>(&value);
  const auto& words = quantity.words;
  if (!word && !words.empty() && !to_value(value).is_null())
    fail("the field \"{}\" is declared as one of the words {}", quantity.key, quoted_list(words));
  if (word && words.empty() && quantity.drawn)
    fail("the field \"{}\" is a text, which cannot be drawn; declare its words, or .drawn = false", quantity.key);
  if (word && !words.empty() && std::find(words.begin(), words.end(), *word) == words.end())
    fail("the field \"{}\" is \"{}\", and declared as one of the words {}", quantity.key, *word, quoted_list(words));
}

// Throws unless a line holds what is declared of such a line, and nothing else.
void check_line(const MetricFields& fields, const std::vector<Quantity>& columns) {
  std::set<std::string> taken{"kind", "step", "epoch"};
  for (const auto& [name, value] : fields) {
    check_name("field", name);
    if (!taken.insert(name).second) fail("a line has the field \"{}\" already; call it otherwise", name);
    if (name == "parameter" && !std::holds_alternative<std::string>(value)) fail("the field \"parameter\" is to be a name");
  }
  const bool of_parameter = taken.count("parameter") > 0;
  std::vector<std::string> declared;
  for (const Quantity& quantity : columns) {
    if (quantity.of_parameter() == of_parameter) declared.push_back(quantity.key);
  }
  const char* line = of_parameter ? "a line with a field \"parameter\"" : "a line without a field \"parameter\"";
  for (const auto& [name, value] : fields) {
    if (name == "parameter") continue;
    const auto found = std::find_if(columns.begin(), columns.end(), [&, &key = name](const auto& q) { return q.key == key; });
    if (found == columns.end() || found->of_parameter() != of_parameter)
      fail("{} has the field \"{}\", which columns() does not declare for it{}", line, name, did_you_mean(name, declared));
    check_value(*found, value);
  }
  for (const std::string& key : declared) {
    if (!taken.count(key))
      fail("{} lacks the field \"{}\", which columns() declares; report NaN where it is not known", line, key);
  }
}

}  // namespace

void ProbeRegistry::register_builtin() { register_builtin_probes(); }

void ProbeRegistry::check_name(const std::string& name) {
  if (name == "step" || name == "epoch" || name == "path")
    fail("probe \"{}\": metrics.jsonl has lines of that kind already; choose another name", name);
}

void ProbeRegistry::check(const std::unique_ptr<Probe>& probe, const std::vector<Parameter>&) {
  check_quantities(probe->columns());
}

template <class Turn> void Probes::each(const Parameter& parameter, const Turn& turn) {
  for (const auto& [kind, probe] : all_) {
    const auto where = [&, &name = kind] { return fmt::format("probe \"{}\" at \"{}\"", name, parameter.name); };
    probe->located([&, one = probe] { placed(where, [&] { turn(*one); }); });
  }
}

void Probes::before(const Parameter& parameter, const Tensor& gradient) {
  each(parameter, [&](Probe& probe) { probe.before(parameter, gradient); });
}

void Probes::after(const Parameter& parameter, const Tensor& gradient, const optim::UpdateInfo& info) {
  each(parameter, [&](Probe& probe) { probe.after(parameter, gradient, info); });
}

std::vector<MetricFields> reported_by(const NamedProbe& probe) {
  std::vector<MetricFields> lines;
  const auto take = [&](const MetricFields& fields) {
    check_line(fields, probe.columns);
    lines.push_back(fields);
  };
  const auto where = [&] { return fmt::format("probe \"{}\"", probe.kind); };
  probe.probe->located([&] { placed(where, [&] { probe.probe->report(take); }); });
  return lines;
}

}  // namespace az::experiments
