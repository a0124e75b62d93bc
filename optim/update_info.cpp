#include "optim/update_info.h"

#include "optim/optimizer.h"

namespace az::optim {

const char* name_of(View view) {
  switch (view) {
    case View::none: return "none";
    case View::channel: return "channel";
    case View::layer: return "layer";
  }
  return "?";
}

void Optimizer::complete(UpdateInfo& info, const Group& group, const ParameterState& state) const {
  info.weight_decay = group.weight_decay;
  info.updates = state.step;
  for (size_t slot = 0; slot < slots_.size(); ++slot) info.state.emplace_back(slots_[slot], state.tensors[slot]);
}

}  // namespace az::optim
