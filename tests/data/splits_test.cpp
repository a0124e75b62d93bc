#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "core/base/error.h"
#include "core/config/json_document.h"
#include "data/builtin.h"
#include "data/cifar.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"

using namespace az;
using namespace az::data;
using test::has;

namespace {

Splits built(const std::string& json) {
  register_builtin_data();
  auto component = config::parse<config::Component<DataRegistry>>(config::parse_text(json, "exp.json"), "data");
  return component.placed([&] { return component.create().load(); });
}

std::string message(const std::string& json) {
  try {
    built(json);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a config names a data set, its batches, its augmentation and its validation part") {
  Splits splits = built(
      R"({"type": "shapes", "train_images": 60, "test_images": 20, "validation": 0.25, "batch_size": 16, "drop_last": true,
                            "augment": [{"type": "random_crop", "padding": 2, "mode": "reflect"}, {"type": "horizontal_flip"}, {"type": "cutout"}]})");
  CHECK(splits.train.count() == 45);
  REQUIRE(splits.validation);
  CHECK(splits.validation->count() == 15);
  CHECK(splits.test.count() == 20);
  CHECK(splits.training.batch_size == 16);
  CHECK(splits.training.shuffle);
  CHECK(splits.training.drop_last);
  CHECK(splits.training.augment.size() == 3);
  CHECK(splits.evaluation.batch_size == 16);
  CHECK_FALSE(splits.evaluation.shuffle);
  CHECK_FALSE(splits.evaluation.drop_last);
  CHECK(splits.evaluation.augment.empty());
}

TEST_CASE("all parts carry the statistics of the training part, or those given") {
  Splits splits = built(R"({"type": "shapes", "train_images": 60, "test_images": 20, "validation": 20})");
  Statistics expected = splits.train.compute_statistics();
  CHECK(expected.mean != splits.test.compute_statistics().mean);
  for (const Dataset* part : {&splits.train, &*splits.validation, &splits.test}) {
    CHECK(part->statistics().mean == expected.mean);
    CHECK(part->statistics().std == expected.std);
  }
  Splits given = built(R"({"type": "shapes", "train_images": 9, "test_images": 9, "mean": [0.1, 0.2, 0.3], "std": [1, 2, 3]})");
  CHECK_FALSE(given.validation);
  for (const Dataset* part : {&given.train, &given.test}) {
    CHECK(part->statistics().mean == std::vector{0.1, 0.2, 0.3});
    CHECK(part->statistics().std == std::vector{1.0, 2.0, 3.0});
  }
}

TEST_CASE("the same split seed holds out the same images") {
  auto validation = [](const std::string& seed) {
    Dataset set =
        *built(R"({"type": "shapes", "train_images": 60, "test_images": 1, "validation": 30, "split_seed": )" + seed + "}")
             .validation;
    return std::vector<uint8_t>(set.pixels(0), set.pixels(0) + 3072);
  };
  CHECK(validation("1") == validation("1"));
  CHECK(validation("1") != validation("2"));
}

TEST_CASE(
    "a subset is trained on alone: drawn by the split seed, disjoint from the validation part, with statistics of its own") {
  const auto images = [](const Dataset& set) {
    std::set<std::vector<uint8_t>> all;
    for (int64_t i = 0; i < set.count(); ++i) all.emplace(set.pixels(i), set.pixels(i) + 3072);
    return all;
  };
  const std::string shapes = R"({"type": "shapes", "train_images": 60, "test_images": 9, )";
  const Splits whole = built(shapes + R"("validation": 20})"), part = built(shapes + R"("validation": 20, "subset": 0.25})");
  CHECK(part.train.count() == 10);  // a quarter of the 40 that remain
  CHECK(images(*part.validation) == images(*whole.validation));
  const auto all = images(whole.train), some = images(part.train), test = images(part.test);
  CHECK(some.size() == 10);
  CHECK(std::includes(all.begin(), all.end(), some.begin(), some.end()));
  CHECK(test == images(whole.test));
  CHECK(images(built(shapes + R"("validation": 20, "subset": 10})").train) == some);
  CHECK(images(built(shapes + R"("subset": 10, "split_seed": 1})").train) != images(built(shapes + R"("subset": 10})").train));
  CHECK(part.train.statistics().mean == part.train.compute_statistics().mean);
  CHECK(part.test.statistics().mean == part.train.statistics().mean);
  const Splits alone = built(shapes + R"("subset": 10})");
  CHECK(alone.train.statistics().mean == alone.train.compute_statistics().mean);
  CHECK_FALSE(alone.validation);
}

TEST_CASE("CIFAR is read from its root") {
  TemporaryFolder folder;
  CHECK_THROWS_AS(built(R"({"type": "cifar10", "root": ")" + folder.path.string() + R"("})"), DataError);
  std::ofstream(folder.path / "train.bin") << std::string(50000 * 3074, '\1');
  std::ofstream(folder.path / "test.bin") << std::string(10000 * 3074, '\2');
  Splits splits = built(R"({"type": "cifar100", "validation": 5000, "root": ")" + folder.path.string() + R"("})");
  CHECK(splits.train.count() == 45000);
  CHECK(splits.validation->count() == 5000);
  CHECK(splits.test.count() == 10000);
  CHECK(splits.train.class_count() == 100);
  CHECK(splits.test.label(9999) == 2);
  CHECK(splits.test.statistics().mean[0] == doctest::Approx(1 / 255.0));
}

TEST_CASE("what is declared before reading is what is read") {
  for (const char* more :
       {"}", R"(, "validation": 0.25})", R"(, "validation": 7, "subset": 0.5})", R"(, "subset": 9, "drop_last": true})"}) {
    CAPTURE(more);
    register_builtin_data();
    const std::string json = R"({"type": "shapes", "train_images": 40, "test_images": 11, "batch_size": 4)" + std::string(more);
    const DataSource source =
        config::parse<config::Component<DataRegistry>>(config::parse_text(json, "exp.json"), "data").create();
    const Splits splits = read(source);
    REQUIRE(source.plan);
    CHECK(source.plan->train == splits.train.count());
    CHECK(source.plan->validation == (splits.validation ? splits.validation->count() : 0));
    CHECK(source.plan->test == splits.test.count());
    CHECK(source.plan->batches() == Loader(splits.train, splits.training).batches());
  }
}

TEST_CASE("options of data sets are checked, with their place") {
  const std::string shapes = R"({"type": "shapes", "train_images": 9, "test_images": 9, )";
  CHECK(message(shapes + R"("batch_size": 3})") == "no error");
  CHECK(has(message(shapes + R"("batch_size": 0})"), "exp.json:1:"));
  CHECK(has(message(shapes + R"("batchsize": 3})"), "did you mean \"batch_size\"?"));
  CHECK(has(message(shapes + R"("validation": 9})"), "exp.json:1:71: data.validation: cannot take 9 of 9 samples"));
  CHECK(has(message(shapes + R"("subset": 9})"), "exp.json:1:67: data.subset: cannot take 9 of 9 samples"));
  CHECK(has(message(shapes + R"("validation": 4, "subset": 5})"), "exp.json:1:84: data.subset: cannot take 5 of 5 samples"));
  CHECK(has(message(shapes + R"("subset": 0})"), "data.subset: must be more than 0"));
  CHECK(has(message(shapes + R"("subset": 0.5, "batch_size": 6, "drop_last": true})"), "5 training images are fewer"));
  CHECK(has(message(shapes + R"("validation": 1.5})"), "whole number"));
  CHECK(has(message(shapes + R"("mean": [0.5, 0.5, 0.5]})"), "mean and std must be given together"));
  CHECK(has(message(shapes + R"("mean": [0.5], "std": [1, 1, 1]})"),
            "exp.json:1:65: data.mean: takes one number for each of the 3 channels, got 1"));
  CHECK(has(message(shapes + R"("mean": [0, 0, 0], "std": [1]})"),
            "exp.json:1:83: data.std: takes one number for each of the 3 channels, got 1"));
  CHECK(has(message(shapes + R"("mean": [0, 0, 0], "std": [1, 0, 1]})"), "data.std.1: must be more than 0"));
  CHECK(has(message(shapes + R"("augment": [{"type": "vertical_flip"}]})"), "data.augment.0.type"));
  CHECK(has(message(shapes + R"("augment": [{"type": "random_crop", "mode": "wrap"}]})"), "data.augment.0.mode"));
  CHECK(has(message(shapes + R"("augment": [{"type": "horizontal_flip", "alternate": true, "probability": 0.3}]})"),
            "exp.json:1:69: data.augment.0: alternate mirrors half of the images: leave probability at 0.5"));
  CHECK(has(message(shapes + R"("batch_size": 10, "drop_last": true})"),
            "exp.json:1:88: data.drop_last: leaves no batch: 9 training images are fewer than batch_size 10"));
  CHECK(has(message(R"({"type": "cifar11"})"), "did you mean \"cifar10\"?"));
}

TEST_CASE("options given in C++ are held to the rules that JSON is held to") {
  const Dataset set = built(R"({"type": "shapes", "train_images": 12, "test_images": 9})").train;
  const auto refusal = [&](const DataOptions& options) {
    const std::string made = test::error_of([&] { make_splits(set, set, options); });
    CHECK(made == test::error_of([&] { check_options(options, set.image_shape(), set.count()); }));
    return made;
  };
  CHECK(refusal({.validation = 0.25}) == "no error");
  CHECK(refusal({.batch_size = 0}) == "data.batch_size: must be at least 1, got 0");
  CHECK(refusal({.validation = -1}) == "data.validation: must be at least 0, got -1.0");
  CHECK(refusal({.validation = NAN}) == "data.validation: expected a finite number, got NaN");
  CHECK(refusal({.subset = 0}) == "data.subset: must be more than 0, got 0.0");
  CHECK(refusal({.split_seed = -1}) == "data.split_seed: must be at least 0, got -1");
  CHECK(refusal({.mean = {{0, 0, 0}}}) == "data: mean and std must be given together");
  CHECK(refusal({.mean = {{0, 0, NAN}}, .std = {{1, 1, 1}}}) == "data.mean.2: expected a finite number, got NaN");
  CHECK(refusal({.mean = {{0, 0, 0}}, .std = {{1, 0, 1}}}) == "data.std.1: must be more than 0, got 0.0");
}

TEST_CASE("how many batches an epoch has is known before the data is read") {
  register_builtin_data();
  for (const char* options :
       {R"("batch_size": 16)", R"("batch_size": 16, "drop_last": true)", R"("batch_size": 60)", R"("batch_size": 61)",
        R"("validation": 0.25, "batch_size": 15)", R"("validation": 11, "subset": 0.5, "batch_size": 7)",
        R"("subset": 13, "batch_size": 13, "drop_last": true)"}) {
    CAPTURE(options);
    const std::string text = fmt::format(R"({{"type": "shapes", "train_images": 60, "test_images": 2, {}}})", options);
    const auto component = config::parse<config::Component<DataRegistry>>(config::parse_text(text, "exp.json"), "data");
    const DataSource source = component.create();
    const Splits splits = source.load();
    REQUIRE(source.plan);
    CHECK(source.plan->batches() == Loader(splits.train, splits.training).batches());
  }
}

TEST_CASE("a relative root counts from the current folder, and where it leads is named") {
  const std::string here = std::filesystem::current_path().string();
  const std::string missing = "cannot read " + here + "/no/such/folder/data_batch_1.bin: ";
  CHECK_THROWS_WITH_AS(built(R"({"type": "cifar10", "root": "no/such/folder"})"), doctest::Contains(missing.c_str()),
                       DataError);
  CHECK_THROWS_WITH_AS(Cifar10({.root = "./no/such/folder"}), doctest::Contains(missing.c_str()), DataError);
}
