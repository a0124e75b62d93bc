#include <algorithm>

#include "core/base/threads.h"
#include "core/kernels/winograd.h"
#include "core/kernels/winograd_tile.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // as in winograd_tile.h

namespace az::winograd {
namespace {

struct Problem {
  ImageShape x, y;
  Size2 padding;
  int64_t together;
  const float *from, *gradient;
  float *images, *gradients, *sums;  // [36, together, row_of(inputs)], [36, together, row_of(outputs)], [36, rows, outputs]

  int64_t inputs() const { return Pixels(x).channels(); }
  int64_t outputs() const { return Pixels(y).channels(); }
};

// Inputs, and as many rows that nobody reads as fill the last product.
int64_t rows_of(int64_t inputs) { return inputs + 15; }

// Tiles [begin, end) of those from `first` on.
struct TransformKernel {
  template <int W> static AZ_INLINE void run(const Problem& p, int64_t first, int64_t begin, int64_t end) {
    const Tiles tiles(p.y);
    const Pixels x(p.x), y(p.y);
    const int64_t x_row = row_of(x.channels()), y_row = row_of(y.channels());
    for (int64_t t = begin; t < end; ++t) {
      const Tiles::Place at = tiles[first + t];
      for (int64_t c = 0; c < x.channels(); c += W)
        transform<W, side>(
            p.from + x.first(at.image, c), x, at.y - p.padding.h, at.x - p.padding.w,
            [](const Vector<W>* d, Vector<W>* l) AZ_INLINED { image_lines(d, l); }, p.images + t * x_row + c,
            p.together * x_row);
      for (int64_t c = 0; c < y.channels(); c += W)
        transform<W, step>(
            p.gradient + y.first(at.image, c), y, at.y, at.x,
            [](const Vector<W>* d, Vector<W>* l) AZ_INLINED { gradient_lines(d, l); }, p.gradients + t * y_row + c,
            p.together * y_row);
    }
  }
};

// Adds the products of `count` tiles to the sums of point k, for outputs [o, o + N * W) or, of the last ones, a vector each.
struct SumKernel {
  template <int W, int N> static AZ_INLINE void add(const Problem& p, int64_t k, int64_t o, int64_t count, bool fresh) {
    const int64_t inputs = p.inputs(), outputs = p.outputs(), x_row = row_of(inputs), y_row = row_of(outputs);
    const float *images = p.images + k * p.together * x_row, *gradients = p.gradients + k * p.together * y_row + o;
    float* sums = p.sums + k * rows_of(inputs) * outputs + o;
    // Sums of sums: a long one would round its last terms away.
    constexpr int64_t run = 128;
    for (int64_t t = 0; t < count; t += run) {
      for (int64_t c = 0; c < inputs; c += Cut<W>::rows)
        multiply<W, Cut<W>::rows, N>(std::min(run, count - t), images + t * x_row + c, 1, x_row, gradients + t * y_row, y_row,
                                     sums + c * outputs, outputs, fresh && t == 0);
    }
  }
  template <int W> static AZ_INLINE void run(const Problem& p, int64_t k, int64_t o, int64_t count, bool fresh) {
    constexpr int N = Cut<W>::vectors;
    if (o + N * W <= p.outputs()) return add<W, N>(p, k, o, count, fresh);
    for (; o < p.outputs(); o += W) add<W, 1>(p, k, o, count, fresh);
  }
};

// dw of input c and outputs [o, o + W).
struct ResultKernel {
  template <int W> static AZ_INLINE void run(const Problem& p, int64_t c, float* dw) {
    const int64_t inputs = p.inputs(), outputs = p.outputs();
    for (int64_t o = 0; o < outputs; o += W) {
      Vector<W> half[3 * side];
      for (int j = 0; j < side; ++j) {
        Vector<W> u[side], l[3];
        for (int i = 0; i < side; ++i) u[i] = load<W>(p.sums + ((i * side + j) * rows_of(inputs) + c) * outputs + o);
        weight_gradient_lines(u, l);
        for (int i = 0; i < 3; ++i) half[i * side + j] = l[i];
      }
      float kernel[9 * W];
      for (int i = 0; i < 3; ++i) {
        Vector<W> l[3];
        weight_gradient_lines(half + i * side, l);
        for (int j = 0; j < 3; ++j) store(kernel + (i * 3 + j) * W, l[j]);
      }
      for (int64_t lane = 0; lane < std::min<int64_t>(W, p.y.c - o); ++lane) {
        float* to = dw + ((o + lane) * p.x.c + c) * 9;
        for (int k = 0; k < 9; ++k) to[k] = kernel[k * W + lane];
      }
    }
  }
};

}  // namespace

void backward_weights(const float* x, const float* g, float* dw, const Conv2dShape& shape, int width, float* scratch) {
  Problem p{shape.x, shape.y, shape.params.padding, 0, x, g, scratch, nullptr, nullptr};
  p.together = together_of(p.inputs(), p.outputs());
  p.gradients = p.images + points * p.together * row_of(p.inputs());
  p.sums = p.gradients + points * p.together * row_of(p.outputs());
  const int64_t tiles = Tiles(p.y).count, chunk = outputs_together(width), chunks = (p.outputs() + chunk - 1) / chunk;
  for (int64_t first = 0; first < tiles; first += p.together) {
    const int64_t count = std::min(p.together, tiles - first);
    parallel_for(count, 4, [&](int64_t begin, int64_t end) {
      run_at_width<TransformKernel, const Problem&>(width, p, first, begin, end);
    });
    parallel_for(points * chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        run_at_width<SumKernel, const Problem&>(width, p, i / chunks, i % chunks * chunk, count, first == 0);
    });
  }
  parallel_for(p.x.c, 4, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) run_at_width<ResultKernel, const Problem&>(width, p, c, dw);
  });
}

int64_t weights_scratch_size(const Conv2dShape& shape) {
  const int64_t inputs = Pixels(shape.x).channels(), outputs = Pixels(shape.y).channels();
  return points * (together_of(inputs, outputs) * (row_of(inputs) + row_of(outputs)) + rows_of(inputs) * outputs);
}

}  // namespace az::winograd
