#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "core/backend/tuning.h"

// Numbers are tested by a fixed choice of algorithms, whatever the machine is quick at.
int main(int argc, char** argv) {
  az::set_algorithms(az::AlgorithmChoice::fixed);
  return doctest::Context(argc, argv).run();
}
