#include <algorithm>
#include <vector>

#include "core/base/threads.h"
#include "core/kernels/winograd.h"
#include "core/kernels/winograd_tile.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // as in winograd_tile.h

namespace az::winograd {
namespace {

template <class T> struct Problem {
  ImageShape x, y;
  Size2 padding;
  const T *from, *gradient;
  int64_t first, outputs;  // the group of outputs that is summed
  float* sums;             // [36, rows_of(inputs), outputs]

  int64_t inputs() const { return Pixels(x).channels(); }
};

// The rows of the sums: one for each input, and as many that nobody reads as fill the last product.
int64_t rows_of(int64_t inputs) { return inputs + 15; }

// The part of a group's sums that one thread forms, over all tiles: of some rows of the transformed tiles, and of some outputs.
// Every sum is formed in one place, in one order, however they are shared out.
struct Share {
  Rows rows;
  int64_t first, outputs;

  // Transformed tiles as Numbers: [rows.count * 6, apart(summed_together), row_of(inputs)] and [rows.count * 6,
  // apart(summed_together), row_of(outputs)].
  int64_t images(int64_t inputs) const { return rows.count * side * apart(summed_together) * row_of(inputs); }
  int64_t scratch(int64_t inputs) const {
    return images(inputs) + rows.count * side * apart(summed_together) * row_of(outputs);
  }
};

// Makes at most as many shares as there are threads, so that the largest is as small as can be. Of such divisions it takes one
// with few ranges of outputs, as all inputs are transformed again for each range.
std::vector<Share> shares_of(int64_t outputs, int width, int threads) {
  const int64_t chunk = outputs_together(width), chunks = (outputs + chunk - 1) / chunk;
  int64_t rows = side, each = chunks;  // of the largest share, `each` in chunks
  for (const int64_t parts : {6, 3, 2, 1}) {
    if (parts > threads) continue;
    const int64_t groups = std::min<int64_t>(threads / parts, chunks), most = (chunks + groups - 1) / groups;
    if (side / parts * most < rows * each) rows = side / parts, each = most;
  }
  std::vector<Share> shares;
  for (int64_t first = 0; first < outputs; first += each * chunk) {
    for (int row = 0; row < side; row += int(rows))
      shares.push_back({{row, int(rows)}, first, std::min(each * chunk, outputs - first)});
  }
  return shares;
}

// Outputs that are summed together, in shares of which none is larger than the first.
struct Group {
  int64_t first, outputs;
  std::vector<Share> shares;

  // The number of floats that it works in: its sums, and the transformed tiles of all its shares.
  int64_t scratch(int64_t inputs) const { return sums(inputs) + int64_t(shares.size()) * shares[0].scratch(inputs); }
  int64_t sums(int64_t inputs) const { return points * rows_of(inputs) * outputs; }
};

// Makes as few groups as have sums of 20 MB or less each; a group has one chunk of outputs at least. The sums of 512 channels
// by 512 would take twice that, at the time when a network holds the most activations. Every group transforms all inputs again.
std::vector<Group> groups_of(int64_t inputs, int64_t outputs, int width) {
  const auto parts = [](int64_t all, int64_t each) { return (all + each - 1) / each; };
  const int64_t chunk = outputs_together(width), chunks = parts(outputs, chunk);
  const int64_t most = std::max<int64_t>(1, (5 << 20) / (points * rows_of(inputs)) / chunk);
  const int64_t each = parts(chunks, parts(chunks, most)) * chunk;
  std::vector<Group> groups;
  for (int64_t first = 0; first < outputs; first += each) {
    const int64_t count = std::min(each, outputs - first);
    groups.push_back({first, count, shares_of(count, width, thread_count())});
  }
  return groups;
}

template <class By> struct SumKernel {
  using Number = typename By::Number;
  // Transforms `count` tiles from `first` on.
  template <int W, class T> static AZ_INLINE void transform_tiles(const Problem<T>& p, const Share& s, int64_t first,
                                                                  int64_t count, Number* images, Number* gradients) {
    const Tiles tiles(p.y);
    const Pixels x(p.x), y(p.y);
    const int64_t x_row = row_of(x.channels()), y_row = row_of(s.outputs);
    for (int64_t t = 0; t < count; ++t) {
      const Tiles::Place at = tiles[first + t], next = tiles[std::min(first + t + 1, tiles.count - 1)];
      const auto to = [&](Number* number) AZ_INLINED {
        if constexpr (By::each == 1)
          return ToFloats{number};
        else
          return ToPairs{number, t % 2 == 1};
      };
      transform_tile<W, side>(
          p.from, x, at, next, p.padding, 0, x.channels(),
          [](const Vector<W>* d, Vector<W>* l) AZ_INLINED { image_lines(d, l); }, s.rows, to(images + t / By::each * x_row),
          apart(summed_together) * x_row);
      transform_tile<W, step>(
          p.gradient, y, at, next, 0, p.first + s.first, s.outputs,
          [](const Vector<W>* d, Vector<W>* l) AZ_INLINED { gradient_lines(d, l); }, s.rows,
          to(gradients + t / By::each * y_row), apart(summed_together) * y_row);
    }
  }

  // Adds the products of `count` Numbers of tiles to the sums of one point, for N * W outputs, or writes them where `fresh`.
  template <int W, int N> static AZ_INLINE void add(int64_t count, const Number* images, int64_t inputs,
                                                    const Number* gradients, int64_t y_row, float* sums, int64_t outputs,
                                                    bool fresh) {
    for (int64_t c = 0; c < inputs; c += Cut<W>::rows)
      multiply<W, Cut<W>::rows, N>(count, images + c, 1, row_of(inputs), gradients, y_row, sums + c * outputs, outputs, fresh);
  }

  template <int W, class T> static AZ_INLINE void run(const Problem<T>& p, const Share& s, float* scratch) {
    constexpr int N = Cut<W>::vectors;
    const int64_t inputs = p.inputs(), outputs = p.outputs, tiles = Tiles(p.y).count, y_row = row_of(s.outputs);
    auto *images = reinterpret_cast<Number*>(scratch), *gradients = images + s.images(inputs);
    // Rows of products that nobody reads are made of numbers all the same, which slow some processors down if they are tiny.
    for (int64_t row = 0; row < s.rows.count * side * apart(summed_together); ++row)
      std::fill_n(images + row * row_of(inputs) + inputs, row_of(inputs) - inputs, Number{});
    constexpr int64_t at_once = summed_together * By::each;
    for (int64_t first = 0; first < tiles; first += at_once) {
      const int64_t count = std::min(at_once, tiles - first), numbers = (count + By::each - 1) / By::each;
      transform_tiles<W>(p, s, first, count, images, gradients);
      for (int64_t k = 0; k < s.rows.count * side; ++k) {
        const Number *of_images = images + k * apart(summed_together) * row_of(inputs),
                     *of_gradients = gradients + k * apart(summed_together) * y_row;
        float* sums = p.sums + (s.rows.first * side + k) * rows_of(inputs) * outputs + s.first;
        int64_t o = 0;
        for (; o + N * W <= s.outputs; o += N * W)
          add<W, N>(numbers, of_images, inputs, of_gradients + o, y_row, sums + o, outputs, first == 0);
        for (; o < s.outputs; o += W)
          add<W, 1>(numbers, of_images, inputs, of_gradients + o, y_row, sums + o, outputs, first == 0);
      }
    }
  }
};

// dw of input c, for the outputs of a group.
struct ResultKernel {
  template <int W, class T> static AZ_INLINE void run(const Problem<T>& p, int64_t c, float* dw) {
    for (int64_t o = 0; o < p.outputs; o += W) {
      Vector<W> half[3 * side];
      for (int j = 0; j < side; ++j) {
        Vector<W> u[side], l[3];
        for (int i = 0; i < side; ++i) u[i] = load<W>(p.sums + ((i * side + j) * rows_of(p.inputs()) + c) * p.outputs + o);
        weight_gradient_lines(u, l);
        for (int i = 0; i < 3; ++i) half[i * side + j] = l[i];
      }
      float kernel[9 * W];
      for (int i = 0; i < 3; ++i) {
        Vector<W> l[3];
        weight_gradient_lines(half + i * side, l);
        for (int j = 0; j < 3; ++j) store(kernel + (i * 3 + j) * W, l[j]);
      }
      for (int64_t lane = 0; lane < std::min<int64_t>(W, p.y.c - p.first - o); ++lane) {
        float* to = dw + ((p.first + o + lane) * p.x.c + c) * 9;
        for (int k = 0; k < 9; ++k) to[k] = kernel[k * W + lane];
      }
    }
  }
};

}  // namespace

template <class T>
void backward_weights(const T* x, const T* g, float* dw, const Conv2dShape& shape, const Vectors& vectors, float* scratch) {
  Problem<T> p{shape.x, shape.y, shape.params.padding, x, g, 0, 0, scratch};
  const int64_t inputs = p.inputs();
  for (const Group& group : groups_of(inputs, Pixels(shape.y).channels(), vectors.width)) {
    p.first = group.first;
    p.outputs = group.outputs;
    const std::vector<Share>& shares = group.shares;
    float* transformed = scratch + group.sums(inputs);
    parallel_for(int64_t(shares.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        run_with<SumKernel, T, const Problem<T>&, const Share&>(vectors, p, shares[size_t(i)],
                                                                transformed + i * shares[0].scratch(inputs));
    });
    parallel_for(p.x.c, 4, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) run_at_width<ResultKernel, const Problem<T>&>(vectors.width, p, c, dw);
    });
  }
}
template void backward_weights(const float*, const float*, float*, const Conv2dShape&, const Vectors&, float*);
template void backward_weights(const bf16*, const bf16*, float*, const Conv2dShape&, const Vectors&, float*);

int64_t weights_scratch_size(const Conv2dShape& shape, const Vectors& vectors) {
  const int64_t inputs = Pixels(shape.x).channels();
  int64_t most = 0;
  for (const Group& group : groups_of(inputs, Pixels(shape.y).channels(), vectors.width))
    most = std::max(most, group.scratch(inputs));
  return most;
}

}  // namespace az::winograd
