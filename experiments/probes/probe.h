#pragma once

#include <fmt/core.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/config/registry.h"
#include "experiments/measurement.h"
#include "experiments/metrics.h"
#include "nn/module.h"
#include "optim/optimizer.h"

namespace az::experiments {

// Watches a training at some of its steps and writes what it saw to metrics.jsonl, in lines whose "kind" is its type. Make
// one's own by deriving from it: of a step that is due it is shown the modules that it watches(), the loss, the gradients of
// these modules' outputs, and each parameter before() and after() its update; report() then gives the lines, and columns() says
// what is in them. Of a step of several batches (train.accumulate) all but the parameters come once a batch. What it is shown
// is there to be looked at: a training has the same bits with a probe and without, as long as that clones a weight, or what an
// optimizer keeps, before it changes it. Random numbers that probes draw are not the training's.
class Probe : public optim::StepObserver, public config::Made {
 public:
  using Write = std::function<void(const MetricFields&)>;

  // `every`: steps from one that it watches to the next, 1 at least.
  explicit Probe(int64_t every) : every_(every) {
    if (every < 1) fail("a probe watches every so many steps, 1 at least, got {}", every);
  }

  // Says whether it watches the given step, counted from 1: it does the first, and every so many.
  bool due(int64_t step) const { return step == 1 || step % every_ == 0; }
  // What is odd about it in a training of so many steps, each as "option: sentence".
  std::vector<std::string> examine(int64_t steps) const {
    if (every_ <= steps || steps == 1) return {};
    return {fmt::format("every: {} is more than the {} steps of the training: only the first is watched", every_, steps)};
  }
  // What its lines hold, by which reports draw it: the same as long as it lives.
  virtual std::vector<Quantity> columns() const = 0;

  // Says whether it is to be shown this module. Is asked once, of all but the network as a whole, whose path is empty.
  virtual bool watches(const nn::Module&) const { return false; }
  // What a module took and gave, row-major, once it ran: those inside it come before. In the number type of the activations.
  virtual void module(const nn::Module&, const Tensor& /*input*/, const Tensor& /*output*/) {}
  // The gradient of what it gave, of the loss as it counts for the step: a mean over all of its images. Row-major. Comes in
  // backward, not where no parameter behind the module is trained, nor of one that gives its input itself.
  virtual void gradient(const nn::Module&, const Tensor& /*gradient*/) {}
  // The mean loss over a batch, before backward: grad(loss, {weight, ...}, {.retain_graph = true}) gives its gradients.
  virtual void loss(const Tensor& /*loss*/) {}

  // Writes about the step just watched, and forgets it: a resumed run must write the same. Kind, step and epoch are added to
  // each line. A line about a parameter names it in the field "parameter" and has all columns that are per parameter, one about
  // a module has its path in the field "module"; any other line has all the rest. A number that is not there is NaN.
  virtual void report(const Write& write) = 0;

 private:
  int64_t every_;
};

// The probes JSON can name. A factory takes (options, the optimizer's parameters).
struct ProbeRegistry : config::Registry<ProbeRegistry, std::unique_ptr<Probe>, const std::vector<Parameter>&> {
  static constexpr const char* kind = "probe";
  static void register_builtin();
  static void check_name(const std::string& name);  // lines of other kinds are there already
  static void check(const std::unique_ptr<Probe>& probe, const std::vector<Parameter>&);  // its columns
};

// Registers what comes with Azimuth; a second call does nothing.
void register_builtin_probes();

struct NamedProbe {
  std::string kind;  // of its lines
  std::unique_ptr<Probe> probe;
  std::vector<Quantity> columns;             // what it declares
  std::set<const nn::Module*> modules = {};  // that it watches
};
// Fills in what a probe says of itself. Throws ConfigError where it declares what is per module and watches none of the
// network's, or otherwise than another probe of its kind.
NamedProbe named(const std::string& kind, std::unique_ptr<Probe> probe, const nn::Module& network,
                 const std::vector<NamedProbe>& others);

// What a probe reports; what it throws starts with its place and kind. Throws for fields that it did not declare, or declared
// and does not report.
std::vector<MetricFields> reported_by(const NamedProbe& probe);

// Shows a step to several probes. What one throws starts with its kind.
class Watching : public optim::StepObserver {
 public:
  explicit Watching(int64_t step);
  void add(const NamedProbe& probe) { probes_.push_back(&probe); }
  bool empty() const { return probes_.empty(); }
  // Sees the modules that they watch; nullptr: none.
  nn::Observer* modules();
  // Throws where one has changed a gradient of the parameters, as backward() does.
  void loss(const Tensor& loss, const std::vector<Parameter>& parameters);
  void before(const Parameter& parameter, const Tensor& gradient) override;
  void after(const Parameter& parameter, const Tensor& gradient, const optim::UpdateInfo& info) override;
  // Calls take(kind, fields) with each line that they report.
  void report(const std::function<void(const std::string& kind, const MetricFields& fields)>& take);

 private:
  struct Modules : nn::Observer {
    explicit Modules(Watching& all) : all_(all) {}
    bool watches(const nn::Module& module) const override;
    void after(const nn::Module& module, const Tensor& input, const Tensor& output) override;
    bool wants_gradient(const nn::Module&) override { return true; }
    void gradient(const nn::Module& module, const Tensor& gradient) override;
    Watching& all_;
  };
  // Calls show(probe) of each; where a module is given, of those that watch it.
  template <class Show> void each(const std::string& at, const nn::Module* module, const Show& show);

  std::vector<const NamedProbe*> probes_;
  Modules modules_{*this};
  RandomState random_;  // of the probes
  bool showing_ = false;
};

}  // namespace az::experiments
