#include "data/augment.h"

#include <doctest/doctest.h>

#include <map>

#include "core/base/error.h"

using namespace az;
using namespace az::data;

namespace {

constexpr int64_t channels = 2, height = 5, width = 6;
using Pixels = std::vector<int>;

Pixels numbered() {
  Pixels pixels;
  for (int64_t i = 0; i < channels * height * width; ++i) pixels.push_back(int(i + 1));
  return pixels;
}

Pixels applied(const AugmentationPtr& augmentation, uint64_t seed) {
  Pixels pixels = numbered();
  Image image{channels, height, width, {pixels.begin(), pixels.end()}, std::vector<uint8_t>(pixels.size(), 200), {101, 102}};
  Philox random(seed);
  augmentation->apply(image, random);
  return {image.pixels.begin(), image.pixels.end()};
}

// How often each result comes out of `draws` seeds.
std::map<Pixels, int> results(const AugmentationPtr& augmentation, int draws) {
  std::map<Pixels, int> count;
  for (int seed = 0; seed < draws; ++seed) ++count[applied(augmentation, uint64_t(seed))];
  return count;
}

// Pixel (y, x) of the padded image's coordinates shifted to the old ones: black or mirrored outside, the edge not repeated.
int padded(int64_t channel, int64_t y, int64_t x, bool reflect) {
  if (reflect) {
    y = y < 0 ? -y : y >= height ? 2 * height - 2 - y : y;
    x = x < 0 ? -x : x >= width ? 2 * width - 2 - x : x;
  }
  if (y < 0 || y >= height || x < 0 || x >= width) return 0;
  return int((channel * height + y) * width + x + 1);
}

}  // namespace

TEST_CASE("random_crop gives every window of the padded image equally often, and nothing else") {
  for (bool reflect : {false, true}) {
    CAPTURE(reflect);
    auto count = results(random_crop({.padding = 2, .mode = reflect ? "reflect" : "black"}), 5000);
    CHECK(count.size() == 25);
    for (int64_t dy = -2; dy <= 2; ++dy) {
      for (int64_t dx = -2; dx <= 2; ++dx) {
        Pixels expected;
        for (int64_t channel = 0; channel < channels; ++channel) {
          for (int64_t y = 0; y < height; ++y) {
            for (int64_t x = 0; x < width; ++x) expected.push_back(padded(channel, y + dy, x + dx, reflect));
          }
        }
        CHECK(std::abs(count[expected] - 200) < 70);
      }
    }
  }
}

TEST_CASE("random_crop with padding beyond the image is black all over at its corners, or refused when it reflects") {
  auto count = results(random_crop({.padding = 7}), 3000);
  CHECK(count[Pixels(size_t(channels * height * width), 0)] > 0);
  CHECK_THROWS_WITH_AS(random_crop({.padding = 5, .mode = "reflect"})->check({channels, height, width}),
                       "random_crop: reflecting needs images larger than the padding of 5, got 5x6", ConfigError);
  CHECK_THROWS_WITH_AS(applied(random_crop({.padding = 5, .mode = "reflect"}), 1),
                       "random_crop: reflecting needs images larger than the padding of 5, got 5x6", ConfigError);
  random_crop({.padding = 4, .mode = "reflect"})->check({channels, height, width});
  CHECK(applied(random_crop({.padding = 0}), 1) == numbered());
}

TEST_CASE("what leaves nothing of an image is odd where it is of some, refused where it is of all") {
  const Shape shape{channels, height, width};  // 5x6
  CHECK(random_crop({.padding = 4})->examine(shape).empty());
  CHECK(random_crop({.padding = 5})->examine(shape).size() == 1);
  const Pixels hidden = [] {
    Pixels all;
    for (int64_t channel = 0; channel < channels; ++channel) all.insert(all.end(), size_t(height * width), int(101 + channel));
    return all;
  }();
  for (int64_t size = 1; size <= 14; ++size) {
    CAPTURE(size);
    const AugmentationPtr square = cutout({.size = size});
    auto count = results(square, 2000);
    const int all = count[hidden];
    if (all == 2000)
      CHECK_THROWS_WITH_AS(square->examine(shape), doctest::Contains("hides all of every 5x6 image"), ConfigError);
    else
      CHECK(square->examine(shape).empty() == (all == 0));
  }
}

TEST_CASE("horizontal_flip mirrors each line as often as asked") {
  Pixels mirrored;
  for (int64_t i = 0; i < channels * height * width; ++i) mirrored.push_back(int(i / width * width + width - i % width));
  auto count = results(horizontal_flip({.probability = 0.25}), 4000);
  CHECK(count.size() == 2);
  CHECK(std::abs(count[mirrored] - 1000) < 125);
  CHECK(count[numbered()] == 4000 - count[mirrored]);
  CHECK(applied(horizontal_flip({.probability = 1}), 5) == mirrored);
  CHECK(applied(horizontal_flip({.probability = 0}), 5) == numbered());
}

TEST_CASE("an alternating flip mirrors half of the images, and each of them in every second epoch") {
  const AugmentationPtr flip = horizontal_flip({.alternate = true});
  int mirrored = 0;
  for (uint64_t sample = 0; sample < 4000; ++sample) {
    std::vector<bool> by_epoch;
    for (int64_t epoch = 0; epoch < 4; ++epoch) {
      Image image{1, 1, 2, {7, 9}, {0, 0}, {0}, epoch, Philox(3, sample)};
      Philox random(5, uint64_t(epoch), sample);
      flip->apply(image, random);
      by_epoch.push_back(image.pixels == std::vector<uint8_t>{9, 7});
    }
    CHECK(by_epoch == std::vector<bool>{by_epoch[0], !by_epoch[0], by_epoch[0], !by_epoch[0]});
    mirrored += by_epoch[0];
  }
  CHECK(std::abs(mirrored - 2000) < 126);  // four standard deviations
}

TEST_CASE("cutout fills a square centred on any pixel with the mean colour, clipped at the border") {
  auto count = results(cutout({.size = 3}), 6000);
  CHECK(count.size() == size_t(height * width));
  for (int64_t cy = 0; cy < height; ++cy) {
    for (int64_t cx = 0; cx < width; ++cx) {
      Pixels expected = numbered();
      for (int64_t i = 0; i < int64_t(expected.size()); ++i) {
        int64_t y = i / width % height, x = i % width;
        if (std::abs(y - cy) <= 1 && std::abs(x - cx) <= 1) expected[size_t(i)] = int(101 + i / (height * width));
      }
      CHECK(std::abs(count[expected] - 200) < 70);
    }
  }
  auto even = results(cutout({.size = 2}), 200);
  size_t largest = 0;
  for (const auto& [pixels, n] : even) {
    size_t hidden = 0;
    for (size_t i = 0; i < pixels.size(); ++i) hidden += pixels[i] != numbered()[i];
    largest = std::max(largest, hidden);
  }
  CHECK(largest == 2 * 2 * channels);
}

TEST_CASE("augmentations take from C++ no options that they would not take from JSON") {
  CHECK_THROWS_WITH_AS(random_crop({.padding = -1}), "random_crop.padding: must be at least 0, got -1", ConfigError);
  CHECK_THROWS_WITH_AS(random_crop({.mode = "mirror"}), doctest::Contains("random_crop.mode: must be one of "), ConfigError);
  CHECK_THROWS_WITH_AS(horizontal_flip({.probability = 2}), "horizontal_flip.probability: must be at most 1, got 2.0",
                       ConfigError);
  CHECK_THROWS_WITH_AS(horizontal_flip({.probability = 1, .alternate = true}), doctest::Contains("alternate"), ConfigError);
  CHECK_THROWS_WITH_AS(cutout({.size = 0}), "cutout.size: must be at least 1, got 0", ConfigError);
}
