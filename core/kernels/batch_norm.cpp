#include "core/kernels/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "core/kernels/lanes.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // as in lanes.h

// The passes run as fast as memory does (measured: neither prefetching nor more accumulators nor streaming stores nor another
// order is faster).
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

// Images as a row of planes. In blocks of channels, a plane is one image's block, its lane i the block's
// channel i % block. Channels last, and single pixels in rows, it is a run of pixels of 16 channels.
struct Planes {
  int64_t block, blocks, count;

  explicit Planes(const ImageShape& shape) : block(shape.block), pixels_(shape.h * shape.w), channels_(shape.c) {
    if (block == 1 && pixels_ == 1) block = channels_;
    in_rows_ = block != 1 && block != 4 && block != 8 && block != lane_count;
    if (in_rows_) block = lane_count;
    blocks = (channels_ + block - 1) / block;
    rows_ = shape.values();
    count = blocks * (in_rows_ ? (rows_ + run_length - 1) / run_length : shape.n);
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
Affine affine_of(const Planes& p, const BatchNormChannels& channels) {
  Affine affine(p.channels());
  const auto& [mean, var] = channels.statistics;
  for (size_t c = 0; c < mean.size(); ++c) {
    const double scale = channels.gamma[c] / std::sqrt(var[c] + channels.eps);
    affine.centre[c] = float(mean[c]);
    affine.scale[c] = float(scale);
    affine.shift[c] = float(channels.beta[c] - (mean[c] - double(affine.centre[c])) * scale);
  }
  return affine;
}

template <class T>
AZ_MULTIVERSION void normalise(const BatchNormArrays<T>& n, const Planes& p, Slices::Range slice, const Affine& affine) {
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

// What passes the ReLU of the gradient at element i; value is x there.
template <class T> AZ_INLINE Lanes passing(const BatchNormGradientArrays<T>& up, int64_t i, auto part, const Lanes& value,
                                           const Affine::Block& f) {
  Lanes v = load(up.g + i, part);
  if (up.more) v += load(up.more + i, part);
  if (!up.relu) return v;
  return (up.y ? load(up.y + i, part) : f(value)) > 0 ? v : Lanes{};
}

// Sums for each channel, over the gradient g that passes: of g, and of g (x - centre) rstd; rstd balances x - centre.
struct GradientSums {
  std::vector<double> g, product;
  explicit GradientSums(int64_t channels = 0) : g(size_t(channels)), product(size_t(channels)) {}
};

template <class T> AZ_MULTIVERSION void add_gradients(const BatchNormGradientArrays<T>& up, const Planes& p,
                                                      Slices::Range slice, const Affine& affine, const std::vector<float>& rstd,
                                                      GradientSums& sums) {
  for (int64_t i = slice.begin; i < slice.end; ++i) {
    const Plane plane = p[i];
    const Affine::Block f = affine.of(plane.channel, p.block);
    const Lanes scale = spread(&rstd[size_t(plane.channel)], p.block);
    plane.each_run([&](int64_t begin, int64_t end) AZ_INLINED {
      Lanes sum{}, product{};
      plane.each(begin, end, [&](int64_t k, auto part) AZ_INLINED {
        const Lanes x = load(up.x + k, part, f.centre), g = passing(up, k, part, x, f);
        if (up.passed) store(up.passed + k, part, g);
        sum += g;
        product += g * ((x - f.centre) * scale);
      });
      add_lanes(&sums.g[size_t(plane.channel)], sum, p.block);
      add_lanes(&sums.product[size_t(plane.channel)], product, p.block);
    });
  }
}

// The factors of each channel in dx = (g + (x - centre) rstd slope + shift) factor. Constant statistics leave out the middle
// two terms: factors of 0 would not rid them of NaN.
struct ToInput {
  std::vector<float> factor, rstd, slope, shift;
  bool of_x;
  ToInput(int64_t channels, bool takes_x)
      : factor(size_t(channels)), rstd(size_t(channels)), slope(size_t(channels)), shift(size_t(channels)), of_x(takes_x) {}
};

template <class T> AZ_MULTIVERSION void differentiate(const BatchNormGradientArrays<T>& up, const Planes& p,
                                                      Slices::Range slice, const Affine& forward, const ToInput& to) {
  for (int64_t i = slice.begin; i < slice.end; ++i) {
    const Plane plane = p[i];
    const Affine::Block f = forward.of(plane.channel, p.block);
    const auto of = [&](const std::vector<float>& v) AZ_INLINED { return spread(&v[size_t(plane.channel)], p.block); };
    const Lanes factor = of(to.factor), rstd = of(to.rstd), slope = of(to.slope), shift = of(to.shift);
    plane.each([&](int64_t k, auto part) AZ_INLINED {
      const Lanes x = load(up.x + k, part), g = passing(up, k, part, x, f);
      store(up.dx + k, part, (to.of_x ? (x - f.centre) * rstd * slope + (g + shift) : g) * factor);
    });
  }
}

// Calls f(slice) for each, in parallel.
template <class F> void each_slice(const Slices& slices, F f) {
  parallel_for(slices.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  });
}

// Sums in f32 do for standard deviations from 1e-14 to 1e18.
template <class Sum, class T> BatchNormStatistics statistics_of(const T* x, const ImageShape& shape, double eps) {
  const Planes p(shape);
  const Slices slices(p);
  std::vector<Moments> moments(size_t(slices.count), Moments(p.channels()));
  each_slice(slices, [&](int64_t i) { add_moments<Sum>(x, p, slices[i], moments[size_t(i)]); });
  const double count = double(shape.values());
  std::vector<double> mean(size_t(shape.c), 0), variance(size_t(shape.c), 0);
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
    if (std::any_of(variance.begin(), variance.end(), is_lost)) return statistics_of<WideLanes>(x, shape, eps);
  }
  return {std::move(mean), std::move(variance)};
}

}  // namespace

template <class T> BatchNormStatistics batch_norm_statistics(const T* x, const ImageShape& shape, double eps) {
  return statistics_of<Lanes>(x, shape, eps);
}

template <class T>
void batch_norm_forward(const BatchNormArrays<T>& arrays, const ImageShape& shape, const BatchNormChannels& channels) {
  const Planes p(shape);
  const Slices slices(p);
  const Affine affine = affine_of(p, channels);
  each_slice(slices, [&](int64_t i) { normalise(arrays, p, slices[i], affine); });
}

template <class T> BatchNormChannelGradients batch_norm_backward(const BatchNormGradientArrays<T>& arrays,
                                                                 const ImageShape& shape, const BatchNormChannels& channels,
                                                                 bool training) {
  const Planes p(shape);
  const Slices slices(p);
  const Affine affine = affine_of(p, channels);
  const auto& [mean, var] = channels.statistics;
  ToInput to(p.channels(), training);
  std::vector<double> rstd;
  for (size_t c = 0; c < mean.size(); ++c) {
    rstd.push_back(1 / std::sqrt(var[c] + channels.eps));
    to.rstd[c] = float(rstd[c]);
    to.factor[c] = float(channels.gamma[c] * rstd[c]);
  }
  std::vector<GradientSums> parts(size_t(slices.count), GradientSums(p.channels()));
  each_slice(slices, [&](int64_t i) { add_gradients(arrays, p, slices[i], affine, to.rstd, parts[size_t(i)]); });
  GradientSums sums(p.channels());
  for (const GradientSums& part : parts) {
    for (size_t c = 0; c < sums.g.size(); ++c) {
      sums.g[c] += part.g[c];
      sums.product[c] += part.product[c];
    }
  }

  const double count = double(shape.values());
  BatchNormChannelGradients result{std::vector<double>(mean.size()), std::vector<double>(mean.size())};
  for (size_t c = 0; c < mean.size(); ++c) {
    // xhat = (x - centre) rstd - off
    const double off = (mean[c] - double(affine.centre[c])) * rstd[c], dgamma = sums.product[c] - off * sums.g[c];
    to.slope[c] = float(-dgamma / count);
    to.shift[c] = float(-sums.g[c] / count + off * dgamma / count);
    result.gamma[c] = dgamma;
    result.beta[c] = sums.g[c];
  }
  BatchNormGradientArrays<T> rest = arrays;
  if (arrays.passed) rest = {arrays.passed, nullptr, arrays.x, nullptr, false, nullptr, arrays.dx};
  each_slice(slices, [&](int64_t i) { differentiate(rest, p, slices[i], affine, to); });
  return result;
}

#define AZ_FOR(T)                                                                                              \
  template BatchNormStatistics batch_norm_statistics(const T*, const ImageShape&, double);                     \
  template void batch_norm_forward(const BatchNormArrays<T>&, const ImageShape&, const BatchNormChannels&);    \
  template BatchNormChannelGradients batch_norm_backward(const BatchNormGradientArrays<T>&, const ImageShape&, \
                                                         const BatchNormChannels&, bool);
AZ_FOR(float)
AZ_FOR(bf16)
#undef AZ_FOR

}  // namespace az
