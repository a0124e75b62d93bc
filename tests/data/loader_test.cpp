#include "data/loader.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "core/base/error.h"
#include "core/base/threads.h"

using namespace az;
using namespace az::data;

namespace {

// Images [3,4,4] of different colours; label i of sample i.
Dataset numbered(int64_t count) {
  DatasetContent content{.image_shape = {3, 4, 4}, .pixels = {}, .labels = {}, .class_count = count, .class_names = {}};
  for (int64_t i = 0; i < count; ++i) {
    content.labels.push_back(i);
    for (int64_t place = 0; place < 48; ++place) content.pixels.push_back(uint8_t(i * 31 + place * 5));
  }
  return Dataset(std::move(content));
}

struct Seen {
  std::vector<int64_t> order, batch_sizes;
  std::map<int64_t, std::vector<float>> image;  // by label
};

Seen run_epoch(Loader& loader) {
  Seen seen;
  for (const auto& [images, labels] : loader) {
    auto values = images.to_vector<float>();
    auto batch = labels.to_vector<int64_t>();
    CHECK(images.shape() == Shape{int64_t(batch.size()), 3, 4, 4});
    seen.batch_sizes.push_back(int64_t(batch.size()));
    for (size_t i = 0; i < batch.size(); ++i) {
      seen.order.push_back(batch[i]);
      seen.image[batch[i]] = {values.begin() + std::ptrdiff_t(48 * i), values.begin() + std::ptrdiff_t(48 * (i + 1))};
    }
  }
  return seen;
}

LoaderOptions shuffled(int64_t batch_size, uint64_t seed = 5) {
  return {.batch_size = batch_size,
          .shuffle = true,
          .seed = seed,
          .augment = {random_crop({.padding = 2}), horizontal_flip(), cutout({.size = 2})}};
}

}  // namespace

TEST_CASE("an epoch gives each sample once, the last batch being what is left") {
  for (int64_t batch_size : {1, 7, 25, 50, 64}) {
    CAPTURE(batch_size);
    Loader loader(numbered(50), shuffled(batch_size));
    Seen seen = run_epoch(loader);
    CHECK(int64_t(seen.batch_sizes.size()) == loader.batches());
    for (size_t i = 0; i + 1 < seen.batch_sizes.size(); ++i) CHECK(seen.batch_sizes[i] == batch_size);
    CHECK(seen.batch_sizes.back() == (50 % batch_size ? 50 % batch_size : batch_size));
    auto sorted = seen.order;
    std::sort(sorted.begin(), sorted.end());
    CHECK(sorted == Loader(numbered(50)).order(0));
    CHECK(sorted != seen.order);
  }
}

TEST_CASE("images in bf16 are those in f32, rounded once; in f64 they are exact") {
  LoaderOptions options = shuffled(7);
  Loader single(numbered(20), options);
  options.type = DType::bf16;
  Loader half(numbered(20), options);
  auto at = half.begin();
  for (const auto& [images, labels] : single) {
    const Batch rounded = *at;
    ++at;
    CHECK(rounded.images.dtype() == DType::bf16);
    CHECK(rounded.images.to_vector<float>() == images.to(DType::bf16).to_vector<float>());
    CHECK(rounded.labels.to_vector<int64_t>() == labels.to_vector<int64_t>());
  }
  // In f64 they are not rounded at all.
  options.type = DType::f64;
  options.shuffle = false;
  options.augment.clear();
  const Dataset dataset = numbered(20);
  const double first = (dataset.pixels(0)[0] / 255.0 - dataset.statistics().mean[0]) / dataset.statistics().std[0];
  Loader exact(dataset, options);
  CHECK((*exact.begin()).images.to_vector<double>()[0] == first);
  options.type = DType::u8;
  CHECK_THROWS_WITH_AS(Loader(numbered(20), options), "loader: images are of a floating type, not u8", Error);
}

TEST_CASE("drop_last leaves out the batch that is not full") {
  auto options = shuffled(7);
  options.drop_last = true;
  Loader loader(numbered(50), options);
  CHECK(loader.batches() == 7);
  CHECK(run_epoch(loader).batch_sizes == std::vector<int64_t>(7, 7));
  options.batch_size = 51;
  CHECK_THROWS_AS(Loader(numbered(50), options), Error);
  CHECK_THROWS_AS(Loader(numbered(50), {.batch_size = 0}), Error);
}

TEST_CASE("without shuffling samples come in order, normalised by the set's statistics") {
  Dataset dataset = numbered(20);
  Loader loader(dataset, {.batch_size = 6});
  Seen seen = run_epoch(loader);
  CHECK(seen.order == loader.order(0));
  CHECK(std::is_sorted(seen.order.begin(), seen.order.end()));
  for (int64_t i = 0; i < 20; ++i) {
    for (size_t place = 0; place < 48; ++place) {
      double mean = dataset.statistics().mean[place / 16], std = dataset.statistics().std[place / 16];
      REQUIRE(seen.image[i][place] == float((dataset.pixels(i)[place] / 255.0 - mean) / std));
    }
  }
}

TEST_CASE("order and augmentation depend on seed, epoch and sample, not on batch size or threads") {
  Loader loader(numbered(50), shuffled(50)), batches_of_7(numbered(50), shuffled(7)), other_seed(numbered(50), shuffled(50, 6));
  const int threads = thread_count();
  set_thread_count(1);
  Seen first = run_epoch(loader), second = run_epoch(loader);
  set_thread_count(3);
  Seen same_first = run_epoch(batches_of_7), same_second = run_epoch(batches_of_7), other = run_epoch(other_seed);
  set_thread_count(threads);
  CHECK(first.order == same_first.order);
  CHECK(first.image == same_first.image);
  CHECK(second.order == same_second.order);
  CHECK(second.image == same_second.image);
  CHECK(first.order != second.order);
  CHECK(first.image != second.image);
  CHECK(first.order != other.order);
  CHECK(first.image != other.image);
}

TEST_CASE("a sample is augmented the same wherever it comes in the order, and unlike its neighbours") {
  auto in_order = shuffled(50);
  in_order.shuffle = false;
  Loader loader(numbered(50), shuffled(50)), ordered(numbered(50), in_order);
  CHECK(run_epoch(loader).image == run_epoch(ordered).image);

  DatasetContent content{.image_shape = {3, 4, 4}, .pixels = {}, .labels = {}, .class_count = 400, .class_names = {}};
  for (int64_t i = 0; i < 400; ++i) {
    content.labels.push_back(i);
    for (int place = 0; place < 48; ++place) content.pixels.push_back(uint8_t(place + 1));
  }
  Loader twins(Dataset(std::move(content)), {.augment = {random_crop({.padding = 3})}});
  Seen first = run_epoch(twins), second = run_epoch(twins);
  int same_neighbour = 0, same_epoch = 0;  // one in 49 by chance
  for (int64_t i = 0; i < 400; ++i) {
    same_neighbour += first.image[i] == first.image[(i + 1) % 400];
    same_epoch += first.image[i] == second.image[i];
  }
  CHECK(same_neighbour < 30);
  CHECK(same_epoch < 30);
}

TEST_CASE(
    "an alternating flip shows each sample both ways in any two epochs, whatever the order, batches and where it resumes") {
  const auto flipping = [](int64_t batch_size, uint64_t seed) {
    auto options = shuffled(batch_size, seed);
    options.augment = {horizontal_flip({.alternate = true})};
    return Loader(numbered(50), options);
  };
  Loader plain(numbered(50), {.batch_size = 50}), loader = flipping(50, 5), resumed = flipping(7, 5), other = flipping(50, 6);
  Seen whole = run_epoch(plain), first = run_epoch(loader), second = run_epoch(loader), third = run_epoch(loader);
  resumed.set_epoch(1);
  CHECK(run_epoch(resumed).image == second.image);
  CHECK(run_epoch(other).image != first.image);
  int mirrored = 0;
  for (int64_t i = 0; i < 50; ++i) {
    CHECK((first.image[i] == whole.image[i]) != (second.image[i] == whole.image[i]));
    CHECK(third.image[i] == first.image[i]);
    mirrored += first.image[i] != whole.image[i];
  }
  CHECK(std::abs(mirrored - 25) < 15);
}

TEST_CASE("augmentations apply in the order given") {
  LoaderOptions options{.batch_size = 4, .augment = {cutout({.size = 9}), horizontal_flip({.probability = 1})}};
  Loader loader(numbered(4), options);
  auto first = run_epoch(loader).image[0];
  CHECK(std::all_of(first.begin(), first.end(), [](float x) { return std::abs(x) < 0.5f / 255 / 0.2f; }));
  // Black edges of a crop stay black when the cut-out square came before, not after.
  Loader crop_last(numbered(4), {.batch_size = 4, .augment = {cutout({.size = 9}), random_crop({.padding = 400})}});
  auto cropped = run_epoch(crop_last).image[0];
  CHECK(cropped[0] < -0.5f);
}

TEST_CASE("a loader continues in the middle of an epoch") {
  Loader loader(numbered(50), shuffled(8)), resumed(numbered(50), shuffled(8));
  run_epoch(loader);
  Seen whole = run_epoch(loader), next = run_epoch(loader);
  resumed.seek({.epoch = 1, .batch = 4});
  Seen rest = run_epoch(resumed), after = run_epoch(resumed);
  CHECK(rest.order == std::vector<int64_t>(whole.order.begin() + 32, whole.order.end()));
  for (int64_t label : rest.order) CHECK(rest.image[label] == whole.image[label]);
  CHECK(after.order == next.order);
  resumed.set_epoch(1);
  CHECK(run_epoch(resumed).image == whole.image);
}

TEST_CASE("a loader refuses places that no epoch has, and batches behind the last") {
  Loader loader(numbered(50), shuffled(8));  // 7 batches
  for (const Loader::Position& nowhere : std::vector<Loader::Position>{{-1, -3}, {-1, 0}, {0, -1}, {0, 8}}) {
    CHECK_THROWS_WITH_AS(loader.seek(nowhere),
                         fmt::format("loader: seek: there is no batch {} of epoch {}: epochs and the 7 batches of each count "
                                     "from 0",
                                     nowhere.batch, nowhere.epoch)
                             .c_str(),
                         Error);
  }
  CHECK_THROWS_AS(loader.set_epoch(-1), Error);
  CHECK_THROWS_WITH_AS(loader.order(-1), "loader: order: there is no epoch -1; they count from 0", Error);
  auto at = loader.begin();
  CHECK(at.position().epoch == 0);  // what was refused changed nothing
  while (at != loader.end()) ++at;
  CHECK_THROWS_WITH_AS(*at, "loader: the epoch has ended: it has no batch 7 of 7", Error);
  loader.seek({.epoch = 1, .batch = 7});  // its end
  CHECK(run_epoch(loader).order.empty());
}

TEST_CASE("a batch stays as it is while later ones are made") {
  Loader loader(numbered(50), shuffled(10));
  auto it = loader.begin();
  Batch held = *it;
  auto before = held.images.to_vector<float>();
  for (++it; it != loader.end(); ++it) CHECK((*it).images.data<float>() != held.images.data<float>());
  CHECK(held.images.to_vector<float>() == before);
}

TEST_CASE("shuffling puts each sample at each place equally often") {
  Loader loader(numbered(6), {.shuffle = true});
  int count[6][6] = {};
  for (int64_t epoch = 0; epoch < 6000; ++epoch) {
    auto order = loader.order(epoch);
    for (size_t place = 0; place < 6; ++place) ++count[place][order[place]];
  }
  for (auto& row : count) {
    for (int n : row) CHECK(std::abs(n - 1000) < 125);
  }
}
