#include "core/base/random.h"

#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <thread>
#include <vector>

#include "core/base/error.h"

using namespace az;
using Block = std::array<uint32_t, 4>;

// The lines "philox4x32 10" of kat_vectors, published with Random123.
TEST_CASE("philox gives the published known answers") {
  CHECK(philox_block({0, 0, 0, 0}, {0, 0}) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox_block({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) == Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox_block({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a generator counts blocks under the key made of its stream") {
  Philox generator(0x0000000200000001, 0x0000000400000003, 0x0000000600000005);
  Block id = philox_block({3, 4, 5, 6}, {1, 2});
  for (uint32_t position = 0; position < 3; ++position) {
    for (uint32_t expected : philox_block({position, 0, id[2], id[3]}, {id[0], id[1]})) CHECK(generator.next_u32() == expected);
  }
}

TEST_CASE("seed, stream and substream each give other numbers") {
  std::set<std::pair<uint32_t, uint32_t>> firsts;
  for (uint64_t seed : {0ull, 1ull, 1ull << 32}) {
    for (uint64_t stream : {0ull, 1ull, 1ull << 32}) {
      for (uint64_t substream : {0ull, 1ull, 1ull << 32}) {
        Philox generator(seed, stream, substream);
        uint32_t a = generator.next_u32(), b = generator.next_u32();
        firsts.insert({a, b});
      }
    }
  }
  CHECK(firsts.size() == 27);
}

TEST_CASE("uniform numbers fill their range evenly") {
  constexpr int draws = 200000, bins = 100;
  Philox generator(7);
  std::vector<int> count(bins);
  for (int i = 0; i < draws; ++i) {
    double x = generator.uniform(-2, 3);
    REQUIRE(x >= -2);
    REQUIRE(x < 3);
    ++count[size_t((x + 2) / 5 * bins)];
  }
  double chi2 = 0, expected = double(draws) / bins;
  for (int n : count) chi2 += (n - expected) * (n - expected) / expected;
  CHECK(chi2 > 50);  // 99 degrees of freedom: mean 99, deviation 14
  CHECK(chi2 < 160);
}

TEST_CASE("integers are even over a bound that is no power of two") {
  Philox generator(8);
  std::vector<int> count(7);
  for (int i = 0; i < 70000; ++i) ++count[size_t(generator.integer(7))];
  for (int n : count) CHECK(std::abs(n - 10000) < 450);
  CHECK(generator.integer(1) == 0);
  CHECK_THROWS_AS(generator.integer(0), Error);
  // Without rejection, 9/16 instead of half of the results would lie in the lower half.
  int64_t bound = 3ll << 61;
  int low = 0;
  for (int i = 0; i < 20000; ++i) low += generator.integer(bound) < bound / 2;
  CHECK(std::abs(low - 10000) < 450);
}

TEST_CASE("normal numbers have the moments of a normal distribution") {
  constexpr int draws = 200000;
  Philox generator(9);
  double sum = 0, sum2 = 0, sum4 = 0, lag = 0, before = 0;
  for (int i = 0; i < draws; ++i) {
    double x = generator.normal();
    sum += x, sum2 += x * x, sum4 += x * x * x * x, lag += x * before;
    before = x;
  }
  CHECK(std::abs(sum / draws) < 0.012);
  CHECK(std::abs(sum2 / draws - 1) < 0.016);
  CHECK(std::abs(sum4 / draws - 3) < 0.12);
  CHECK(std::abs(lag / draws) < 0.012);
}

TEST_CASE("bernoulli draws true as often as asked") {
  Philox generator(10);
  int hits = 0;
  for (int i = 0; i < 50000; ++i) hits += generator.bernoulli(0.3);
  CHECK(std::abs(hits - 15000) < 510);
  CHECK_FALSE(generator.bernoulli(0));
  CHECK(generator.bernoulli(1));
}

TEST_CASE("the thread's random state counts generators and can be put back") {
  seed_random(42);
  Philox first = next_generator(), second = next_generator();
  uint32_t a = first.next_u32(), b = second.next_u32();
  CHECK(a != b);
  CHECK(random_state().seed == 42);
  CHECK(random_state().draws == 2);
  CHECK(a == Philox(42, 0).next_u32());
  set_random_state({42, 1});
  CHECK(next_generator().next_u32() == b);
  std::thread([] { CHECK(random_state().draws == 0); }).join();
}
