#include "experiments/invariance/judges.h"

#include <algorithm>
#include <cmath>

#include "core/autograd/autograd.h"
#include "core/base/random.h"
#include "core/ops/elementwise.h"
#include "core/ops/loss.h"
#include "core/ops/shape.h"
#include "experiments/diagnose.h"
#include "optim/projection.h"

namespace az::experiments {
namespace {

using optim::View;

// Changes of the loss, relative to it, that count as none: far above rounding and an ordinary eps.
constexpr double tolerance = 1e-3;
constexpr double far_away = 100;
const std::vector<double> grid = {0.1, 0.2, 0.35, 0.5, 0.7, 1, 1.4, 2, 3, 5, 7, 10};
const std::vector<double> factors = {0.5, 2, 10};

int64_t channels_of(const Tensor& w) { return w.rank() > 1 ? w.size(0) : w.numel(); }

data::Batch first_images(const data::Batch& batch, int64_t count) {
  const SliceOptions first{.axis = 0, .begin = 0, .end = std::min(count, batch.images.size(0))};
  return {slice(batch.images, first), slice(batch.labels, first)};
}

// A copy of the network in training mode, all of whose parameters have gradients.
class Subject {
 public:
  Subject(const nn::Module& network, const InvarianceOptions& options) : options_(options), model_(network.clone()) {
    model_->train();
    for (const Parameter& parameter : model_->parameters()) parameter.tensor.set_requires_grad();
  }
  ~Subject() { set_random_state(random_before_); }
  Subject(const Subject&) = delete;

  nn::Module& model() { return *model_; }

  // Dropout is the same in every call. In f64 from the logits on, so that small changes show.
  Tensor loss(const data::Batch& batch) {
    seed_random(0);
    const Tensor logits = (*model_)(batch.images);
    return cross_entropy(logits.to(DType::f64), batch.labels, {.label_smoothing = options_.label_smoothing});
  }

  void backward(const data::Batch& batch) {
    for (const Parameter& parameter : model_->parameters()) parameter.tensor.zero_grad();
    model_->located([&] { loss(batch).backward(); });
  }

 private:
  InvarianceOptions options_;
  RandomState random_before_ = random_state();
  nn::ModulePtr model_;
};

std::vector<optim::RowSums> channel_sums(const Tensor& w) {
  const int64_t rows = channels_of(w), length = rows ? w.numel() / rows : 0;
  const Tensor g = w.grad();
  std::vector<optim::RowSums> sums(size_t(rows), optim::RowSums{});
  for (int64_t row = 0; g.defined() && row < rows; ++row) {
    optim::with_type(w.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const T *pw = w.data<T>() + row * length, *pg = g.data<T>() + row * length;
      sums[size_t(row)] = optim::row_sums(length, pw, pg, pg);
    });
  }
  return sums;
}

double cosine(const optim::RowSums& s) {
  const double norms = std::sqrt(s.pp) * std::sqrt(s.gg);
  return norms > 0 ? std::abs(s.pg) / norms : 0;
}

void judge_by_structure(Judged& judged, const Tensor& loss, const Tensor& w) {
  judged.by_layer = scale_dependence(loss, w);
  judged.by_channel = scale_dependence(loss, w, std::max<int64_t>(1, channels_of(w)));
}

// Says whether the distance of a loss from its limit stands clear of rounding.
bool is_clear(double left, double limit) { return std::abs(left) > 1e-6 * std::abs(limit); }

// p of |L(a w) - L(far w)| ~ 1 / a^p, fitted where an eps is small against the variance.
std::optional<double> order_of(const std::vector<LossAtLength>& losses, double limit) {
  double n = 0, x = 0, y = 0, xx = 0, xy = 0;
  for (const LossAtLength& s : losses) {
    const double left = std::abs(s.loss - limit);
    if (s.a < 0.3 || s.a > 2 || !is_clear(left, limit)) continue;
    const double u = std::log(s.a), v = std::log(left);
    ++n, x += u, y += v, xx += u * u, xy += u * v;
  }
  if (n < 3) return {};
  return -(n * xy - x * y) / (n * xx - x * x);
}

// Says whether a^2 (L(a w) - L(far w)) keeps its sign from a = 1 on, and the largest is less than 1.5 times the smallest.
bool shrinks_as_eps(const std::vector<LossAtLength>& losses, double limit) {
  std::vector<double> constants;
  for (const LossAtLength& s : losses) {
    if (s.a >= 1 && is_clear(s.loss - limit, limit)) constants.push_back(s.a * s.a * (s.loss - limit));
  }
  if (constants.size() < 3) return false;
  const auto [least, most] = std::minmax_element(constants.begin(), constants.end());
  return *least * *most > 0 && std::max(*most / *least, *least / *most) < 1.5;
}

void judge_by_numbers(Judged& judged, Subject& subject, const data::Batch& batch, const Tensor& w) {
  const int64_t rows = channels_of(w);
  optim::RowSums all;
  for (const optim::RowSums& row : channel_sums(w)) {
    all += row;
    judged.channel_slope += std::abs(row.pg);
    judged.channel_radial = std::max(judged.channel_radial, cosine(row));
  }
  judged.norm = std::sqrt(all.pp);
  judged.gradient_norm = std::sqrt(all.gg);
  judged.slope = std::abs(all.pg);
  judged.radial = cosine(all);

  NoGrad no_grad;
  const Tensor before = w.detach().clone();
  const auto loss_with = [&](const Tensor& factor) {
    w.copy_(before * factor);
    return subject.loss(batch).item();
  };
  const auto whole = [&](double a) { return Tensor::of<double>({}, {a}).to(w.dtype()); };
  for (double a : grid) judged.losses.push_back({a, loss_with(whole(a))});
  const double limit = loss_with(whole(far_away));
  judged.residue = std::abs(judged.loss - limit);
  judged.residue_order = order_of(judged.losses, limit);
  judged.residue_is_of_eps = shrinks_as_eps(judged.losses, limit);
  Philox generator(1);
  std::vector<bool> chosen;
  for (int64_t row = 0; row < rows; ++row) chosen.push_back(row < 2 ? row == 0 : generator.bernoulli(0.5));
  for (double a : factors) {
    Shape shape = w.shape();
    for (int axis = 1; axis < shape.rank(); ++axis) shape[axis] = 1;
    std::vector<double> by_row;
    for (bool is_chosen : chosen) by_row.push_back(is_chosen ? a : 1);
    judged.channel_losses.push_back({a, loss_with(Tensor::of<double>(shape, by_row).to(w.dtype()))});
  }
  w.copy_(before);
}

// One more batch, whose gradients the parameter has.
void judge_by_cosine(Judged& judged, const Tensor& w, double delta) {
  if (w.rank() < 2 || w.numel() == 0) return;
  const auto sums = channel_sums(w);
  const int64_t length = w.numel() / w.size(0);
  const optim::UpdateInfo info = optim::projected_update(
      w.shape(), {.delta = delta, .wd_ratio = 1, .eps = 1e-8},
      [&](int64_t begin, int64_t) { return sums[size_t(begin / length)]; }, [](int64_t, int64_t, optim::Removal) {});
  for (const auto& row : sums) judged.channel_cosines.push_back(cosine(row) * std::sqrt(double(length)));
  judged.layer_cosines.push_back(info.layer_cosine * std::sqrt(double(w.numel())));
  const double n = double(judged.layer_cosines.size());
  const auto add = [n](double& rate, bool hit) { rate = (n > 1 ? rate * (n - 1) / n : 0) + double(hit) / n; };
  add(judged.channel_hit_rate, info.channel_cosine < delta / std::sqrt(double(length)));
  add(judged.layer_hit_rate, info.layer_cosine < delta / std::sqrt(double(w.numel())));
}

double largest_change(const std::vector<LossAtLength>& losses, double loss) {
  double change = 0;
  for (const LossAtLength& s : losses) {
    if (std::find(factors.begin(), factors.end(), s.a) == factors.end()) continue;
    const double now = std::abs(s.loss - loss);
    if (!(now <= change)) change = now;  // NaN counts as the largest
    if (std::isnan(now)) return INFINITY;
  }
  return change;
}

}  // namespace

std::optional<View> Judged::structure() const {
  if (by_channel.invariant()) return View::channel;
  if (by_layer.invariant()) return View::layer;
  if (by_layer.kind == ScaleDependence::Kind::unknown) return {};
  return View::none;
}

double Judged::change() const { return largest_change(losses, loss); }
double Judged::channel_change() const { return largest_change(channel_losses, loss); }

std::optional<View> Judged::numbers() const {
  if (norm == 0) return {};
  const double small = tolerance * std::max(loss, 1e-3);
  const auto still = [small](double change_of_loss, double slope_there, double cosine_there) {
    return change_of_loss <= small && (cosine_there <= 0.01 || slope_there <= small);
  };
  if (!still(change(), slope, radial)) return View::none;
  return still(channel_change(), channel_slope, channel_radial) ? View::channel : View::layer;
}

std::optional<View> Judged::cosine() const {
  if (layer_cosines.empty()) return {};
  return channel_hit_rate >= 0.5 ? View::channel : layer_hit_rate >= 0.5 ? View::layer : View::none;
}

bool Judged::contradicted() const {
  const auto by_graph = structure();
  return by_graph && *by_graph != View::none && numbers() == View::none && !residue_is_of_eps;
}

View Judged::verdict() const {
  const auto by_graph = structure();
  return by_graph && !contradicted() ? *by_graph : numbers().value_or(View::none);
}

std::vector<Judged> judge_invariance(const nn::Module& network, const std::vector<data::Batch>& batches,
                                     const InvarianceOptions& options) {
  if (batches.empty()) fail("invariance: there is no batch to judge on");
  Subject subject(network, options);
  const data::Batch few = first_images(batches[0], options.images);
  const auto parameters = subject.model().parameters();
  std::vector<Judged> all;
  const Tensor loss = subject.loss(few);
  if (!std::isfinite(loss.item())) {
    throw DivergedError(
        fmt::format("the loss of these weights is not finite, so their lengths cannot be judged; the first number "
                    "that is not finite is {}",
                    first_bad_layer(subject.model(), few.images)));
  }
  for (const Parameter& parameter : parameters) {
    Judged& judged = all.emplace_back();
    judged.name = parameter.name;
    judged.shape = parameter.tensor.shape();
    judge_by_structure(judged, loss, parameter.tensor);
  }
  for (const data::Batch& batch : batches) {
    subject.backward(batch);
    for (size_t i = 0; i < all.size(); ++i) judge_by_cosine(all[i], parameters[i].tensor, options.delta);
  }
  subject.backward(few);
  for (size_t i = 0; i < all.size(); ++i) {
    all[i].loss = loss.item();
    judge_by_numbers(all[i], subject, few, parameters[i].tensor);
  }
  return all;
}

}  // namespace az::experiments
