#include "core/base/profile.h"

#include <doctest/doctest.h>

#include "core/autograd/autograd.h"
#include "core/backend/tuning.h"
#include "core/base/clock.h"
#include "core/ops.h"

using namespace az;

namespace {

// "forward conv2d in layer1 x2", in the order of the entries.
std::vector<std::string> names(const Profile& profile) {
  std::vector<std::string> all;
  for (const auto& e : profile.entries())
    all.push_back(fmt::format("{} {} in {} x{}", name_of(e.phase), e.op, e.scope, e.calls));
  return all;
}

}  // namespace

TEST_CASE("a profile names ops with their phase and module, and nests none in another") {
  const Tensor x = randn({4, 4}).set_requires_grad();
  Profile profile;
  {
    const std::string path = "layer1";
    Scope scope(path);
    const Tensor y = softmax(x * x);  // the gradient of softmax is made of ops, which belong to it
    NoGrad no_grad;
    relu(relu(y));
  }
  sum(softmax(x) * x).backward();
  CHECK(names(profile) == std::vector<std::string>{"forward mul in layer1 x1", "forward softmax in layer1 x1",
                                                   "forward relu in layer1 x2", "forward softmax in  x1", "forward mul in  x1",
                                                   "forward sum in  x1", "backward sum in  x1", "backward mul in  x1",
                                                   "backward softmax in  x1", "backward accumulate in  x1",
                                                   "backward store_gradients in  x1"});
}

TEST_CASE("a profile names the kernel that was chosen for a convolution, in each direction") {
  const Tensor x = randn({8, 24, 9, 7}).set_requires_grad(), w = randn({40, 24, 3, 3}).set_requires_grad();
  Profile profile;
  sum(conv2d(x, w, {}, {.padding = 1})).backward();
  std::map<std::string, std::string> chosen;  // by direction
  for (const auto& [problem, name] : algorithms()) {
    if (problem.find("[8,24,9,7]") != std::string::npos) chosen[problem.substr(0, problem.find(' '))] = name;
  }
  size_t convolutions = 0;
  for (const auto& e : profile.entries()) {
    if (e.op != "conv2d" && e.op != "conv2d_weights") {
      CHECK(e.kernel == "");
      continue;
    }
    ++convolutions;
    const char* direction = e.op == "conv2d_weights"    ? "backward_weights"
                            : e.phase == Phase::forward ? "forward"
                                                        : "backward_data";
    CHECK(e.kernel != "");
    if (chosen.contains(direction)) CHECK(e.kernel == chosen[direction]);  // where there was a choice
  }
  CHECK(convolutions == 3);
}

TEST_CASE("a profile's parts are all of the time that passed") {
  const double before = steady_seconds();
  Profile profile;
  const double begin = steady_seconds();
  for (int i = 0; i < 3; ++i) {
    const Tensor x = randn({64, 64}).set_requires_grad();
    sum(matmul(x, x)).backward();
  }
  const double end = steady_seconds();
  Profile::ended(Phase::other, "rest");
  const double after = steady_seconds();
  double total = 0;
  for (const auto& entry : profile.entries()) {
    CHECK(entry.seconds >= 0);
    total += entry.seconds;
  }
  const double rounding = 1e-6;  // seconds since the machine started, as double
  CHECK(total >= end - begin - rounding);
  CHECK(total <= after - before + rounding);
}

TEST_CASE("a thread has one profile at a time") {
  {
    Profile profile;
    CHECK_THROWS_WITH(Profile{}, "Profile: there is one on this thread already");
    relu(randn({2}));
    CHECK(profile.entries().size() >= 1);
  }
  relu(randn({2}));
  CHECK(Profile().entries().empty());
}
