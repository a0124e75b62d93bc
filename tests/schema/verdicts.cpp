// Reads configs or sweeps from stdin, one JSON text a line, and says of each "fine" or what is wrong with it:
// verdicts config|sweep
#include <fmt/core.h>

#include <iostream>
#include <string>

#include "core/config/json_document.h"
#include "experiments/sweep/plan.h"

using namespace az;

int main(int, char** argv) {
  experiments::register_builtin();
  const bool sweep = argv[1] == std::string("sweep");
  for (std::string line; std::getline(std::cin, line);) {
    try {
      const config::Value value = config::parse_text(line, "given");
      if (sweep) config::parse<experiments::SweepOptions>(value);
      if (!sweep) config::parse<experiments::ExperimentConfig>(value);
      fmt::print("fine\n");
    } catch (const ConfigError& error) {
      fmt::print("{}\n", error.what());
    }
  }
}
