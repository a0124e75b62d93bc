#include "data/augment.h"

#include <algorithm>
#include <cstdlib>

#include "core/base/error.h"

namespace az::data {
namespace {

// Position `i` of a padded line in the line itself, reflected without repeating the edge pixel.
int64_t reflected(int64_t i, int64_t size) {
  i = std::abs(i);
  return i < size ? i : 2 * (size - 1) - i;
}

class RandomCrop : public Augmentation {
 public:
  explicit RandomCrop(const RandomCropOptions& options) : padding_(options.padding), reflect_(options.mode == "reflect") {}

  void check(const Shape& shape) const override { check_size(shape[1], shape[2]); }

  std::vector<std::string> examine(const Shape& shape) const override {
    if (padding_ == 0) return {"padding: 0 leaves the images as they are"};
    if (padding_ < std::min(shape[1], shape[2])) return {};
    return {fmt::format("padding: {} leaves nothing but black of some of the {}x{} images", padding_, shape[1], shape[2])};
  }

  void apply(Image& image, Philox& random) const override {
    const int64_t height = image.height, width = image.width;
    check_size(height, width);
    const int64_t dy = random.integer(2 * padding_ + 1) - padding_, dx = random.integer(2 * padding_ + 1) - padding_;
    const int64_t begin = std::clamp<int64_t>(-dx, 0, width), end = std::clamp<int64_t>(width - dx, begin, width);
    for (int64_t row = 0; row < image.channels * height; ++row) {
      int64_t plane = row / height, y = row % height + dy;
      uint8_t* to = image.scratch.data() + row * width;
      if (reflect_) y = reflected(y, height);
      if (y < 0 || y >= height) {
        std::fill_n(to, width, uint8_t(0));
        continue;
      }
      const uint8_t* from = image.pixels.data() + (plane * height + y) * width;
      std::copy(from + begin + dx, from + end + dx, to + begin);
      auto outside = [&](int64_t x) { return reflect_ ? from[reflected(x + dx, width)] : uint8_t(0); };
      for (int64_t x = 0; x < begin; ++x) to[x] = outside(x);
      for (int64_t x = end; x < width; ++x) to[x] = outside(x);
    }
    image.pixels.swap(image.scratch);
  }

 private:
  void check_size(int64_t height, int64_t width) const {
    if (reflect_ && padding_ >= std::min(height, width)) {
      throw ConfigError(fmt::format("random_crop: reflecting needs images larger than the padding of {}, got {}x{}", padding_,
                                    height, width));
    }
  }

  int64_t padding_;
  bool reflect_;
};

class HorizontalFlip : public Augmentation {
 public:
  explicit HorizontalFlip(const HorizontalFlipOptions& options) : options_(options) {}

  std::vector<std::string> examine(const Shape&) const override {
    return options_.probability > 0 ? std::vector<std::string>() : std::vector<std::string>{"probability: 0 never mirrors"};
  }

  void apply(Image& image, Philox& random) const override {
    if (!flips(image, random)) return;
    for (int64_t row = 0; row < image.channels * image.height; ++row) {
      uint8_t* line = image.pixels.data() + row * image.width;
      std::reverse(line, line + image.width);
    }
  }

 private:
  bool flips(const Image& image, Philox& random) const {
    if (!options_.alternate) return random.bernoulli(options_.probability);
    Philox own = image.own;
    return (own.integer(2) + image.epoch) % 2 == 1;
  }

  HorizontalFlipOptions options_;
};

class Cutout : public Augmentation {
 public:
  explicit Cutout(const CutoutOptions& options) : size_(options.size) {}

  std::vector<std::string> examine(const Shape& shape) const override {
    if (size_ >= 2 * std::max(shape[1], shape[2]) - 1)
      config::invalid_option("size", fmt::format("{} hides all of every {}x{} image", size_, shape[1], shape[2]));
    if (size_ < std::max(shape[1], shape[2])) return {};
    return {fmt::format("size: {} hides all of some of the {}x{} images", size_, shape[1], shape[2])};
  }

  void apply(Image& image, Philox& random) const override {
    int64_t top = random.integer(image.height) - size_ / 2, left = random.integer(image.width) - size_ / 2;
    int64_t bottom = std::min(top + size_, image.height), right = std::min(left + size_, image.width);
    top = std::max<int64_t>(top, 0), left = std::max<int64_t>(left, 0);
    for (int64_t channel = 0; channel < image.channels; ++channel) {
      for (int64_t y = top; y < bottom; ++y) {
        uint8_t* line = image.pixels.data() + (channel * image.height + y) * image.width;
        std::fill(line + left, line + right, image.mean[size_t(channel)]);
      }
    }
  }

 private:
  int64_t size_;
};

}  // namespace

AugmentationPtr random_crop(const RandomCropOptions& options) {
  return std::make_shared<RandomCrop>(config::checked("random_crop", options));
}
AugmentationPtr horizontal_flip(const HorizontalFlipOptions& options) {
  return std::make_shared<HorizontalFlip>(config::checked("horizontal_flip", options));
}
AugmentationPtr cutout(const CutoutOptions& options) { return std::make_shared<Cutout>(config::checked("cutout", options)); }

}  // namespace az::data
