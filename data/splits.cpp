#include "data/splits.h"

#include <algorithm>

#include "core/base/error.h"

namespace az::data {
namespace {

// A part of a data set as it is, and what it is declared to be.
void check_part(const char* name, const Dataset& part, const Shape& shape, int64_t classes) {
  if (part.count() == 0) throw DataError(fmt::format("the {} part has no images", name));
  if (part.image_shape() != shape || part.class_count() != classes)
    throw DataError(fmt::format("the {} part has images {} of {} classes, where {} of {} are declared", name,
                                part.image_shape().str(), part.class_count(), shape.str(), classes));
}

}  // namespace

DataPlan check_options(const DataOptions& options, const Shape& shape, int64_t train, std::optional<int64_t> test) {
  config::checked("data", options);
  const int64_t validation = options.validation > 0 ? held_out_count(options.validation, train) : 0;
  DataPlan plan{.train = train - validation,
                .validation = validation,
                .test = test,
                .batch_size = options.batch_size,
                .drop_last = options.drop_last};
  if (options.subset) plan.train = held_out_count(*options.subset, plan.train, "subset");
  if (options.split_seed != DataOptions().split_seed && options.validation == 0 && !options.subset)
    plan.notes.push_back("split_seed: means nothing, as neither validation nor subset chooses images");
  for (const auto& [name, given] : {std::pair{"mean", &options.mean}, {"std", &options.std}}) {
    if (!*given) continue;
    if (int64_t((*given)->size()) != shape[0])
      config::invalid_option(name,
                             fmt::format("takes one number for each of the {} channels, got {}", shape[0], (*given)->size()));
    const auto outside = std::find_if((*given)->begin(), (*given)->end(), [](double x) { return x < 0 || x > 1; });
    if (outside != (*given)->end())
      plan.notes.push_back(
          fmt::format("{}: {} is outside [0, 1], where pixels are; divide by 255 what is of 0 to 255", name, *outside));
  }
  if (options.mean) {
    const std::string fault = Statistics{*options.mean, *options.std}.fault();
    if (!fault.empty()) config::invalid_option("std", fault);
  }
  if (options.drop_last && plan.train < options.batch_size) {
    config::invalid_option("drop_last", fmt::format("leaves no batch: {} training images are fewer than batch_size {}",
                                                    plan.train, options.batch_size));
  }
  for (size_t i = 0; i < options.augment.size(); ++i) {
    options.augment[i].placed([&] {
      const AugmentationPtr augmentation = options.augment[i].create();
      augmentation->check(shape);
      for (const std::string& oddity : augmentation->examine(shape))
        plan.notes.push_back(fmt::format("augment.{}.{}", i, oddity));
    });
  }
  return plan;
}

DataPlan Splits::plan() const {
  return {.train = train.count(),
          .validation = validation ? validation->count() : 0,
          .test = test.count(),
          .batch_size = training.batch_size,
          .drop_last = training.drop_last};
}

Splits read(const DataSource& source, const std::string& who) {
  if (!source.load) fail("{} has no load function, which reads it", who);
  Splits splits = placed([] { return ""; }, source.load, [&] { return who; });
  check_part("training", splits.train, source.image_shape, source.class_count);
  if (splits.validation) check_part("validation", *splits.validation, source.image_shape, source.class_count);
  check_part("test", splits.test, source.image_shape, source.class_count);
  const DataPlan found = splits.plan(), declared = source.plan.value_or(found);
  const auto check_count = [](const char* name, int64_t is, int64_t was) {
    if (is != was) throw DataError(fmt::format("the {} part has {} images, where {} are declared", name, is, was));
  };
  check_count("training", found.train, declared.train);
  check_count("validation", found.validation, declared.validation);
  check_count("test", *found.test, declared.test.value_or(*found.test));
  return splits;
}

Splits make_splits(const Dataset& train, const Dataset& test, const DataOptions& options) {
  check_part("training", train, train.image_shape(), train.class_count());
  check_part("test", test, train.image_shape(), train.class_count());
  check_options(options, train.image_shape(), train.count(), test.count());
  Splits splits{.train = train, .validation = {}, .test = test, .training = {}, .evaluation = {}};
  if (options.validation > 0) {
    HeldOut parts = hold_out(train, {.amount = options.validation, .seed = uint64_t(options.split_seed)});
    splits.train = parts.rest;
    splits.validation = parts.held_out;
  }
  if (options.subset)
    splits.train = hold_out(splits.train, {.amount = *options.subset, .seed = uint64_t(options.split_seed)}).held_out;
  if (options.mean) {
    splits.train.set_statistics({*options.mean, *options.std});
  } else if (splits.validation || options.subset) {
    splits.train.set_statistics(splits.train.compute_statistics());
  }
  splits.test.set_statistics(splits.train.statistics());
  if (splits.validation) splits.validation->set_statistics(splits.train.statistics());
  splits.training = {.batch_size = options.batch_size, .shuffle = true, .drop_last = options.drop_last};
  for (const auto& augmentation : options.augment) splits.training.augment.push_back(augmentation.create());
  splits.evaluation = {.batch_size = options.batch_size};
  return splits;
}

}  // namespace az::data
