#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "core/backend/tuning.h"

// Numbers are tested by a fixed choice of algorithms, whatever the machine is quick at.
int main(int argc, char** argv) {
  az::set_algorithms(az::AlgorithmChoice::fixed);
  return doctest::Context(argc, argv).run();
}

// glibc keeps the parts of LOCPATH for good each time a locale is looked up there, as the test of other locales has it.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:__argz_add_sep\n"; }
