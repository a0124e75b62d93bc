#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/config/registry.h"
#include "core/tensor/shape.h"

// Random changes of training images, made on bytes before they are normalised.
namespace az::data {

// One image of a batch being filled. An augmentation changes pixels in place, or writes scratch (of the same size, any content)
// and swaps the two. The size stays: of the image, and of both vectors.
struct Image {
  const int64_t channels, height, width;
  std::vector<uint8_t> pixels, scratch;  // [c][h][w]
  const std::vector<uint8_t> mean;       // the set's mean colour, [c]: zero once normalised
  const int64_t epoch = 0;               // from 0
  Philox own{0};                         // numbers of the image's own, the same in every epoch
};

class Augmentation : public config::Made {
 public:
  virtual ~Augmentation() = default;
  // Throws ConfigError when it cannot be applied to images of that shape, [c,h,w]; a loader asks once.
  virtual void check(const Shape&) const {}
  // What is odd about it on images of that shape, each as "option: sentence". Throws config::Invalid for what cannot be meant.
  virtual std::vector<std::string> examine(const Shape&) const { return {}; }
  // Called from several threads at once; `random` gives numbers of the image's own in this epoch. Never reads or writes outside
  // the image: one that check() refuses is refused here, too.
  virtual void apply(Image& image, Philox& random) const = 0;
};
using AugmentationPtr = std::shared_ptr<const Augmentation>;

struct AugmentRegistry : config::Registry<AugmentRegistry, AugmentationPtr> {
  static constexpr const char* kind = "augmentation";
  static void register_builtin();
};

struct RandomCropOptions {
  int64_t padding = 4;
  std::string mode = "black";
  static void fields(auto& f) {
    f("padding", &RandomCropOptions::padding, "pixels added on each side before a window of the old size is cut out",
      config::at_least(0), config::at_most(10000));
    f("mode", &RandomCropOptions::mode, "what is added: black pixels, or the image reflected at its edge",
      config::one_of({"black", "reflect"}));
  }
};
AugmentationPtr random_crop(const RandomCropOptions& options = {});

// Alternating: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024, section 3.6.
struct HorizontalFlipOptions {
  double probability = 0.5;
  bool alternate = false;
  static void fields(auto& f) {
    f("probability", &HorizontalFlipOptions::probability, "how often an image is mirrored left to right", config::at_least(0),
      config::at_most(1));
    f("alternate", &HorizontalFlipOptions::alternate,
      "mirror each image in every second epoch: half of them in the first, the other half in the next, ...");
    f.needs("alternate", {{"probability", {config::one_of({0.5})}}},
            "alternate mirrors half of the images: leave probability at 0.5");
  }
};
AugmentationPtr horizontal_flip(const HorizontalFlipOptions& options = {});

// DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout", 2017.
struct CutoutOptions {
  int64_t size = 8;
  static void fields(auto& f) {
    f("size", &CutoutOptions::size, "side of the square, centred on any pixel, that is filled with the mean colour",
      config::at_least(1), config::at_most(10000));
  }
};
AugmentationPtr cutout(const CutoutOptions& options = {});

}  // namespace az::data
