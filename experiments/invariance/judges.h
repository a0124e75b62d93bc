#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/autograd/scale_dependence.h"
#include "data/loader.h"
#include "nn/module.h"
#include "optim/optimizer.h"

// Does the length of a weight matter to the loss? Three judges say so, each by itself.
namespace az::experiments {

struct InvarianceOptions {
  int64_t images = 32;  // of the first batch, on which the graph is recorded and weights are scaled
  double label_smoothing = 0;
  double delta = 0.1;  // of SGDP's rule
};

// The loss with a weight a times as long.
struct LossAtLength {
  double a = 1, loss = 0;
};

// What the judges found about one parameter w; its channels are the rows of w.size(0), or its elements where it has one
// dimension.
struct Judged {
  std::string name;
  Shape shape;
  double norm = 0;

  // Structure: what the graph says of the loss as channels are scaled one by one, and as w is scaled.
  ScaleDependence by_channel, by_layer;
  // channel, layer, or none; nothing where an op on the way does not say how it scales.
  std::optional<optim::View> structure() const;

  // Numbers, in training mode, on fixed images with fixed dropout.
  double loss = 0;
  std::vector<LossAtLength> losses;          // L(a w), a from 0.1 to 10, with 0.5, 2 and 10 among them
  std::vector<LossAtLength> channel_losses;  // the same of half the channels, drawn at random, the others left; 0.5, 2 and 10
  double slope = 0, channel_slope = 0;       // |<w, g>| = |dL / d log a|, and summed over channels
  double gradient_norm = 0;
  double radial = 0, channel_radial = 0;  // |<w, g>| / (||w|| ||g||), and the largest of a channel; 0 for a gradient of zeros
  double residue = 0;                     // |L(w) - L(100 w)|: what the eps of norms leaves of an invariant weight
  // p of |L(a w) - L(100 w)| ~ 1 / a^p for a from 0.35 to 2; nothing below rounding.
  std::optional<double> residue_order;
  bool residue_is_of_eps = false;  // it goes as 1 / a^2 from a = 1 on
  // The largest |L(a w) - L(w)|, a in {0.5, 2, 10}.
  double change() const;
  double channel_change() const;
  // Nothing for a weight of zeros, which has no length.
  std::optional<optim::View> numbers() const;

  // SGDP's rule on gradients of real batches, a weight of two or more dimensions.
  std::vector<double> channel_cosines;                  // |cos(w, g)| sqrt(row length), row by row, batch by batch
  std::vector<double> layer_cosines;                    // |cos(w, g)| sqrt(numel), a batch each
  double channel_hit_rate = NAN, layer_hit_rate = NAN;  // the share of batches in which the rule holds in that view
  std::optional<optim::View> cosine() const;            // the view in which it holds for half of them or more

  // The graph proves invariance and the loss changes with w's length as a whole all the same, by more than an eps leaves.
  bool contradicted() const;
  // The graph decides; where it cannot or is contradicted, the numbers do.
  optim::View verdict() const;
};

// Judges every parameter on a copy of the network, which stays as it is; frozen ones, too. Throws DivergedError where the loss
// is not finite.
std::vector<Judged> judge_invariance(const nn::Module& network, const std::vector<data::Batch>& batches,
                                     const InvarianceOptions& options = {});

}  // namespace az::experiments
