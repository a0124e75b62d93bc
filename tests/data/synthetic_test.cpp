#include "data/synthetic.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "core/base/threads.h"

using namespace az;
using namespace az::data;

namespace {

bool same_image(const Dataset& a, int64_t i, const Dataset& b, int64_t j) {
  return std::memcmp(a.pixels(i), b.pixels(j), 3072) == 0;
}

// Test accuracy of softmax regression on the pixels, by plain stochastic gradient descent.
double linear_accuracy(const Dataset& train, const Dataset& test) {
  constexpr size_t inputs = 3073, classes = 10;
  std::vector<float> weight(inputs * classes), x(inputs, 1.0f);
  auto logits = [&](const Dataset& set, int64_t i, float* out) {
    for (size_t p = 0; p + 1 < inputs; ++p) x[p] = float(set.pixels(i)[p]) / 127.5f - 1;
    std::fill_n(out, classes, 0.0f);
    for (size_t p = 0; p < inputs; ++p) {
      for (size_t c = 0; c < classes; ++c) out[c] += x[p] * weight[p * classes + c];
    }
  };
  float out[classes];
  for (int epoch = 0; epoch < 2; ++epoch) {
    float lr = 1e-3f / float(1 + epoch);
    for (int64_t i = 0; i < train.count(); ++i) {
      logits(train, i, out);
      float most = *std::max_element(out, out + classes), sum = 0;
      for (float& y : out) sum += y = std::exp(y - most);
      for (size_t c = 0; c < classes; ++c) out[c] = lr * (out[c] / sum - (int64_t(c) == train.label(i) ? 1.0f : 0.0f));
      for (size_t p = 0; p < inputs; ++p) {
        for (size_t c = 0; c < classes; ++c) weight[p * classes + c] -= out[c] * x[p];
      }
    }
  }
  int64_t right = 0;
  for (int64_t i = 0; i < test.count(); ++i) {
    logits(test, i, out);
    right += std::max_element(out, out + classes) - out == test.label(i);
  }
  return double(right) / double(test.count());
}

}  // namespace

TEST_CASE("the drawn set has its sizes, ten named classes in equal parts, and coloured 32x32 images") {
  Shapes train, test({.train = false});
  CHECK(train.count() == 10000);
  CHECK(test.count() == 2000);
  CHECK(train.image_shape() == Shape{3, 32, 32});
  std::set<std::string> names(train.class_names().begin(), train.class_names().end());
  CHECK(names.size() == 10);
  std::vector<int> count(10);
  for (int64_t i = 0; i < train.count(); ++i) ++count[size_t(train.label(i))];
  for (int n : count) CHECK(n == 1000);
  for (double std : train.statistics().std) CHECK(std > 0.2);
}

TEST_CASE("an image depends on seed, part and number alone") {
  const int threads = thread_count();
  set_thread_count(1);
  Shapes one({.count = 200});
  set_thread_count(3);
  Shapes three({.count = 300}), test({.train = false, .count = 200}), other({.count = 200, .seed = 1});
  set_thread_count(threads);
  for (int64_t i = 0; i < 200; ++i) {
    CHECK(same_image(one, i, three, i));
    CHECK_FALSE(same_image(one, i, test, i));
    CHECK_FALSE(same_image(one, i, other, i));
    CHECK_FALSE(same_image(one, i, one, (i + 10) % 200));
  }
}

TEST_CASE("a linear classifier does not solve the drawn set") {
  double accuracy = linear_accuracy(Shapes(), Shapes({.train = false}));
  MESSAGE("accuracy " << accuracy);
  CHECK(accuracy < 0.6);
}
