#include "data/dataset.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/config/options.h"

namespace az::data {

namespace {

// Throws DataError unless the parts of `content` agree with one another and with what it declares.
void check(const DatasetContent& content) {
  const auto refuse = [](const std::string& why) { throw DataError("dataset: " + why); };
  const Shape& shape = content.image_shape;
  const bool is_image = shape.rank() == 3 && std::all_of(shape.begin(), shape.end(), [](int64_t size) { return size > 0; });
  if (!is_image) refuse(fmt::format("an image_shape is [c,h,w] of at least one pixel, not {}", shape.str()));
  if (content.class_count < 1) refuse(fmt::format("class_count must be at least 1, not {}", content.class_count));
  const size_t image = size_t(shape.numel()), labels = content.labels.size();
  if (labels * image != content.pixels.size())
    refuse(fmt::format("{} labels and images of {}, {} bytes each, want {} bytes of pixels, not {}", labels, shape.str(), image,
                       labels * image, content.pixels.size()));
  if (!content.class_names.empty() && int64_t(content.class_names.size()) != content.class_count)
    refuse(fmt::format("{} class_names for {} classes; give one for each, or none", content.class_names.size(),
                       content.class_count));
  for (size_t sample = 0; sample < labels; ++sample) {
    const int64_t label = content.labels[sample];
    if (label < 0 || label >= content.class_count)
      refuse(fmt::format("sample {} has label {}, expected 0 to {}, as class_count is {}", sample, label,
                         content.class_count - 1, content.class_count));
  }
}

}  // namespace

std::string Statistics::fault() const {
  for (size_t channel = 0; channel < std::min(mean.size(), std.size()); ++channel) {
    const double m = mean[channel], deviation = std[channel], largest = std::max(std::abs(m), std::abs(1 - m)) / deviation;
    if (!(deviation > 0) || !std::isfinite(deviation) || !(largest <= std::numeric_limits<float>::max()))
      return fmt::format("pixels of channel {} cannot be normalised with a mean of {} and a standard deviation of {}", channel,
                         m, deviation);
  }
  return "";
}

Dataset::Dataset(DatasetContent content, std::optional<Statistics> statistics) {
  check(content);
  image_size_ = content.image_shape.numel();
  samples_.resize(content.labels.size());
  std::iota(samples_.begin(), samples_.end(), 0);
  content_ = std::make_shared<const DatasetContent>(std::move(content));
  set_statistics(statistics ? *statistics : compute_statistics());
}

void Dataset::set_statistics(Statistics statistics) {
  const size_t channels = size_t(image_shape()[0]);
  if (statistics.mean.size() != channels || statistics.std.size() != channels)
    throw DataError(fmt::format("dataset: the statistics have {} means and {} standard deviations for {} channels",
                                statistics.mean.size(), statistics.std.size(), channels));
  if (const std::string fault = statistics.fault(); !fault.empty()) throw DataError("dataset: " + fault);
  statistics_ = std::move(statistics);
}

// Sums of whole numbers: exact, whatever their order. A channel of one colour gets a deviation of 1.
Statistics Dataset::compute_statistics() const {
  const int64_t channels = image_shape()[0], plane = image_shape()[1] * image_shape()[2];
  const double n = double(std::max<int64_t>(count() * plane, 1));
  Statistics result;
  for (int64_t channel = 0; channel < channels; ++channel) {
    uint64_t sum = 0, squares = 0;
    for (int64_t sample = 0; sample < count(); ++sample) {
      const uint8_t* pixel = pixels(sample) + channel * plane;
      for (int64_t i = 0; i < plane; ++i) sum += pixel[i], squares += uint32_t(pixel[i]) * pixel[i];
    }
    const double mean = double(sum) / n, variance = double(squares) / n - mean * mean;
    result.mean.push_back(mean / 255);
    result.std.push_back(variance > 0 ? std::sqrt(variance) / 255 : 1);
  }
  return result;
}

void Dataset::fail_beyond(const char* function, int64_t sample) const {
  fail("dataset: {}: no sample {} among {}", function, sample, count());
}

Dataset Dataset::part(const std::vector<int64_t>& samples) const {
  Dataset result = *this;
  result.samples_.clear();
  for (int64_t sample : samples) result.samples_.push_back(at("part", sample));
  return result;
}

int64_t Dataset::bytes() const { return int64_t(content_->pixels.size() + content_->labels.size() * sizeof(int64_t)); }

int64_t held_out_count(double given, int64_t count, const char* option) {
  const double amount = given < 1 ? std::round(given * double(count)) : given;
  if (!(amount >= 1) || amount != std::floor(amount) || amount >= double(count)) {
    config::invalid_option(
        option, fmt::format("cannot take {} of {} samples; give a fraction below 1 or a whole number", given, count));
  }
  return int64_t(amount);
}

HeldOut hold_out(const Dataset& dataset, const HoldOutOptions& options) {
  const int64_t amount = held_out_count(options.amount, dataset.count());
  std::vector<int64_t> samples(size_t(dataset.count()));
  std::iota(samples.begin(), samples.end(), 0);
  Philox random(options.seed);
  auto middle = samples.begin() + amount;
  for (auto drawn = samples.begin(); drawn != middle; ++drawn) std::swap(*drawn, drawn[random.integer(samples.end() - drawn)]);
  std::sort(samples.begin(), middle);
  std::sort(middle, samples.end());
  return {dataset.part({middle, samples.end()}), dataset.part({samples.begin(), middle})};
}

}  // namespace az::data
