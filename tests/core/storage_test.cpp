#include "core/tensor/storage.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <new>

#include "core/ops.h"
#include "core/tensor/heap.h"
#include "tests/compare.h"

using namespace az;
using test::error_of;

TEST_CASE("storage: ids are never given twice, versions count the changes in place") {
  const uint64_t first = Storage(64).id();
  CHECK(Storage(64).id() > first);
  Tensor x = zeros({3});
  const uint64_t before = x.storage()->version();
  x.fill_(1);
  x.mutable_data<float>();
  x.add_(ones({3}));
  x.mul_(2);
  x.copy_(ones({3}));
  CHECK(x.storage()->version() == before + 5);
  x.data<float>();
  CHECK(x.storage()->version() == before + 5);
}

TEST_CASE("memory: what cannot be had is refused, naming shape and bytes, and nothing is lost") {
  const size_t in_use = memory_stats().in_use;
  const std::string remedy = fmt::format(
      ", and this process may have {:.3g} in all; a smaller batch or narrower layers take less", double(memory_limit()));
  CHECK(error_of([] { Tensor::empty({int64_t(1) << 62}); }) ==
        "out of memory: f32 [4611686018427387904] takes 1.84e+19 bytes" + remedy);
  CHECK(error_of([] {
          Tensor::empty({1 << 30, 1 << 30}, DType::f64);
        }) == "out of memory: f64 [1073741824,1073741824] takes 9.22e+18 bytes" + remedy);
  CHECK(error_of([] { zeros({1 << 24, 1 << 24}); }) == "out of memory: f32 [16777216,16777216] takes 1.13e+15 bytes" + remedy);
  const std::string too_many = "shape: [4294967296,2147483648] has too many elements";
  CHECK(error_of([] { Tensor::empty({int64_t(1) << 32, int64_t(1) << 31}); }) == too_many);
  CHECK(error_of([] {
          Tensor::empty({0, int64_t(1) << 32, int64_t(1) << 31});
        }).starts_with("shape: [0,4294967296,2147483648] has too many"));
  CHECK(error_of([] { full({}, 1).reshape({int64_t(1) << 32, int64_t(1) << 32, -1}); }).starts_with("reshape: "));
  CHECK(Tensor::empty({0, 1 << 30}).numel() == 0);
  CHECK(memory_stats().in_use == in_use);
}

TEST_CASE("memory: what this process may not have beside what is in use is refused before it is touched") {
  const size_t limit = memory_limit();
  CHECK(limit <= size_t(::sysconf(_SC_PHYS_PAGES)) * size_t(::sysconf(_SC_PAGESIZE)));
  CHECK_THROWS_AS(Storage(limit + 1), std::bad_alloc);
#if !defined(__SANITIZE_ADDRESS__)  // which notes down every byte of it
  const size_t in_use = memory_stats().in_use;
  {
    Storage half(limit / 2);  // addresses only
    CHECK_THROWS_AS(Storage(limit / 2), std::bad_alloc);
  }
  CHECK(memory_stats().in_use == in_use);
  release_cached_memory();
#endif
}

#if !defined(AZ_ADDRESS_SANITIZER)  // which itself takes more addresses than such limits leave

// Run by the next one, which says what to expect.
TEST_CASE("memory: the limit is the one that was set" * doctest::skip()) {
  const char* expected = std::getenv("AZ_EXPECTED_LIMIT");
  REQUIRE(expected);
  CHECK(std::to_string(memory_limit()) == expected);
  const size_t limit = memory_limit();
  CHECK_THROWS_AS(Storage{limit}, std::bad_alloc);
  CHECK(Storage{limit / 8}.bytes() == limit / 8);
}

TEST_CASE("memory: ulimit -v and -d count where they are below what the machine and its control groups have") {
  if (test::skipped_without_limits()) return;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto has_limit = [&](const std::string& limits, size_t expected) {
    const std::string command =
        limits + " OMP_NUM_THREADS=1 AZ_EXPECTED_LIMIT=" + std::to_string(expected) + " '" + self +
        "' --no-skip --test-case='memory: the limit is the one*' | grep -q 'test cases: *1 | *1 passed'";
    INFO(command);
    CHECK(std::system(command.c_str()) == 0);
  };
  const size_t all = memory_limit(), kib = 1 << 10;
  has_limit("", all);
  has_limit("ulimit -v 1500000;", std::min(all, 1500000 * kib));
  has_limit("ulimit -d 1400000;", std::min(all, 1400000 * kib));
  has_limit("ulimit -v 1500000; ulimit -d 1400000;", std::min(all, 1400000 * kib));
  has_limit("ulimit -v 1400000; ulimit -d 1500000;", std::min(all, 1400000 * kib));
  has_limit("ulimit -v " + std::to_string(all / kib * 3) + ";", all);
}

#endif
