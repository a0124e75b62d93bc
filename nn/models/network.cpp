#include "nn/models/network.h"

#include <fmt/format.h>

namespace az::models {

nn::ModulePtr network(const NetworkOptions& options, const Shape& input, int64_t classes) {
  auto net = std::make_unique<nn::Sequential>(nn::build(options.layers, input));
  const Shape output = nn::output_shape(*net, input), wanted{input[0], classes};
  if (output.rank() != 2 || output[0] != input[0] || output[1] < classes) {
    throw ConfigError(
        fmt::format("the last layer gives {}, the data's {} classes need {}; end with a linear layer of {} out_features",
                    output.str(), classes, wanted.str(), classes));
  }
  return net;
}

}  // namespace az::models
