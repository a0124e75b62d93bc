#include <doctest/doctest.h>

#include <atomic>

#include "core/base/error.h"
#include "core/base/threads.h"

using namespace az;

TEST_CASE("what a parallel loop's body throws reaches the caller, and the next loop runs") {
  const int before = thread_count();
  for (int threads : {1, 3}) {
    CAPTURE(threads);
    set_thread_count(threads);
    for (int64_t bad : {0, 500, 999}) {
      CAPTURE(bad);
      const auto loop = [&] {
        parallel_for(1000, 1, [&](int64_t begin, int64_t end) {
          if (begin <= bad && bad < end) fail("element {}", bad);
        });
      };
      CHECK_THROWS_WITH_AS(loop(), ("element " + std::to_string(bad)).c_str(), Error);
    }
    CHECK_THROWS_WITH_AS(parallel_for(1000, 1, [](int64_t, int64_t) { fail("all of them"); }), "all of them", Error);
    std::atomic<int64_t> sum = 0;
    parallel_for(1000, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sum += i;
    });
    CHECK(sum == 999 * 1000 / 2);
  }
  set_thread_count(before);
}
