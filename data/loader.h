#pragma once

#include <memory>
#include <vector>

#include "core/tensor/tensor.h"
#include "data/augment.h"
#include "data/dataset.h"

namespace az::data {

struct Batch {
  Tensor images;  // [n,c,h,w], normalised with the set's statistics
  Tensor labels;  // i64 [n]
};

struct LoaderOptions {
  int64_t batch_size = 128;
  bool shuffle = false;
  bool drop_last = false;  // leave out a last batch that is not full
  uint64_t seed = 0;
  std::vector<AugmentationPtr> augment = {};  // applied in this order
  DType type = DType::f32;                    // of the images; layers pass it on, so that bf16 here is mixed precision
  std::string config_place = {};              // of the data set, as config::Made has it, for errors
};

// How many batches so many samples make.
int64_t batches_of(int64_t samples, const LoaderOptions& options);

// Gives each sample of a set once an epoch, in batches: `for (const auto& [images, labels] : loader)`. Order and augmentation
// depend on (seed, epoch, sample) only. Each loop over it is the next epoch, counted from 0.
class Loader {
 public:
  struct Position {
    int64_t epoch = 0, batch = 0;
  };
  struct End {};
  class Iterator {
   public:
    Batch operator*() const { return loader_->fill(*order_, position_); }
    Iterator& operator++() {
      ++position_.batch;
      return *this;
    }
    bool operator!=(End) const { return position_.batch < loader_->batches(); }
    Position position() const { return position_; }

   private:
    friend Loader;
    Iterator(const Loader* loader, Position position)
        : loader_(loader),
          position_(position),
          order_(std::make_shared<const std::vector<int64_t>>(loader->order(position.epoch))) {}

    const Loader* loader_;
    Position position_;
    std::shared_ptr<const std::vector<int64_t>> order_;
  };

  Loader(Dataset dataset, LoaderOptions options = {});

  const Dataset& dataset() const { return dataset_; }
  const LoaderOptions& options() const { return options_; }
  int64_t batches() const;  // in an epoch
  // The next loop runs this epoch from this batch on. Throws where there is none; the end of an epoch is one of its places.
  void seek(Position position);
  void set_epoch(int64_t epoch) { seek({.epoch = epoch, .batch = 0}); }

  Iterator begin();
  End end() const { return {}; }
  // The samples of an epoch in the order they are given. Epochs count from 0; throws for another.
  std::vector<int64_t> order(int64_t epoch) const;

 private:
  template <class F> void located(const Augmentation& augmentation, const F& f) const;
  Batch fill(const std::vector<int64_t>& order, Position position) const;

  Dataset dataset_;
  LoaderOptions options_;
  Position next_;
  Tensor normalised_;  // [c,256], of each byte per channel
  std::vector<uint8_t> mean_;
};

}  // namespace az::data
