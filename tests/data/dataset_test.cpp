#include "data/dataset.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "core/base/error.h"

using namespace az;
using namespace az::data;

namespace {

// Images [2,1,2] whose every byte tells sample and place; label i of sample i.
Dataset numbered(int64_t count) {
  DatasetContent content{.image_shape = {2, 1, 2}, .pixels = {}, .labels = {}, .class_count = count, .class_names = {}};
  for (int64_t i = 0; i < count; ++i) {
    content.labels.push_back(i);
    for (int64_t place = 0; place < 4; ++place) content.pixels.push_back(uint8_t(4 * i + place));
  }
  return Dataset(std::move(content));
}

std::vector<int64_t> labels(const Dataset& dataset) {
  std::vector<int64_t> result;
  for (int64_t i = 0; i < dataset.count(); ++i) result.push_back(dataset.label(i));
  return result;
}

}  // namespace

TEST_CASE("statistics are each channel's mean and deviation over [0, 1]") {
  Dataset dataset({.image_shape = {2, 1, 2},
                   .pixels = {0, 51, 255, 255, 102, 255, 255, 255},
                   .labels = {0, 0},
                   .class_count = 1,
                   .class_names = {}});
  // First channel: 0, .2, .4, 1; second: all 1, whose deviation counts as 1.
  CHECK(dataset.statistics().mean[0] == doctest::Approx(0.4).epsilon(1e-12));
  CHECK(dataset.statistics().std[0] == doctest::Approx(std::sqrt((0.16 + 0.04 + 0 + 0.36) / 4)).epsilon(1e-12));
  CHECK(dataset.statistics().mean[1] == doctest::Approx(1).epsilon(1e-12));
  CHECK(dataset.statistics().std[1] == 1);
}

TEST_CASE("a part takes its samples, and its statistics on request") {
  Dataset part = numbered(5).part({3, 1}).part({1, 0, 1});
  CHECK(labels(part) == std::vector<int64_t>{1, 3, 1});
  CHECK(int(part.pixels(0)[2]) == 6);
  CHECK(part.compute_statistics().mean[0] == doctest::Approx((4 + 5 + 12 + 13 + 4 + 5) / 6.0 / 255).epsilon(1e-12));
  CHECK_THROWS_WITH_AS(part.part({3}), "dataset: part: no sample 3 among 3", Error);
}

TEST_CASE("copies and parts share the pixels") {
  Dataset dataset = numbered(3), copy = dataset, part = dataset.part({2});
  CHECK(copy.pixels(0) == dataset.pixels(0));
  CHECK(part.pixels(0) == dataset.pixels(2));
  CHECK(part.bytes() == 3 * (4 + 8));
}

TEST_CASE("content that does not agree with what it declares is refused, with both") {
  const DatasetContent good{
      .image_shape = {1, 1, 2}, .pixels = {1, 2, 3, 4}, .labels = {0, 1}, .class_count = 2, .class_names = {}};
  CHECK(Dataset(good).count() == 2);
  const auto said = [&](const std::function<void(DatasetContent&)>& spoil) -> std::string {
    DatasetContent bad = good;
    spoil(bad);
    try {
      Dataset dataset(bad);
    } catch (const DataError& error) {
      return error.what();
    }
    return "no DataError";
  };
  const std::string sizes = "dataset: 2 labels and images of [1,1,2], 2 bytes each, want 4 bytes of pixels, not ";
  CHECK(said([](DatasetContent& c) { c.pixels.pop_back(); }) == sizes + "3");
  CHECK(said([](DatasetContent& c) { c.pixels.resize(6); }) == sizes + "6");
  CHECK(said([](DatasetContent& c) { c.labels[1] = 2; }) ==
        "dataset: sample 1 has label 2, expected 0 to 1, as class_count is 2");
  CHECK(said([](DatasetContent& c) { c.labels[0] = -1; }) ==
        "dataset: sample 0 has label -1, expected 0 to 1, as class_count is 2");
  CHECK(said([](DatasetContent& c) { c.class_count = 0; }) == "dataset: class_count must be at least 1, not 0");
  CHECK(said([](DatasetContent& c) { c.class_names = {"one"}; }) ==
        "dataset: 1 class_names for 2 classes; give one for each, or none");
  for (const Shape& shape : {Shape{2}, Shape{1, 0, 2}, Shape{1, 1, 1, 2}})
    CHECK(said([&](DatasetContent& c) { c.image_shape = shape; }) ==
          "dataset: an image_shape is [c,h,w] of at least one pixel, not " + shape.str());
}

TEST_CASE("statistics that cannot normalise a pixel are refused") {
  const DatasetContent content{.image_shape = {1, 1, 2}, .pixels = {1, 2}, .labels = {0}, .class_count = 1, .class_names = {}};
  CHECK_THROWS_WITH_AS(Dataset(content, Statistics{{0.5, 0.5}, {1, 1}}),
                       "dataset: the statistics have 2 means and 2 standard deviations for 1 channels", DataError);
  const double inf = INFINITY;
  for (const auto& [mean, deviation] : std::vector<std::pair<double, double>>{
           {0.5, 0}, {0.5, -1}, {0.5, NAN}, {0.5, inf}, {0.5, 1e-39}, {NAN, 1}, {inf, 1}, {1e39, 1}}) {
    CAPTURE(mean);
    CAPTURE(deviation);
    CHECK_THROWS_WITH_AS(Dataset(content, Statistics{{mean}, {deviation}}),
                         doctest::Contains("dataset: pixels of channel 0 cannot be normalised with a mean of "), DataError);
  }
  CHECK(Dataset(content, Statistics{{-100}, {1e-30}}).count() == 1);
}

TEST_CASE("hold_out splits by fraction or by count, at random but repeatably") {
  Dataset dataset = numbered(40);
  HeldOut byte_count = hold_out(dataset, {.amount = 10, .seed = 3}), fraction = hold_out(dataset, {.amount = 0.25, .seed = 3});
  auto held = labels(byte_count.held_out), rest = labels(byte_count.rest);
  CHECK(held.size() == 10);
  CHECK(rest.size() == 30);
  std::set<int64_t> all(held.begin(), held.end());
  all.insert(rest.begin(), rest.end());
  CHECK(all.size() == 40);
  CHECK(std::is_sorted(held.begin(), held.end()));
  CHECK(std::is_sorted(rest.begin(), rest.end()));
  CHECK(labels(fraction.held_out) == held);
  CHECK(labels(hold_out(dataset, {.amount = 10, .seed = 4}).held_out) != held);
}

TEST_CASE("every sample is as likely to be held out") {
  Dataset dataset = numbered(10);
  std::vector<int> count(10);
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    for (int64_t label : labels(hold_out(dataset, {.amount = 3, .seed = seed}).held_out)) ++count[size_t(label)];
  }
  for (int n : count) CHECK(std::abs(n - 1200) < 130);
}

TEST_CASE("hold_out refuses to leave a part empty") {
  for (double amount : {-0.1, 0.001, 10.0, 12.0, 2.5, 0.99}) {
    CAPTURE(amount);
    CHECK_THROWS_AS(hold_out(numbered(10), {.amount = amount}), ConfigError);
  }
}

TEST_CASE("a sample that is not there is refused by name, of parts and empty sets, too") {
  const Dataset whole = numbered(20), part = whole.part({7});
  CHECK_THROWS_WITH_AS(whole.label(25), "dataset: label: no sample 25 among 20", Error);
  CHECK_THROWS_WITH_AS(whole.label(-1), "dataset: label: no sample -1 among 20", Error);
  CHECK_THROWS_WITH_AS(whole.pixels(20), "dataset: pixels: no sample 20 among 20", Error);
  CHECK_THROWS_WITH_AS(part.label(1), "dataset: label: no sample 1 among 1", Error);
  CHECK_THROWS_WITH_AS(whole.part({}).pixels(0), "dataset: pixels: no sample 0 among 0", Error);
  CHECK(part.label(0) == 7);
}
