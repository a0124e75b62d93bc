#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace az {

// Random numbers by counter (Philox 4x32-10 of Random123): what is drawn depends on (seed, stream, position) alone, never on
// threads, order of calls or history.
class Philox {
 public:
  explicit Philox(uint64_t seed, uint64_t stream = 0, uint64_t substream = 0);
  uint32_t next_u32();
  double uniform();                    // [0, 1)
  double uniform(double low, double high);
  int64_t integer(int64_t below);      // [0, below), unbiased
  double normal();                     // mean 0, variance 1
  bool bernoulli(double probability);

 private:
  uint32_t counter_[4], key_[2], block_[4];
  int used_ = 4;
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
