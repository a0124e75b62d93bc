#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace az {

// The phases of a training step; other: whatever fits in none.
enum class Phase { data, forward, backward, optimizer, other };
inline constexpr Phase all_phases[] = {Phase::data, Phase::forward, Phase::backward, Phase::optimizer, Phase::other};
const char* name_of(Phase phase);

// Divides this thread's time, from construction on, among what calls ended(): each call takes the time since the one before, so
// that nothing is lost or counted twice. Ops are timed by record() and by the backward pass; no op needs to know.
class Profile {
 public:
  Profile();  // one at a time on a thread, or it throws
  ~Profile();
  Profile(const Profile&) = delete;

  struct Entry {
    Phase phase;
    std::string op, scope;  // "conv2d" in the module "layer1.0.conv1"
    std::string kernel;     // "winograd_4x4:avx2", that which ran last; empty where there is no choice
    double seconds = 0;
    int64_t calls = 0;
  };
  // The entries, in the order in which they first ended.
  const std::vector<Entry>& entries() const { return entries_; }

  // `op` has just ended in the module that is running. Without a Profile it costs one branch.
  static void ended(Phase phase, const char* op) {
    if (current_) current_->add(phase, op);
  }
  // The op that ends next was computed by this kernel, one of those that it may be computed by.
  static void computed_by(const std::string& kernel) {
    if (current_) current_->kernel_ = kernel;
  }

 private:
  void add(Phase phase, const char* op);

  static inline thread_local Profile* current_ = nullptr;
  double last_ = 0;     // when a call ended, or this began
  std::string kernel_;  // of the op that ends next
  std::vector<Entry> entries_;
  std::map<std::tuple<Phase, std::string, std::string>, size_t> index_;
};

}  // namespace az
