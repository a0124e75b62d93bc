#include "experiments/probes/probe.h"

namespace az::experiments {

// Each lies in the file of its name.
void register_activations();
void register_scale_invariance();

void register_builtin_probes() {
  static const bool once = [] {
    const config::BuiltIn built_in;
    register_activations();
    register_scale_invariance();
    return true;
  }();
  static_cast<void>(once);
}

}  // namespace az::experiments
