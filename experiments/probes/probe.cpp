#include "experiments/probes/probe.h"

#include <algorithm>
#include <set>

#include "core/autograd/autograd.h"
#include "core/base/names.h"
#include "core/base/scope.h"
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
  std::string subject;
  for (const auto& [name, value] : fields) {
    check_name("field", name);
    if (!taken.insert(name).second) fail("a line has the field \"{}\" already; call it otherwise", name);
    if (std::find(std::begin(line_subjects), std::end(line_subjects), name) == std::end(line_subjects)) continue;
    const std::string* text = std::get_if<std::string>(&value);
    if (!text || text->empty()) fail("the field \"{}\" is to be a name", name);
    if (!subject.empty()) fail("a line is about a parameter or about a module; write two");
    subject = name;
  }
  const auto is_about = [](const std::string& what) {
    return what.empty() ? "a line about neither a parameter nor a module" : fmt::format("a line with a field \"{}\"", what);
  };
  std::vector<std::string> declared;
  for (const Quantity& quantity : columns) {
    if (quantity.subject() == subject) declared.push_back(quantity.key);
  }
  for (const auto& [name, value] : fields) {
    if (name == subject) continue;
    const auto found = std::find_if(columns.begin(), columns.end(), [&, &key = name](const auto& q) { return q.key == key; });
    if (found == columns.end() || found->subject() != subject)
      fail("{} has the field \"{}\", which columns() does not declare for it{}", is_about(subject), name,
           did_you_mean(name, declared));
    check_value(*found, value);
  }
  for (const std::string& key : declared) {
    if (!taken.count(key))
      fail("{} lacks the field \"{}\", which columns() declares; report NaN where it is not known", is_about(subject), key);
  }
}

// Calls look(), which is to leave a tensor as it is.
template <class Look> void unwritten(const char* what, const Tensor& tensor, const Look& look) {
  const uint64_t before = tensor.storage()->version();
  look();
  if (tensor.storage()->version() != before) fail("it wrote to the {} that it was shown; write to a clone() of it", what);
}

// The gradients of parameters, and how often they were written to.
std::vector<std::pair<Tensor, uint64_t>> gradients_of(const std::vector<Parameter>& parameters) {
  std::vector<std::pair<Tensor, uint64_t>> all;
  for (const Parameter& p : parameters) {
    const Tensor gradient = p.tensor.grad();
    all.emplace_back(gradient, gradient.defined() ? gradient.storage()->version() : 0);
  }
  return all;
}

// Has who draws random numbers draw other ones than the training for as long as it lives.
class OwnRandom {
 public:
  explicit OwnRandom(RandomState& own) : own_(own) { set_random_state(own); }
  ~OwnRandom() {
    own_ = random_state();
    set_random_state(training_);
  }
  OwnRandom(const OwnRandom&) = delete;

 private:
  RandomState training_ = random_state();
  RandomState& own_;
};

}  // namespace

void ProbeRegistry::register_builtin() { register_builtin_probes(); }

void ProbeRegistry::check_name(const std::string& name) {
  if (name == "step" || name == "epoch" || name == "path")
    fail("probe \"{}\": metrics.jsonl has lines of that kind already; choose another name", name);
}

void ProbeRegistry::check(const std::unique_ptr<Probe>& probe, const std::vector<Parameter>&) {
  check_quantities(probe->columns());
}

NamedProbe named(const std::string& kind, std::unique_ptr<Probe> probe, const nn::Module& network,
                 const std::vector<NamedProbe>& others) {
  NamedProbe made{kind, std::move(probe), {}};
  made.columns = made.probe->located([&] { return made.probe->columns(); });
  const std::vector<const nn::Module*> modules = network.modules();
  for (const nn::Module* module : modules) {
    if (module->path().empty()) continue;
    if (made.probe->located([&] { return made.probe->watches(*module); })) made.modules.insert(module);
  }
  for (const Quantity& quantity : made.columns) {
    if (quantity.per == "module" && made.modules.empty())
      throw ConfigError(
          fmt::format("it watches none of the {} modules of the network, and \"{}\" is per module; `azimuth "
                      "check` lists the modules",
                      modules.size() - 1, quantity.key));
    for (const NamedProbe& other : others) {
      if (other.kind != kind) continue;
      for (const Quantity& same : other.columns) {
        if (same.key == quantity.key && same.per != quantity.per)
          throw ConfigError(fmt::format("\"{}\" is per {}, and per {} as another probe \"{}\" declares it", quantity.key,
                                        quantity.per, same.per, kind));
      }
    }
  }
  return made;
}

// The random numbers depend on the seed and the step alone, so that a resumed run has the same.
Watching::Watching(int64_t step) : random_{random_state().seed ^ 0x70726f6265, uint64_t(step) << 32} {}

template <class Show> void Watching::each(const std::string& at, const nn::Module* module, const Show& show) {
  showing_ = true;
  for (const NamedProbe* one : probes_) {
    if (module && !one->modules.count(module)) continue;
    const std::string place = fmt::format("probe \"{}\"{}", one->kind, at);
    const Scope scope(place);
    const OwnRandom random(random_);
    one->probe->located([&] { placed([&] { return place; }, [&] { show(*one); }); });
  }
  showing_ = false;
}

void Watching::before(const Parameter& parameter, const Tensor& gradient) {
  each(fmt::format(" at \"{}\"", parameter.name), nullptr,
       [&](const NamedProbe& one) { one.probe->before(parameter, gradient); });
}

void Watching::after(const Parameter& parameter, const Tensor& gradient, const optim::UpdateInfo& info) {
  each(fmt::format(" at \"{}\"", parameter.name), nullptr,
       [&](const NamedProbe& one) { one.probe->after(parameter, gradient, info); });
}

void Watching::loss(const Tensor& loss, const std::vector<Parameter>& parameters) {
  each(" at the loss", nullptr, [&](const NamedProbe& one) {
    const auto before = gradients_of(parameters);
    unwritten("loss", loss, [&] { one.probe->loss(loss); });
    const auto after = gradients_of(parameters);
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (after[i].first.same(before[i].first) && after[i].second == before[i].second) continue;
      fail(
          "it changed the gradient of \"{}\", which is the training's; instead of backward(), take grad(loss, {{weight, ...}}, "
          "{{.retain_graph = true}})",
          parameters[i].name);
    }
  });
}

void Watching::report(const std::function<void(const std::string& kind, const MetricFields& fields)>& take) {
  for (const NamedProbe* one : probes_) {
    const auto lines = [&] {
      const OwnRandom random(random_);
      return reported_by(*one);
    }();
    for (const MetricFields& fields : lines) take(one->kind, fields);
  }
}

nn::Observer* Watching::modules() {
  const auto watches_some = [](const NamedProbe* one) { return !one->modules.empty(); };
  return std::any_of(probes_.begin(), probes_.end(), watches_some) ? &modules_ : nullptr;
}

bool Watching::Modules::watches(const nn::Module& module) const {
  return std::any_of(all_.probes_.begin(), all_.probes_.end(),
                     [&](const auto* one) { return one->modules.count(&module) > 0; });
}

void Watching::Modules::after(const nn::Module& module, const Tensor& input, const Tensor& output) {
  const Tensor x = input.detach().plain(), y = output.detach().plain();
  all_.each(fmt::format(" at \"{}\"", module.path()), &module, [&](const NamedProbe& one) {
    unwritten("input", x, [&] { unwritten("output", y, [&] { one.probe->module(module, x, y); }); });
  });
}

void Watching::Modules::gradient(const nn::Module& module, const Tensor& gradient) {
  if (all_.showing_) return;  // of a pass that a probe makes
  all_.each(fmt::format(" at \"{}\"", module.path()), &module,
            [&](const NamedProbe& one) { unwritten("gradient", gradient, [&] { one.probe->gradient(module, gradient); }); });
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
