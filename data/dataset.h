#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor/shape.h"

namespace az::data {

// Mean and standard deviation of each channel, over pixels scaled to [0, 1].
struct Statistics {
  std::vector<double> mean, std;
  // Why some channel's pixels, less the mean and over the std, are no numbers that f32 can hold; "" where all are.
  std::string fault() const;
};

// What a Dataset holds, filled once by whoever reads or draws it.
struct DatasetContent {
  Shape image_shape;            // [c,h,w]
  std::vector<uint8_t> pixels;  // [count][c][h][w]
  std::vector<int64_t> labels;  // [count], each in [0, class_count)
  int64_t class_count = 0;
  std::vector<std::string> class_names;  // one a class, or none
};

// Labelled images in memory, as bytes. Copies and parts share the pixels.
class Dataset {
 public:
  // Statistics are computed from the pixels unless given. Throws DataError where labels, pixels, classes and shape in `content`
  // do not agree, or the statistics cannot normalise.
  explicit Dataset(DatasetContent content, std::optional<Statistics> statistics = {});

  int64_t count() const { return int64_t(samples_.size()); }
  const Shape& image_shape() const { return content_->image_shape; }
  int64_t class_count() const { return content_->class_count; }
  const std::vector<std::string>& class_names() const { return content_->class_names; }
  // These two are for one of count() samples; they throw for another.
  const uint8_t* pixels(int64_t sample) const { return content_->pixels.data() + at("pixels", sample) * image_size_; }
  int64_t label(int64_t sample) const { return content_->labels[size_t(at("label", sample))]; }
  // What loaders normalise with.
  const Statistics& statistics() const { return statistics_; }
  // Throws DataError unless there is one mean and one std a channel, without fault.
  void set_statistics(Statistics statistics);
  Statistics compute_statistics() const;
  // The samples of the given numbers, in that order.
  Dataset part(const std::vector<int64_t>& samples) const;
  // Memory held by images and labels, shared with copies and parts.
  int64_t bytes() const;

 private:
  [[noreturn]] void fail_beyond(const char* function, int64_t sample) const;
  int64_t at(const char* function, int64_t sample) const {
    if (uint64_t(sample) >= samples_.size()) fail_beyond(function, sample);
    return samples_[size_t(sample)];
  }

  std::shared_ptr<const DatasetContent> content_;
  std::vector<int64_t> samples_;
  int64_t image_size_ = 0;
  Statistics statistics_;
};

struct HoldOutOptions {
  double amount = 0;  // below 1 a fraction, from 1 on a number of samples
  uint64_t seed = 0;
};
struct HeldOut {
  Dataset rest, held_out;
};
// How many of `count` samples `amount` is. Throws ConfigError, naming the option, when nothing would be left of either part.
int64_t held_out_count(double amount, int64_t count, const char* option = "validation");
// Splits `amount` samples drawn at random off the set; both parts keep its order. Throws when nothing would be left of either.
HeldOut hold_out(const Dataset& dataset, const HoldOutOptions& options);

}  // namespace az::data
