#pragma once

#include <cmath>
#include <functional>
#include <optional>
#include <vector>

#include "core/config/registry.h"
#include "data/augment.h"
#include "data/dataset.h"
#include "data/loader.h"

namespace az::data {

// Options of every data set named in a config; a set's own options inherit from them and call this fields().
struct DataOptions {
  double validation = 0;
  std::optional<double> subset = {};
  int64_t split_seed = 0;
  int64_t batch_size = 128;
  bool drop_last = false;
  std::vector<config::Component<AugmentRegistry>> augment = {};
  std::optional<std::vector<double>> mean = {}, std = {};

  static config::Rule one_for_each_channel() { return config::elements(1, INT64_MAX, "give one number for each channel"); }
  static void fields(auto& f) {
    f("validation", &DataOptions::validation, "held out of the training set: a fraction below 1, or a number of images",
      config::at_least(0), config::share_or_count());
    f("subset", &DataOptions::subset,
      "train on so much of what remains, drawn at random: a fraction below 1, or a number of images; null: on all of it",
      config::more_than(0), config::share_or_count());
    f("split_seed", &DataOptions::split_seed, "which images are held out, and which the subset has", config::at_least(0));
    f("batch_size", &DataOptions::batch_size, "images in a batch", config::at_least(1), config::at_most(1e6));
    f("drop_last", &DataOptions::drop_last, "leave out an epoch's last training batch where it is not full");
    f("augment", &DataOptions::augment, "random changes of training images, in order");
    f("mean", &DataOptions::mean, "per channel, of pixels in [0, 1]; null: that of the training images",
      one_for_each_channel());
    f("std", &DataOptions::std, "per channel, likewise", config::more_than(0), one_for_each_channel());
    f.all_or_none({"mean", "std"}, "mean and std must be given together");
  }
};

// The images of each part and how they make batches: what is known of a training before any image is read.
struct DataPlan {
  int64_t train = 0, validation = 0;
  std::optional<int64_t> test = {};
  int64_t batch_size = 1;
  bool drop_last = false;
  std::vector<std::string> notes = {};  // what is odd about the options, each as "option: sentence"

  int64_t batches() const { return batches_of(train, {.batch_size = batch_size, .drop_last = drop_last}); }  // of an epoch
};

// What make_splits() will make of sets of so many images of `shape`: [c,h,w]. Throws what it would, without reading any; also
// where options given from C++ break the rules that JSON is held to.
DataPlan check_options(const DataOptions& options, const Shape& shape, int64_t train, std::optional<int64_t> test = {});

// A data set read. All sets carry the statistics of the training part.
struct Splits {
  Dataset train;
  std::optional<Dataset> validation;
  Dataset test;
  LoaderOptions training;  // for the training part: shuffled, augmented; the seed is the experiment's to set
  LoaderOptions evaluation;

  DataPlan plan() const;
};
// Throws DataError where a part is empty, or the two sets disagree.
Splits make_splits(const Dataset& train, const Dataset& test, const DataOptions& options);

// A data set chosen but not read yet: what a model must know of it, and the way to read (or draw) it.
struct DataSource {
  Shape image_shape;  // [c,h,w]
  int64_t class_count = 0;
  std::function<Splits()> load;
  std::optional<DataPlan> plan = {};  // nothing: known only once it is read
};
// Reads it. Throws DataError where what is read is not what was declared. `who` names what load throws that is no Error.
Splits read(const DataSource& source, const std::string& who = "the data set");

struct DataRegistry : config::Registry<DataRegistry, DataSource> {
  static constexpr const char* kind = "data set";
  static void register_builtin();
  static void check(const DataSource& source);
};

}  // namespace az::data
