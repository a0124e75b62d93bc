#include "data/loader.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/threads.h"

namespace az::data {
namespace {

// Keeps a loader's random numbers apart from those of initialisers and dropout, which count streams from 0.
constexpr uint64_t first_stream = uint64_t(1) << 63;
// An epoch's substreams: 0 draws the order, 1 + i augments sample i. What a sample keeps for all epochs has a stream to itself.
Philox order_generator(uint64_t seed, int64_t epoch) { return Philox(seed, first_stream + uint64_t(epoch), 0); }
Philox sample_generator(uint64_t seed, int64_t epoch, int64_t sample) {
  return Philox(seed, first_stream + uint64_t(epoch), 1 + uint64_t(sample));
}
Philox lasting_generator(uint64_t seed, int64_t sample) { return Philox(seed, first_stream - 1, uint64_t(sample)); }

// Pixels [channels][plane] by a table [channels][256].
template <class T> void normalise(const uint8_t* pixels, int64_t plane, int64_t channels, const T* table, T* to) {
  for (int64_t channel = 0; channel < channels; ++channel, table += 256)
    for (int64_t p = 0; p < plane; ++p) *to++ = table[*pixels++];
}

// "augmentation RandomCrop"
std::string place_of(const Augmentation& augmentation) { return "augmentation " + class_name(typeid(augmentation)); }

}  // namespace

Loader::Loader(Dataset dataset, LoaderOptions options) : dataset_(std::move(dataset)), options_(std::move(options)) {
  if (options_.batch_size < 1) fail("loader: batch_size must be at least 1 (got {})", options_.batch_size);
  if (batches() == 0) fail("loader: {} samples make no batch of {}", dataset_.count(), options_.batch_size);
  if (!is_float(options_.type)) fail("loader: images are of a floating type, not {}", name_of(options_.type));
  for (const AugmentationPtr& augmentation : options_.augment) {
    if (!augmentation) fail("loader: an augmentation is null");
    const auto where = [&] { return place_of(*augmentation); };
    located(*augmentation, [&] { placed(where, [&] { augmentation->check(dataset_.image_shape()); }); });
  }
  const Statistics& statistics = dataset_.statistics();
  std::vector<double> table;
  for (size_t channel = 0; channel < statistics.mean.size(); ++channel) {
    for (int byte = 0; byte < 256; ++byte) {
      table.push_back((double(byte) / 255 - statistics.mean[channel]) / statistics.std[channel]);
    }
    mean_.push_back(uint8_t(std::lround(std::clamp(255 * statistics.mean[channel], 0.0, 255.0))));
  }
  normalised_ = Tensor::of<double>({int64_t(mean_.size()), 256}, table).to(options_.type);
}

int64_t batches_of(int64_t samples, const LoaderOptions& options) {
  const int64_t whole = samples / options.batch_size;
  return !options.drop_last && samples % options.batch_size ? whole + 1 : whole;
}

int64_t Loader::batches() const { return batches_of(dataset_.count(), options_); }

void Loader::seek(Position position) {
  if (position.epoch < 0 || position.batch < 0 || position.batch > batches())
    fail("loader: seek: there is no batch {} of epoch {}: epochs and the {} batches of each count from 0", position.batch,
         position.epoch, batches());
  next_ = position;
}

Loader::Iterator Loader::begin() {
  Position position = next_;
  next_ = {.epoch = position.epoch + 1, .batch = 0};
  return Iterator(this, position);
}

std::vector<int64_t> Loader::order(int64_t epoch) const {
  if (epoch < 0) fail("loader: order: there is no epoch {}; they count from 0", epoch);
  std::vector<int64_t> samples(size_t(dataset_.count()));
  std::iota(samples.begin(), samples.end(), 0);
  if (!options_.shuffle) return samples;
  Philox random = order_generator(options_.seed, epoch);
  for (auto left = int64_t(samples.size()); left > 1; --left)
    std::swap(samples[size_t(left - 1)], samples[size_t(random.integer(left))]);
  return samples;
}

template <class F> void Loader::located(const Augmentation& augmentation, const F& f) const {
  az::located(options_.config_place, [&] { augmentation.located(f); });  // its own place, or that of the set it came with
}

Batch Loader::fill(const std::vector<int64_t>& order, Position position) const {
  if (position.batch >= batches()) fail("loader: the epoch has ended: it has no batch {} of {}", position.batch, batches());
  const int64_t first = position.batch * options_.batch_size, count = std::min(options_.batch_size, dataset_.count() - first);
  const Shape& shape = dataset_.image_shape();
  const int64_t plane = shape[1] * shape[2], size = shape.numel();
  Batch batch{Tensor::empty({count, shape[0], shape[1], shape[2]}, options_.type), Tensor::empty({count}, DType::i64)};
  int64_t* labels = batch.labels.mutable_data<int64_t>();
  parallel_for(count, 16, [&](int64_t begin, int64_t end) {
    Image image{shape[0], shape[1], shape[2], {}, {}, mean_, position.epoch};
    image.scratch.resize(options_.augment.empty() ? 0 : size_t(size));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t sample = order[size_t(first + i)];
      const uint8_t* pixels = dataset_.pixels(sample);
      labels[i] = dataset_.label(sample);
      if (!options_.augment.empty()) {
        image.pixels.assign(pixels, pixels + size);
        image.own = lasting_generator(options_.seed, sample);
        Philox random = sample_generator(options_.seed, position.epoch, sample);
        for (const AugmentationPtr& augmentation : options_.augment) {
          const auto where = [&] { return fmt::format("{}, sample {}", place_of(*augmentation), sample); };
          located(*augmentation, [&] {
            placed(where, [&] {
              augmentation->apply(image, random);
              if (image.pixels.size() == size_t(size) && image.scratch.size() == size_t(size)) return;
              fail("it left {} bytes of pixels and {} of scratch, where an image {} has {}", image.pixels.size(),
                   image.scratch.size(), shape.str(), size);
            });
          });
        }
        pixels = image.pixels.data();
      }
      visit(options_.type, [&](auto zero) {
        using T = decltype(zero);
        normalise(pixels, plane, shape[0], normalised_.data<T>(), static_cast<T*>(batch.images.raw()) + i * size);
      });
    }
  });
  return batch;
}

}  // namespace az::data
