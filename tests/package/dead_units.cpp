// A probe of modules of one's own, in one file: which units behind a ReLU are off for every image of a step.
//
//   dead_units train dead_units.json
//   dead_units report runs/dead_units
#include <azimuth.h>
#include <experiments/cli/program.h>

#include <map>

using namespace az;

struct DeadUnitsOptions {
  int64_t every = 10;
  static void fields(auto& f) {
    f("every", &DeadUnitsOptions::every, "steps from one that it watches to the next", config::at_least(1));
  }
};

class DeadUnits : public experiments::Probe {
 public:
  explicit DeadUnits(const DeadUnitsOptions& options) : Probe(options.every) {}

  std::vector<experiments::Quantity> columns() const override {
    return {{.key = "dead",
             .title = "Dead units",
             .unit = "share of units",
             .caption = "The share of a ReLU's units that are off for every image: no gradient reaches what is before them.",
             .per = "module",
             .share = true},
            {.key = "gradient",
             .title = "Gradient behind the ReLU",
             .unit = "‖g‖",
             .caption = "How long the gradient of a ReLU's output is, over all images of the step.",
             .scale = "log",
             .per = "module"}};
  }
  bool watches(const nn::Module& module) const override { return dynamic_cast<const nn::ReLU*>(&module); }
  void module(const nn::Module& module, const Tensor&, const Tensor& output) override {
    Tensor& largest = seen_[module.path()].largest;
    const Tensor of_batch = max(output, {{0}});
    largest = largest.defined() ? maximum(largest, of_batch) : of_batch;
  }
  void gradient(const nn::Module& module, const Tensor& gradient) override {
    double& length = seen_[module.path()].gradient;
    length = std::hypot(length, norm(gradient).item());
  }
  void report(const Write& write) override {
    for (const auto& [path, seen] : seen_) {
      const Tensor off = equal(seen.largest, zeros({}, seen.largest.dtype()));
      write({{"module", path}, {"dead", mean(off.to(DType::f32)).item()}, {"gradient", seen.gradient}});
    }
    seen_.clear();
  }

 private:
  struct Seen {
    Tensor largest;  // number of each unit
    double gradient = 0;
  };
  std::map<std::string, Seen> seen_;
};

int main(int argc, char** argv) {
  experiments::ProbeRegistry::add<DeadUnitsOptions>(
      "dead_units", "which units behind a ReLU are off",
      [](const DeadUnitsOptions& options, const std::vector<Parameter>&) { return std::make_unique<DeadUnits>(options); });
  return cli::run(argc, argv);
}
