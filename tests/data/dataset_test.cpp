#include "data/dataset.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"

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
  CHECK_THROWS_WITH_AS(part.part({3}), "dataset: no sample 3 among 3", Error);
}

TEST_CASE("copies and parts share the pixels") {
  Dataset dataset = numbered(3), copy = dataset, part = dataset.part({2});
  CHECK(copy.pixels(0) == dataset.pixels(0));
  CHECK(part.pixels(0) == dataset.pixels(2));
  CHECK(part.bytes() == 3 * (4 + 8));
}

TEST_CASE("content whose sizes disagree is refused") {
  DatasetContent good{.image_shape = {1, 1, 2}, .pixels = {1, 2, 3, 4}, .labels = {0, 1}, .class_count = 2, .class_names = {}};
  CHECK(Dataset(good).count() == 2);
  DatasetContent short_pixels = good, bad_label = good, bad_names = good, flat = good;
  short_pixels.pixels.pop_back();
  bad_label.labels[1] = 2;
  bad_names.class_names = {"one"};
  flat.image_shape = {2};
  for (const auto& bad : {short_pixels, bad_label, bad_names, flat}) CHECK_THROWS_AS(Dataset{bad}, Error);
  CHECK_THROWS_AS(Dataset(good, Statistics{{0.5, 0.5}, {1, 1}}), Error);
  CHECK_THROWS_AS(Dataset(good, Statistics{{0.5}, {0}}), Error);
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
