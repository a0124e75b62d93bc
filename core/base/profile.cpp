#include "core/base/profile.h"

#include <utility>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/scope.h"

namespace az {

const char* name_of(Phase phase) {
  switch (phase) {
    case Phase::data: return "data";
    case Phase::forward: return "forward";
    case Phase::backward: return "backward";
    case Phase::optimizer: return "optimizer";
    case Phase::other: return "other";
  }
  return "?";
}

Profile::Profile() {
  if (current_) fail("Profile: there is one on this thread already");
  current_ = this;
  last_ = steady_seconds();
}

Profile::~Profile() { current_ = nullptr; }

void Profile::add(Phase phase, const char* op) {
  const double time = steady_seconds();
  auto [at, is_new] = index_.try_emplace({phase, op, Scope::path()}, entries_.size());
  if (is_new) entries_.push_back({.phase = phase, .op = op, .scope = Scope::path(), .kernel = {}});
  Entry& entry = entries_[at->second];
  entry.seconds += time - last_;
  ++entry.calls;
  entry.kernel = std::exchange(kernel_, {});
  last_ = time;
}

}  // namespace az
