#include <algorithm>
#include <cmath>
#include <vector>

#include "core/backend/onednn/onednn.h"
#include "core/backend/reorder.h"
#include "core/kernels/lanes.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // as in lanes.h

// Two passes over memory each way: sums, then elements; residual, ReLU and the sum of two gradients are taken along. They run
// as fast as memory does (measured: neither prefetching nor more accumulators nor streaming stores nor another order is
// faster).
namespace az {
namespace {

// Sums are kept in f32 over so many vectors, in f64 beyond.
constexpr int64_t run_length = 64;

// Vectors of lanes that belong to the same channels: `whole` ones, then `parts` of which the first `rest` lanes count. They
// begin at element `first` and come every `stride` elements.
struct Plane {
  int64_t first, stride, whole, parts, rest;
  int64_t channel;  // of lane 0
  int64_t values;   // of each channel

  // Calls f(first element, Whole or Part) for vectors [begin, end).
  template <class F> AZ_INLINE void each(int64_t begin, int64_t end, F f) const {
    for (int64_t v = begin; v < std::min(whole, end); ++v) f(first + v * stride, Whole{});
    for (int64_t v = std::max(whole, begin); v < end; ++v) f(first + v * stride, Part{rest});
  }
  template <class F> AZ_INLINE void each(F f) const { each(0, whole + parts, f); }
  // Calls f(begin, end) for runs of vectors.
  template <class F> AZ_INLINE void each_run(F f) const {
    for (int64_t v = 0; v < whole + parts; v += run_length) f(v, std::min(whole + parts, v + run_length));
  }
};

// An [n,c,h,w] as it lies, as a row of planes. In blocks of channels, a plane is one image's block, its lane i the block's
// channel i % block. Channels last, and single pixels in rows, it is a run of pixels of 16 channels.
struct Planes {
  int64_t block, blocks, count;

  explicit Planes(const Tensor& x) : pixels_(x.size(2) * x.size(3)), channels_(x.size(1)) {
    block = block_of(x.layout(), channels_);
    if (block == 1 && pixels_ == 1) block = channels_;
    in_rows_ = block != 1 && block != 4 && block != 8 && block != lane_count;
    if (in_rows_) block = lane_count;
    blocks = (channels_ + block - 1) / block;
    rows_ = x.size(0) * pixels_;
    count = blocks * (in_rows_ ? (rows_ + run_length - 1) / run_length : x.size(0));
  }
  int64_t channels() const { return blocks * block; }                             // padding included
  int64_t elements() const { return (in_rows_ ? run_length : pixels_) * block; }  // of a plane, at the most

  AZ_INLINE Plane operator[](int64_t i) const {
    const int64_t channel = i % blocks * block;
    if (in_rows_) {
      const int64_t row = i / blocks * run_length, rows = std::min(run_length, rows_ - row);
      const int64_t width = std::min(lane_count, channels_ - channel);
      const bool full = width == lane_count;
      return {row * channels_ + channel, channels_, full ? rows : 0, full ? 0 : rows, width, channel, rows};
    }
    const int64_t size = pixels_ * block, rest = size % lane_count;
    return {i * size, lane_count, size / lane_count, rest > 0, rest, channel, pixels_};
  }

 private:
  int64_t pixels_, channels_, rows_;
  bool in_rows_;
};

// The planes in slices that the number of threads has no part in: sums are always taken in the same order.
struct Slices {
  struct Range {
    int64_t begin, end;
  };
  static constexpr int64_t least_elements = 1 << 15, most = 64;

  explicit Slices(const Planes& planes) : planes_(planes.count) {
    auto parts = [](int64_t whole, int64_t part) { return (whole + part - 1) / std::max<int64_t>(part, 1); };
    each_ = std::max({int64_t(1), parts(least_elements, planes.elements()), parts(planes_, most)});
    count = parts(planes_, each_);
  }
  Range operator[](int64_t slice) const { return {slice * each_, std::min(planes_, (slice + 1) * each_)}; }

  int64_t count;

 private:
  int64_t planes_, each_;
};

// A block's values, one a channel, for the lanes that they belong to.
AZ_INLINE Lanes spread(const float* values, int64_t block) {
  if (block == lane_count) return load(values);
  Lanes v{};
  for (int64_t lane = 0; lane < lane_count; ++lane) v[lane] = values[lane & (block - 1)];
  return v;
}

// The reverse: adds each lane to its channel.
template <class Sum> AZ_INLINE void add_lanes(double* sums, const Sum& v, int64_t block) {
  if (block == lane_count) {
    WideLanes total;
    std::memcpy(&total, sums, sizeof total);
    total += __builtin_convertvector(v, WideLanes);
    std::memcpy(sums, &total, sizeof total);
    return;
  }
  for (int64_t lane = 0; lane < lane_count; ++lane) sums[lane & (block - 1)] += double(v[lane]);
}

// What a slice knows of each channel: of `count` values x, the sums of x - centre and of its square. A centre near the values
// keeps the digits of a small variance about a large mean.
struct Moments {
  std::vector<double> count, sum, squares;
  std::vector<float> centre;

  explicit Moments(int64_t channels = 0)
      : count(size_t(channels)), sum(size_t(channels)), squares(size_t(channels)), centre(size_t(channels)) {}
};

// About the mean of the first run.
template <class T> AZ_INLINE void choose_centre(const T* x, const Plane& plane, int64_t block, float* centre) {
  const int64_t end = std::min(run_length, plane.whole + plane.parts);
  Lanes total{};
  plane.each(0, end, [&](int64_t i, auto part) AZ_INLINED { total += load(x + i, part); });
  double sums[lane_count] = {};
  add_lanes(sums, total, block);
  const int64_t values = end <= plane.whole ? end * lane_count / block : plane.values;
  for (int64_t c = 0; c < block; ++c) centre[c] = float(sums[c] / double(values));
}

// Sum: Lanes, or WideLanes where squares overflow f32 or vanish in it.
template <class Sum, class T>
AZ_MULTIVERSION void add_moments(const T* x, const Planes& p, Slices::Range slice, Moments& moments) {
  for (int64_t i = slice.begin; i < slice.end; ++i) {
    const Plane plane = p[i];
    const auto channel = size_t(plane.channel);
    if (i < slice.begin + p.blocks) choose_centre(x, plane, p.block, &moments.centre[channel]);
    const Lanes centre = spread(&moments.centre[channel], p.block);
    plane.each_run([&](int64_t begin, int64_t end) AZ_INLINED {
      Sum sum{}, squares{};
      plane.each(begin, end, [&](int64_t k, auto part) AZ_INLINED {
        const Sum d = __builtin_convertvector(load(x + k, part, centre), Sum) - __builtin_convertvector(centre, Sum);
        sum += d;
        squares += d * d;
      });
      add_lanes(&moments.sum[channel], sum, p.block);
      add_lanes(&moments.squares[channel], squares, p.block);
    });
    for (size_t c = 0; c < size_t(p.block); ++c) moments.count[channel + c] += double(plane.values);
  }
}

// y = (x - centre) * scale + shift, by channel, padding included (where all are 0).
struct Affine {
  std::vector<float> centre, scale, shift;
  explicit Affine(int64_t channels) : centre(size_t(channels)), scale(size_t(channels)), shift(size_t(channels)) {}

  struct Block {
    Lanes centre, scale, shift;
    AZ_INLINE Lanes operator()(const Lanes& x) const { return (x - centre) * scale + shift; }
  };
  AZ_INLINE Block of(int64_t channel, int64_t block) const {
    const auto c = size_t(channel);
    return {spread(&centre[c], block), spread(&scale[c], block), spread(&shift[c], block)};
  }
};

// The centre is the mean as f32 has it; what that lacks goes into the shift.
Affine affine_of(const Planes& p, const NormTensors& norm, double eps) {
  Affine affine(p.channels());
  const auto means = norm.mean.to_vector<double>(), variances = norm.var.to_vector<double>();
  const auto gamma = norm.gamma.to_vector<double>(), beta = norm.beta.to_vector<double>();
  for (size_t c = 0; c < means.size(); ++c) {
    const double scale = gamma[c] / std::sqrt(variances[c] + eps);
    affine.centre[c] = float(means[c]);
    affine.scale[c] = float(scale);
    affine.shift[c] = float(beta[c] - (means[c] - double(affine.centre[c])) * scale);
  }
  return affine;
}

template <class T> struct Normalisation {
  const T *x, *residual;  // residual may be null
  T* y;
  bool relu;
};

template <class T>
AZ_MULTIVERSION void normalise(const Normalisation<T>& n, const Planes& p, Slices::Range slice, const Affine& affine) {
  for (int64_t i = slice.begin; i < slice.end; ++i) {
    const Plane plane = p[i];
    const Affine::Block f = affine.of(plane.channel, p.block);
    plane.each([&](int64_t k, auto part) AZ_INLINED {
      Lanes v = f(load(n.x + k, part));
      if (n.residual) v += load(n.residual + k, part);
      store(n.y + k, part, n.relu ? positive_part(v) : v);
    });
  }
}

// The gradient of y as it arrives, and what passes the ReLU of it.
template <class T> struct Upstream {
  const T *g, *more;  // their sum; more may be null
  const T *x, *y;     // y: the result, where there was a residual
  bool relu;
  T* passed;  // where to write what passes; may be g's or more's own memory, or null

  AZ_INLINE Lanes passing(int64_t i, auto part, const Lanes& value, const Affine::Block& affine) const {
    Lanes v = load(g + i, part);
    if (more) v += load(more + i, part);
    if (!relu) return v;
    return (y ? load(y + i, part) : affine(value)) > 0 ? v : Lanes{};
  }
};

// By channel, of the gradient g that passes: the sums of g and of g (x - centre) rstd, whose factors balance each other.
struct GradientSums {
  std::vector<double> g, product;
  explicit GradientSums(int64_t channels = 0) : g(size_t(channels)), product(size_t(channels)) {}
};

template <class T> AZ_MULTIVERSION void add_gradients(const Upstream<T>& up, const Planes& p, Slices::Range slice,
                                                      const Affine& affine, const std::vector<float>& rstd,
                                                      GradientSums& sums) {
  for (int64_t i = slice.begin; i < slice.end; ++i) {
    const Plane plane = p[i];
    const Affine::Block f = affine.of(plane.channel, p.block);
    const Lanes scale = spread(&rstd[size_t(plane.channel)], p.block);
    plane.each_run([&](int64_t begin, int64_t end) AZ_INLINED {
      Lanes sum{}, product{};
      plane.each(begin, end, [&](int64_t k, auto part) AZ_INLINED {
        const Lanes x = load(up.x + k, part, f.centre), g = up.passing(k, part, x, f);
        if (up.passed) store(up.passed + k, part, g);
        sum += g;
        product += g * ((x - f.centre) * scale);
      });
      add_lanes(&sums.g[size_t(plane.channel)], sum, p.block);
      add_lanes(&sums.product[size_t(plane.channel)], product, p.block);
    });
  }
}

// By channel: dx = (g + (x - centre) rstd slope + shift) factor, without the middle two by constant statistics: a 0 would not
// rid them of NaN.
struct ToInput {
  std::vector<float> factor, rstd, slope, shift;
  bool of_x;
  ToInput(int64_t channels, bool takes_x)
      : factor(size_t(channels)), rstd(size_t(channels)), slope(size_t(channels)), shift(size_t(channels)), of_x(takes_x) {}
};

template <class T> AZ_MULTIVERSION void differentiate(const Upstream<T>& up, T* dx, const Planes& p, Slices::Range slice,
                                                      const Affine& forward, const ToInput& to) {
  for (int64_t i = slice.begin; i < slice.end; ++i) {
    const Plane plane = p[i];
    const Affine::Block f = forward.of(plane.channel, p.block);
    const auto of = [&](const std::vector<float>& v) AZ_INLINED { return spread(&v[size_t(plane.channel)], p.block); };
    const Lanes factor = of(to.factor), rstd = of(to.rstd), slope = of(to.slope), shift = of(to.shift);
    plane.each([&](int64_t k, auto part) AZ_INLINED {
      const Lanes x = load(up.x + k, part), g = up.passing(k, part, x, f);
      store(dx + k, part, (to.of_x ? (x - f.centre) * rstd * slope + (g + shift) : g) * factor);
    });
  }
}

// Calls f(slice) for each, in parallel.
template <class F> void each_slice(const Slices& slices, F f) {
  parallel_for(slices.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  });
}

// Mean and biased variance by channel, f64 [c]. Sums in f32 do for standard deviations from 1e-14 to 1e18.
template <class T, class Sum = Lanes> std::pair<Tensor, Tensor> statistics_of(const Tensor& x, const Planes& p, double eps) {
  const Slices slices(p);
  std::vector<Moments> moments(size_t(slices.count), Moments(p.channels()));
  each_slice(slices, [&](int64_t i) { add_moments<Sum>(static_cast<const T*>(x.raw()), p, slices[i], moments[size_t(i)]); });
  const int64_t channels = x.size(1);
  const double count = double(x.numel() / channels);
  std::vector<double> mean(size_t(channels), 0), variance(size_t(channels), 0);
  for (const Moments& m : moments) {
    for (size_t c = 0; c < mean.size(); ++c) mean[c] += (m.sum[c] + m.count[c] * double(m.centre[c])) / count;
  }
  for (const Moments& m : moments) {
    for (size_t c = 0; c < mean.size(); ++c) {
      const double off = double(m.centre[c]) - mean[c];
      variance[c] += (m.squares[c] + off * (2 * m.sum[c] + off * m.count[c])) / count;
    }
  }
  for (double& v : variance) v = v < 0 ? 0 : v;
  if constexpr (std::is_same_v<Sum, Lanes>) {
    const auto is_lost = [eps](double v) { return !(v < 1e36) || (v < 1e-28 && eps < 1e-24); };
    if (std::any_of(variance.begin(), variance.end(), is_lost)) return statistics_of<T, WideLanes>(x, p, eps);
  }
  return {Tensor::of<double>({channels}, mean), Tensor::of<double>({channels}, variance)};
}

template <class T> BatchNormResult forward(const Tensor& x, NormTensors norm, const BatchNormParams& params, const Then& then) {
  const Planes p(x);
  const Slices slices(p);
  if (params.training) std::tie(norm.mean, norm.var) = statistics_of<T>(x, p, params.eps);
  const Affine affine = affine_of(p, norm, params.eps);
  BatchNormResult result{Tensor::empty(x.shape(), x.dtype(), x.layout()), norm.mean, norm.var};
  const Tensor added = then.residual.defined() ? laid_out(then.residual, x.layout()) : Tensor();
  const Normalisation<T> n{static_cast<const T*>(x.raw()), added.defined() ? static_cast<const T*>(added.raw()) : nullptr,
                           static_cast<T*>(result.y.raw()), then.relu};
  each_slice(slices, [&](int64_t i) { normalise(n, p, slices[i], affine); });
  return result;
}

// A part of the gradient in the layout of x, and whether its memory may be written over.
struct Addend {
  Tensor tensor;
  bool free = false;
  Addend(const Tensor& g, const Layout* layout) {
    if (!g.defined()) return;
    free = g.is_unshared() || g.layout() != layout;
    tensor = laid_out(g, layout);
  }
};

// With xhat = (x - mean) / sqrt(var + eps), over the m values of a channel, g being what passes the ReLU:
// dbeta = sum g, dgamma = sum g xhat, dx = gamma / sqrt(var + eps) (g - (dbeta + xhat dgamma) / m), dresidual = g.
// By constant statistics, the terms over m vanish.
template <class T> BatchNormGradients backward(const Tensor& g, const Tensor& more, const BatchNormForward& forward) {
  const Tensor& x = forward.x;
  const double eps = forward.params.eps;
  const Planes p(x);
  const Slices slices(p);
  const Addend first(g, x.layout()), second(more, x.layout());
  const bool with_residual = forward.y.defined(), writes = with_residual || second.tensor.defined();
  Tensor passed = first.tensor;
  auto fresh = [&] { return Tensor::empty(x.shape(), x.dtype(), x.layout()); };
  if (writes && !first.free) passed = second.free ? second.tensor : fresh();
  Tensor dx;
  if (with_residual)
    dx = second.free && !second.tensor.same(passed) ? second.tensor : fresh();
  else
    dx = writes || first.free ? passed : fresh();

  auto raw = [](const Tensor& t) { return t.defined() ? static_cast<T*>(t.raw()) : nullptr; };
  Upstream<T> up{raw(first.tensor), raw(second.tensor), raw(x), raw(forward.y), forward.relu, writes ? raw(passed) : nullptr};
  const Affine affine = affine_of(p, forward.norm, eps);
  ToInput to(p.channels(), forward.params.training);
  const int64_t channels = x.size(1);
  const auto means = forward.norm.mean.to_vector<double>(), variances = forward.norm.var.to_vector<double>();
  const auto gamma = forward.norm.gamma.to_vector<double>();
  std::vector<double> rstd;
  for (size_t c = 0; c < size_t(channels); ++c) {
    rstd.push_back(1 / std::sqrt(variances[c] + eps));
    to.rstd[c] = float(rstd[c]);
    to.factor[c] = float(gamma[c] * rstd[c]);
  }
  std::vector<GradientSums> parts(size_t(slices.count), GradientSums(p.channels()));
  each_slice(slices, [&](int64_t i) { add_gradients(up, p, slices[i], affine, to.rstd, parts[size_t(i)]); });
  GradientSums sums(p.channels());
  for (const GradientSums& part : parts) {
    for (size_t c = 0; c < sums.g.size(); ++c) {
      sums.g[c] += part.g[c];
      sums.product[c] += part.product[c];
    }
  }

  const double count = double(x.numel() / channels);
  BatchNormGradients result{dx, Tensor::empty({channels}), Tensor::empty({channels}), with_residual ? passed : Tensor()};
  for (size_t c = 0; c < size_t(channels); ++c) {
    // xhat = (x - centre) rstd - off
    const double off = (means[c] - double(affine.centre[c])) * rstd[c], dgamma = sums.product[c] - off * sums.g[c];
    to.slope[c] = float(-dgamma / count);
    to.shift[c] = float(-sums.g[c] / count + off * dgamma / count);
    static_cast<float*>(result.gamma.raw())[c] = float(dgamma);
    static_cast<float*>(result.beta.raw())[c] = float(sums.g[c]);
  }
  if (writes) up = {raw(passed), nullptr, raw(x), nullptr, false, nullptr};
  each_slice(slices, [&](int64_t i) { differentiate(up, raw(dx), p, slices[i], affine, to); });
  return result;
}

}  // namespace

BatchNormResult OneDnn::batch_norm(const Tensor& x, const NormTensors& norm, const BatchNormParams& params, const Then& then) {
  return x.dtype() == DType::bf16 ? forward<bf16>(x, norm, params, then) : forward<float>(x, norm, params, then);
}

BatchNormGradients OneDnn::batch_norm_backward(const Tensor& g, const Tensor& more, const BatchNormForward& forward) {
  return forward.x.dtype() == DType::bf16 ? backward<bf16>(g, more, forward) : backward<float>(g, more, forward);
}

}  // namespace az
