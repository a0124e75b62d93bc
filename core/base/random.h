#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace az {

// One block of Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), a bijection of the counter.
std::array<uint32_t, 4> philox_block(const std::array<uint32_t, 4>& counter, const std::array<uint32_t, 2>& key);

// Random numbers by counter (Philox 4x32-10 of Random123): what is drawn depends on (seed, stream, position) alone, never on
// threads, order of calls or history.
class Philox {
 public:
  explicit Philox(uint64_t seed, uint64_t stream = 0, uint64_t substream = 0);
  uint32_t next_u32();
  double uniform();                         // [0, 1), 53 random bits
  double uniform(double low, double high);  // [low, high)
  int64_t integer(int64_t below);           // [0, below), unbiased; throws unless below > 0
  double normal();                          // mean 0, variance 1
  bool bernoulli(double probability);

 private:
  std::array<uint32_t, 4> counter_, block_;
  std::array<uint32_t, 2> key_;
  size_t used_ = 4;
  double spare_ = 0;
  bool has_spare_ = false;
};

// The seed of everything drawn implicitly on this thread (initialisers, dropout, randn without a generator) and a count of the
// draws made; both are part of a checkpoint.
struct RandomState {
  uint64_t seed = 0;
  uint64_t draws = 0;
};
void seed_random(uint64_t seed);
RandomState random_state();
void set_random_state(RandomState state);
// A fresh generator: stream number `draws` of the seed above.
Philox next_generator();

}  // namespace az
