// A probe of one's own, in one file: what it declares is all that the report needs to draw it.
//
//   update_ratio train update_ratio.json
//   update_ratio report runs/update_ratio
#include <azimuth.h>
#include <experiments/cli/program.h>

#include <algorithm>
#include <cmath>

using namespace az;

struct UpdateRatioOptions {
  int64_t every = 10;
  double target = 1e-3;
  static void fields(auto& f) {
    f("every", &UpdateRatioOptions::every, "steps from one that it watches to the next", config::at_least(1));
    f("target", &UpdateRatioOptions::target, "the ratio that is taken for healthy", config::more_than(0));
  }
};

// How long a step is beside the parameter that it moves.
class UpdateRatio : public experiments::Probe {
 public:
  explicit UpdateRatio(const UpdateRatioOptions& options) : Probe(options.every), target_(options.target) {}

  std::vector<experiments::Quantity> columns() const override {
    return {{.key = "ratio",
             .title = "Update beside weight",
             .unit = "‖d‖ / ‖w‖",
             .caption = "Thin: how long a step is beside the parameter that it moves; pale: what is taken for healthy.",
             .scale = "log",
             .per = "parameter",
             .beside = "target",
             .name = "measured"},
            {.key = "target", .per = "parameter", .drawn = false},
            {.key = "above",
             .title = "Parameters that move too fast",
             .unit = "share",
             .caption = "The share of the parameters whose ratio is above the target.",
             .share = true}};
  }
  void before(const Parameter& parameter, const Tensor&) override { weight_ = parameter.tensor.detach().clone(); }
  void after(const Parameter& parameter, const Tensor&, const optim::UpdateInfo&) override {
    const Tensor step = parameter.tensor.detach() - weight_;
    ratios_.emplace_back(parameter.name, norm(step).item() / norm(weight_).item());
  }
  void report(const Write& write) override {
    double above = 0;
    for (const auto& [name, ratio] : ratios_) {
      write({{"parameter", name}, {"ratio", ratio}, {"target", target_}});
      above += ratio > target_;
    }
    write({{"above", above / double(ratios_.size())}});
    ratios_.clear();
  }

 private:
  double target_;
  Tensor weight_;
  std::vector<std::pair<std::string, double>> ratios_;
};

int main(int argc, char** argv) {
  experiments::ProbeRegistry::add<UpdateRatioOptions>(
      "update_ratio", "how long steps are beside what they move",
      [](const UpdateRatioOptions& options, const std::vector<Parameter>&) { return std::make_unique<UpdateRatio>(options); });
  return cli::run(argc, argv);
}
