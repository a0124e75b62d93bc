#include "nn/data_init.h"

#include "core/autograd/autograd.h"

namespace az::nn {

void initialize_from_data(Module& network, const std::function<Tensor()>& images) {
  struct Feeder : Observer {
    std::map<const Module*, DataInit*> waiting;
    bool watches(const Module& module) const override { return waiting.contains(&module); }
    void before(const Module& module, const Tensor& x) override {
      const auto layer = waiting.extract(&module);
      if (!layer) return;
      placed([&] { return module.path(); }, [&] { layer.mapped()->initialize_from(x); },
             [&] { return class_of(module) + ": initialize_from"; });
    }
  } feeder;
  for (Module* module : network.modules()) {
    if (auto* layer = dynamic_cast<DataInit*>(module)) feeder.waiting.emplace(module, layer);
  }
  if (feeder.waiting.empty()) return;
  NoGrad no_grad;
  Evaluating evaluating(network);
  Observe observe(feeder);
  network(images());
}

}  // namespace az::nn
