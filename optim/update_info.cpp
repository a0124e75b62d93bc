#include "optim/update_info.h"

namespace az::optim {

const char* name_of(View view) {
  switch (view) {
    case View::none: return "none";
    case View::channel: return "channel";
    case View::layer: return "layer";
  }
  return "?";
}

}  // namespace az::optim
