// Parts of one's own that go wrong, each in its way: `MISTAKE=WHAT mistakes train mistakes.json` is `azimuth` with a part that
// does. `check` says what each must come to.
#include <azimuth.h>
#include <experiments/cli/program.h>

#include <cstdlib>
#include <stdexcept>

using namespace az;

namespace {

std::string what;
bool is(const char* mistake) { return what == mistake; }

struct NoOptions {
  static void fields(auto&) {}
};
struct LayerOptions {
  double slope = is("default") ? -1 : 1;
  static void fields(auto& f) {
    f(is("type_option") ? "type" : is("empty_option") ? "" : "slope", &LayerOptions::slope, "", config::more_than(0));
  }
};

// x, by an op whose gradient may fail.
Tensor same(const Tensor& x) {
  return record("same", x.detach(), {x}, saved(x), ByOps{[](const Back& k) {
                  if (is("gradient_throws")) throw std::out_of_range("index 3");
                  if (is("saved_beyond")) return Grads{k.g * k.saved[1]};
                  if (is("no_result")) return Grads{k.g * k.result};
                  return Grads{k.g};
                }});
}

// A bottleneck of two linear layers, kept in one way or another, on [n,8].
class Own : public nn::Layer<Own> {
 public:
  Own() {
    add_parameter("shift", zeros({8}), ParameterKind::bias);
    if (is("null_child")) add_child("null", nn::ModulePtr());
    if (is("stray_tensor")) stray_ = ones({8}).set_requires_grad();
    if (is("pointer")) pointer_ = &child("first");
  }

 protected:
  Tensor forward(const Tensor& x) override {
    if (is("forward_throws") && training()) throw std::out_of_range("index 3");
    if (is("forward_throws_int") && training()) throw 42;
    Tensor y = is("plain_member") ? plain_(x) : is("pointer") ? (*pointer_)(x) : child(first_)(x);
    y = child(second_)(relu(same(y)));
    if (is("unused")) return y + parameter("shift").detach();
    if (is("stray_tensor")) y = y * stray_;
    return y + parameter("shift");
  }

 private:
  nn::Child<nn::Linear> first_ = add_child("first", nn::Linear(8, {.out_features = 4}));
  nn::Child<nn::Linear> second_ = add_child("second", nn::Linear(4, {.out_features = 8}));
  nn::Linear plain_{8, {.out_features = 4}};
  nn::Module* pointer_ = nullptr;
  Tensor stray_;
};

struct Jitter : data::Augmentation {
  void apply(data::Image& image, Philox&) const override {
    if (is("augmentation_throws")) throw std::runtime_error("no jitter");
    if (is("augmentation_resizes")) image.pixels.resize(7);
  }
};

struct Watch : experiments::Probe {
  Watch() : Probe(1) {}
  void before(const Parameter&, const Tensor&) override {
    if (is("probe_throws")) throw std::runtime_error("nothing to see");
  }
  bool watches(const nn::Module& module) const override { return !is("probe_blind") && module.path() == "2"; }
  void module(const nn::Module&, const Tensor&, const Tensor& output) override {
    if (is("probe_module_throws")) throw std::out_of_range("index 3");
    if (is("probe_module_op")) output + ones({7, 7, 7});
    if (is("probe_writes")) output.mul_(2);
  }
  void gradient(const nn::Module&, const Tensor&) override {
    if (is("probe_gradient_throws")) throw std::runtime_error("no gradient");
  }
  void loss(const Tensor& loss) override {
    if (is("probe_backward")) loss.backward({.retain_graph = true});
  }
  std::vector<experiments::Quantity> columns() const override {
    if (is("probe_blind")) return {{.key = "size", .per = "module"}};
    if (is("probe_reserved")) return {{.key = "epoch"}};
    return {{.key = "seen", .beside = is("probe_beside") ? "sene" : ""}};
  }
  void report(const Write& write) override {
    if (is("probe_silent")) return write({});
    if (is("probe_undeclared")) return write({{"seen", 1.0}, {"more", 1.0}});
    write({{is("probe_field") ? "epoch" : "seen", int64_t(1)}});
  }
};

struct Descent : optim::Optimizer {
  explicit Descent(const std::vector<Parameter>& list)
      : Optimizer("descent", list, 0.1, 0, {}, is("slots") ? std::vector<std::string>{"m", "m"} : std::vector<std::string>{}) {}
  optim::UpdateInfo update(Parameter& p, const Tensor& gradient, const optim::Group& group, optim::ParameterState&) override {
    if (is("update_throws")) throw std::runtime_error("no descent");
    if (is("gradient_written")) gradient.mul_(2);
    p.tensor.detach().add_(gradient, -group.lr);
    return {};
  }
};

data::DataSource noise() {
  return {{3, 4, 4}, 2, []() -> data::Splits {
            if (is("data_throws")) throw std::runtime_error("no such file");
            const auto part = [](int64_t count) {
              data::DatasetContent content{{3, 4, 4}, {}, {}, 2, {}};
              for (int64_t i = 0; i < count; ++i) {
                content.labels.push_back(i % 2);
                for (int64_t at = 0; at < 48; ++at) content.pixels.push_back(uint8_t(i * 29 + at * 7 + 90 * (i % 2)));
              }
              return data::Dataset(std::move(content));
            };
            data::DataOptions options{.batch_size = 8};
            data::Splits splits = data::make_splits(part(16), part(is("empty_test") ? 0 : 8), options);
            splits.training.augment.push_back(std::make_shared<Jitter>());
            return splits;
          }};
}

void register_parts() {
  nn::LayerRegistry::add<LayerOptions>(is("built_in")     ? "conv2d"
                                       : is("empty_name") ? ""
                                                          : "own",
                                       "two linear layers", [](const LayerOptions&, const Shape&) -> nn::ModulePtr {
                                         if (is("null_layer")) return nullptr;
                                         if (is("factory_throws")) throw std::out_of_range("index 3");
                                         return std::make_unique<Own>();
                                       });
  experiments::ProbeRegistry::add<NoOptions>(
      is("probe_kind") ? "step" : "watch", "sees", [](const NoOptions&, const std::vector<Parameter>&) {
        return std::unique_ptr<experiments::Probe>(is("null_probe") ? nullptr : new Watch);
      });
  optim::OptimizerRegistry::add<NoOptions>("descent", "descends", [](const NoOptions&, const std::vector<Parameter>& list) {
    return is("null_optimizer") ? nullptr : std::make_unique<Descent>(list);
  });
  optim::ScheduleRegistry::add<NoOptions>("own", "throws", [](const NoOptions&) -> optim::Schedule {
    return [](const optim::Moment&) -> double {
      if (is("schedule_throws")) throw std::runtime_error("no rate");
      return 1;
    };
  });
  data::DataRegistry::add<NoOptions>("noise", "drawn on the spot", [](const NoOptions&) { return noise(); });
}

}  // namespace

int main(int argc, char** argv) {
  if (const char* mistake = std::getenv("MISTAKE")) what = mistake;
  register_parts();
  if (is("twice")) register_parts();
  return cli::run(argc, argv);
}
