// Augmentations and data sets of one's own: what they get wrong is named, on whichever thread it happens.
#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>

#include "core/base/threads.h"
#include "core/config/json_document.h"
#include "data/builtin.h"
#include "data/loader.h"
#include "tests/compare.h"

using namespace az;
using namespace az::data;
using test::error_of;
using test::has;

namespace {

Dataset blank(int64_t count) {
  return Dataset({.image_shape = {1, 2, 3},
                  .pixels = std::vector<uint8_t>(size_t(6 * count)),
                  .labels = std::vector<int64_t>(size_t(count)),
                  .class_count = 1,
                  .class_names = {}});
}

struct Jitter : Augmentation {
  explicit Jitter(std::function<void(Image&)> function) : f(std::move(function)) {}
  void apply(Image& image, Philox&) const override { f(image); }
  std::function<void(Image&)> f;
};

std::string loading(std::function<void(Image&)> f, int64_t count = 1) {
  return error_of([&] {
    Loader loader(blank(count), {.batch_size = count, .augment = {std::make_shared<Jitter>(std::move(f))}});
    for (const Batch& batch : loader) CHECK(batch.images.defined());
  });
}

struct NoOptions {
  static void fields(auto&) {}
};

}  // namespace

TEST_CASE("what an augmentation throws arrives with its class and the sample, from every thread") {
  CHECK(loading([](Image&) { throw std::out_of_range("index 3"); }) == "augmentation Jitter, sample 0: index 3");
  CHECK(loading([](Image&) { throw 42; }) == "augmentation Jitter, sample 0: threw a value of type int");
  CHECK(loading([](Image&) { fail("no"); }) == "augmentation Jitter, sample 0: no");
  CHECK_THROWS_AS((*Loader(blank(1), {.augment = {std::make_shared<Jitter>([](Image&) { throw DataError("gone"); })}}).begin()),
                  DataError);
  const int before = thread_count();
  set_thread_count(4);
  CHECK(has(loading([](Image&) { throw std::runtime_error("no"); }, 400), "augmentation Jitter, sample "));
  CHECK(has(loading([](Image&) { throw 42; }, 400), "threw a value of type int"));
  set_thread_count(before);
}

TEST_CASE("a data set that has no load function, or whose load function throws, is named") {
  const auto reading = [](std::function<Splits()> load) {
    return error_of([&] { read({{1, 2, 3}, 1, std::move(load)}, "data set \"own\""); });
  };
  CHECK(reading({}) == "data set \"own\" has no load function, which reads it");
  CHECK(reading([]() -> Splits { throw 3; }) == "data set \"own\": threw a value of type int");
  CHECK(reading([]() -> Splits { throw std::out_of_range("index 3"); }) == "data set \"own\": index 3");
  CHECK(error_of([] { read({{1, 2, 3}, 1, []() -> Splits { throw 3; }}); }) == "the data set: threw a value of type int");
  CHECK_THROWS_AS(read({{1, 2, 3}, 1, []() -> Splits { throw DataError("gone"); }}), DataError);
  try {
    read({{1, 2, 3}, 1, []() -> Splits { throw std::bad_alloc(); }}, "data set \"own\"");
    FAIL("it has memory enough");
  } catch (const std::bad_alloc& error) {
    CHECK(std::string(error.what()).starts_with("data set \"own\": there is not enough memory; "));
  }
}

TEST_CASE("an augmentation that changes the size of an image is found out, with its class") {
  CHECK(loading([](Image& image) { image.pixels.resize(5); }) ==
        "augmentation Jitter, sample 0: it left 5 bytes of pixels and 6 of scratch, where an image [1,2,3] has 6");
  CHECK(has(loading([](Image& image) { image.pixels.resize(600); }), "it left 600 bytes of pixels"));
  CHECK(has(loading([](Image& image) { image.pixels.clear(); }), "it left 0 bytes of pixels"));
  CHECK(has(loading([](Image& image) { image.scratch.push_back(0); }), "7 of scratch"));
  CHECK(loading([](Image& image) { image.pixels.swap(image.scratch); }) == "no error");
}

TEST_CASE("null augmentations, and what their check() throws, are refused by the loader") {
  CHECK(error_of([] { Loader(blank(1), {.augment = {nullptr}}); }) == "loader: an augmentation is null");
  struct Picky : Augmentation {
    void check(const Shape&) const override { throw std::invalid_argument("not these"); }
    void apply(Image&, Philox&) const override {}
  };
  CHECK(error_of([] { Loader(blank(1), {.augment = {std::make_shared<Picky>()}}); }) == "augmentation Picky: not these");
}

TEST_CASE("data sets: without images, or of no size, are refused") {
  CHECK(error_of([] { make_splits(blank(0), blank(1), {}); }) == "the training part has no images");
  CHECK(error_of([] { make_splits(blank(1), blank(0), {}); }) == "the test part has no images");
  CHECK(error_of([] {
          Dataset({.image_shape = {3, 0, 4}, .pixels = {}, .labels = {0, 0}, .class_count = 1, .class_names = {}});
        }) == "dataset: an image_shape is [c,h,w] of at least one pixel, not [3,0,4]");
}

TEST_CASE("registries of data sets and augmentations: built-in names, null, sources without images or a way to load them") {
  CHECK(error_of([] {
          AugmentRegistry::add<NoOptions>("cutout", "mine", [](const NoOptions&) { return AugmentationPtr(); });
        }) == "augmentation \"cutout\" is built in; choose another name");
  AugmentRegistry::add<NoOptions>("null", "nothing", [](const NoOptions&) { return AugmentationPtr(); });
  CHECK(error_of([] { config::Component<AugmentRegistry>("null").create(); }) == "the factory of \"null\" returned null");

  static DataSource source;
  DataRegistry::add<NoOptions>("own", "mine", [](const NoOptions&) { return source; });
  const auto made = [](DataSource given) {
    source = std::move(given);
    return error_of([] {
      config::parse<config::Component<DataRegistry>>(config::parse_text(R"({"type": "own"})", "exp.json"), "data").create();
    });
  };
  const auto load = []() -> Splits { fail("not called"); };
  CHECK(made({{1, 2, 3}, 2, load}) == "no error");
  CHECK(made({{1, 2, 3}, 2, {}}) == "exp.json:1:1: data: its factory gives no way to load it: DataSource::load is empty");
  for (const DataSource& wrong : {DataSource{{2, 3}, 2, load}, {{1, 0, 3}, 2, load}, {{1, 2, 3}, 0, load}})
    CHECK(has(made(wrong), "exp.json:1:1: data: its factory promises images of "));
}
