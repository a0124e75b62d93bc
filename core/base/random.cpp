#include "core/base/random.h"

#include <Random123/philox.h>

#include <cmath>
#include <numbers>

#include "core/base/error.h"

namespace az {
namespace {

thread_local RandomState state;

}  // namespace

std::array<uint32_t, 4> philox_block(const std::array<uint32_t, 4>& counter, const std::array<uint32_t, 2>& key) {
  r123::Philox4x32::ctr_type c = {{counter[0], counter[1], counter[2], counter[3]}};
  r123::Philox4x32::key_type k = {{key[0], key[1]}};
  auto block = r123::Philox4x32{}(c, k);
  return {block[0], block[1], block[2], block[3]};
}

// One block turns (stream, substream) into the key and the upper half of the counter: no two pairs of one seed share both.
Philox::Philox(uint64_t seed, uint64_t stream, uint64_t substream) : block_{} {
  auto id = philox_block({uint32_t(stream), uint32_t(stream >> 32), uint32_t(substream), uint32_t(substream >> 32)},
                         {uint32_t(seed), uint32_t(seed >> 32)});
  key_ = {id[0], id[1]};
  counter_ = {0, 0, id[2], id[3]};
}

uint32_t Philox::next_u32() {
  if (used_ == 4) {
    block_ = philox_block(counter_, key_);
    if (++counter_[0] == 0) ++counter_[1];
    used_ = 0;
  }
  return block_[used_++];
}

double Philox::uniform() {
  uint64_t high = next_u32() >> 5, low = next_u32() >> 6;
  return double(high << 26 | low) * 0x1p-53;
}

double Philox::uniform(double low, double high) {
  double x = low + (high - low) * uniform();
  return x < high ? x : low;  // rounding may reach the excluded end
}

int64_t Philox::integer(int64_t below) {
  if (below <= 0) fail("Philox::integer: the bound must be positive (got {})", below);
  uint64_t bound = uint64_t(below), rejected = -bound % bound;  // 2^64 mod bound draws would favour small results
  for (;;) {
    uint64_t high = next_u32(), draw = high << 32 | next_u32();
    if (draw >= rejected) return int64_t(draw % bound);
  }
}

// Box-Muller; 1 - uniform() lies in (0, 1].
double Philox::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  double radius = std::sqrt(-2 * std::log(1 - uniform())), angle = 2 * std::numbers::pi * uniform();
  spare_ = radius * std::sin(angle);
  has_spare_ = true;
  return radius * std::cos(angle);
}

bool Philox::bernoulli(double probability) { return uniform() < probability; }

void seed_random(uint64_t seed) { state = {seed, 0}; }
RandomState random_state() { return state; }
void set_random_state(RandomState new_state) { state = new_state; }
Philox next_generator() { return Philox(state.seed, state.draws++); }

}  // namespace az
