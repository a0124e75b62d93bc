// Test-time augmentation.
#include "experiments/views.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "core/base/random.h"
#include "core/ops/shape.h"
#include "core/tensor/create.h"
#include "data/synthetic.h"
#include "experiments/step.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/flatten.h"
#include "nn/layers/linear.h"
#include "nn/layers/sequential.h"

using namespace az;
using namespace az::experiments;

namespace {

using Image = std::vector<std::vector<double>>;  // [h][w]

// A 3x4 image as numbers by place, moved and mirrored by hand.
const Image original = {{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}};
const Image down_right = {{6, 5, 6, 7}, {2, 1, 2, 3}, {6, 5, 6, 7}};
const Image up_left = {{6, 7, 8, 7}, {10, 11, 12, 11}, {6, 7, 8, 7}};

Image mirrored(Image image) {
  for (auto& row : image) row = {row.rbegin(), row.rend()};
  return image;
}

void check_seen(const View& view, const Image& expected) {
  Tensor images = Tensor::empty({2, 2, 3, 4});
  float* pixel = images.mutable_data<float>();
  for (int plane = 0; plane < 4; ++plane) {
    for (const auto& row : original) {
      for (double v : row) *pixel++ = float(v + 100 * plane);
    }
  }
  const auto got = seen(images, view).to_vector<double>();
  for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == expected[i % 12 / 4][i % 4] + 100 * double(i / 12));
}

}  // namespace

TEST_CASE("a view is the image moved, reflected at its edge, then mirrored") {
  check_seen({}, original);
  check_seen({.mirrored = true}, mirrored(original));
  check_seen({.shift = 1}, down_right);
  check_seen({.shift = -1}, up_left);
  check_seen({.shift = 1, .mirrored = true}, mirrored(down_right));
  check_seen({.shift = -1, .mirrored = true}, mirrored(up_left));
}

TEST_CASE("the views of each name, with their weights") {
  const auto total = [](const char* name, int64_t shift, bool mirror) {
    double weight = 0;
    for (const View& v : views_of(name)) weight += v.shift == shift && v.mirrored == mirror ? v.weight : 0;
    return weight;
  };
  CHECK(views_of("none").size() == 1);
  CHECK(total("none", 0, false) == 1);
  CHECK(views_of("flip").size() == 2);
  CHECK(total("flip", 0, false) == 0.5);
  CHECK(total("flip", 0, true) == 0.5);
  CHECK(views_of("flip_translate").size() == 6);
  for (bool mirror : {false, true}) {
    CHECK(total("flip_translate", 0, mirror) == 0.25);
    for (int64_t shift : {-1, 1}) CHECK(total("flip_translate", shift, mirror) == 0.125);
  }
}

TEST_CASE("views of a network that ends in bf16 are added up in f32") {
  // The logits are an image's first column; the two columns are neighbours in bf16, so their mean is none of its numbers.
  struct First : nn::Layer<First> {
    Tensor forward(const Tensor& x) override { return slice(x, {.axis = 3, .end = 1}).reshape({1, 2}); }
  } net;
  Evaluation evaluation(net, {.test_time_augmentation = "flip"});
  const Tensor images = Tensor::of<float>({1, 2, 1, 2}, {1, 1.0078125F, 0, 0}).to(DType::bf16);
  evaluation.add({images, Tensor::of<int64_t>({1}, {0})});
  CHECK(evaluation.score().loss() == doctest::Approx(std::log1p(std::exp(-1.00390625))).epsilon(1e-6));
}

TEST_CASE("evaluation scores the weighted mean of the views' logits") {
  seed_random(3);
  nn::Sequential net(nn::Conv2d(3, {.out_channels = 4, .stride = 4}), nn::Flatten(), nn::Linear(256, {.out_features = 10}));
  data::Loader loader(data::Shapes({.train = false, .count = 20}), {.batch_size = 8});
  double loss = 0, correct = 0;
  for (const auto& [images, labels] : loader) {
    std::vector<double> mean(size_t(images.size(0) * 10));
    for (int64_t shift : {0, 0, -1, 1}) {  // twice as much of the one that stays in place
      for (bool mirror : {false, true}) {
        const auto logits = net(seen(images, {.shift = shift, .mirrored = mirror})).to_vector<double>();
        for (size_t i = 0; i < mean.size(); ++i) mean[i] += logits[i] / 8;
      }
    }
    for (int64_t i = 0; i < images.size(0); ++i) {
      const double* row = mean.data() + 10 * i;
      double sum = 0;
      for (int c = 0; c < 10; ++c) sum += std::exp(row[c]);
      const int64_t label = labels.data<int64_t>()[i];
      loss += std::log(sum) - row[label];
      correct += std::max_element(row, row + 10) - row == label;
    }
  }
  const Score score = evaluate(net, loader, {.test_time_augmentation = "flip_translate"});
  CHECK(score.images == 20);
  CHECK(score.loss() == doctest::Approx(loss / 20).epsilon(1e-5));
  CHECK(score.accuracy() == doctest::Approx(correct / 20));
  CHECK(evaluate(net, loader).loss() != score.loss());
}
