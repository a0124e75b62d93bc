#include "data/builtin.h"

#include <mutex>

#include "data/cifar.h"
#include "data/synthetic.h"

namespace az::data {
namespace {

struct CifarConfig : DataOptions {
  std::optional<std::string> root = {};
  static void fields(auto& f) {
    f("root", &CifarConfig::root, "folder of the .bin files; null: where `azimuth data get` puts it", config::path(),
      config::changes_on_resume());
    DataOptions::fields(f);
  }
};

struct ShapesConfig : DataOptions {
  int64_t train_images = 10000, test_images = 2000, seed = 0;
  static void fields(auto& f) {
    f("train_images", &ShapesConfig::train_images, "training images drawn", config::at_least(1), config::at_most(1e7));
    f("test_images", &ShapesConfig::test_images, "test images drawn", config::at_least(1), config::at_most(1e7));
    f("seed", &ShapesConfig::seed, "of the drawings", config::at_least(0));
    DataOptions::fields(f);
  }
};

const Shape image_shape{3, 32, 32};

template <class Set, int64_t classes> DataSource cifar(const CifarConfig& config) {
  const auto load = [config] {
    const Set train({.root = config.root, .train = true});
    const Set test({.root = config.root, .train = false, .statistics = train.statistics()});
    return make_splits(train, test, config);
  };
  return {image_shape, classes, load, check_options(config, image_shape, 50000, 10000)};
}

DataSource shapes(const ShapesConfig& config) {
  const auto load = [config] {
    const auto seed = uint64_t(config.seed);
    return make_splits(Shapes({.train = true, .count = config.train_images, .seed = seed}),
                       Shapes({.train = false, .count = config.test_images, .seed = seed}), config);
  };
  return {image_shape, 10, load, check_options(config, image_shape, config.train_images, config.test_images)};
}

void add_all() {
  const config::BuiltIn built_in;
  AugmentRegistry::add<RandomCropOptions>("random_crop", "pads the image and cuts out a window of the old size", random_crop);
  AugmentRegistry::add<HorizontalFlipOptions>("horizontal_flip", "mirrors the image left to right", horizontal_flip);
  AugmentRegistry::add<CutoutOptions>("cutout", "hides a random square (DeVries and Taylor, 2017)", cutout);
  DataRegistry::add<CifarConfig>("cifar10", "CIFAR-10: 50,000 + 10,000 photos of 10 classes", cifar<Cifar10, 10>);
  DataRegistry::add<CifarConfig>("cifar100", "CIFAR-100: 50,000 + 10,000 photos of 100 classes", cifar<Cifar100, 100>);
  DataRegistry::add<ShapesConfig>("shapes", "drawn on the spot: 5 outlines with 2 textures make 10 classes", shapes);
}

}  // namespace

void DataRegistry::register_builtin() { register_builtin_data(); }
void AugmentRegistry::register_builtin() { register_builtin_data(); }

void DataRegistry::check(const DataSource& source) {
  if (source.image_shape.rank() != 3 || source.image_shape.numel() < 1 || source.class_count < 1) {
    fail("its factory promises images of {} and {} classes; images are [c,h,w], and there is one class at least",
         source.image_shape.str(), source.class_count);
  }
  if (source.plan && (source.plan->batch_size < 1 || source.plan->batches() < 1))
    fail("its factory declares {} training images in batches of {}; want at least one batch", source.plan->train,
         source.plan->batch_size);
  if (!source.load) fail("its factory gives no way to load it: DataSource::load is empty");
}

void register_builtin_data() {
  static std::once_flag once;
  std::call_once(once, add_all);
}

}  // namespace az::data
