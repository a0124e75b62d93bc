#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "core/base/random.h"
#include "core/base/threads.h"
#include "core/ops.h"
#include "tests/compare.h"

using namespace az;
using az::test::distance;

// Sizes at which loops are split over threads and portions, held against one plain loop over indices.
namespace {

Tensor drawn(const Shape& shape, uint64_t seed, DType type = DType::f64) {
  Philox generator(seed);
  return uniform(shape, {.low = -1, .high = 1}, generator, type);
}

using Index = std::vector<int64_t>;

Index index_of(int64_t element, const Shape& shape) {
  Index index(size_t(shape.rank()));
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    index[size_t(axis)] = element % shape[axis];
    element /= shape[axis];
  }
  return index;
}

// The element of an array of `shape` that broadcasting puts at `index`.
int64_t element_at(const Index& index, const Shape& shape) {
  int64_t element = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    int64_t i = index[index.size() - size_t(shape.rank() - axis)];
    element = element * shape[axis] + (shape[axis] == 1 ? 0 : i);
  }
  return element;
}

}  // namespace

TEST_CASE("ops: broadcasting pairs of every form agrees with a loop over indices") {
  const std::vector<std::pair<Shape, Shape>> pairs = {
      {{70000}, {70000}},
      {{70000}, {}},
      {{}, {70000}},
      {{300, 200}, {200}},
      {{300, 200}, {300, 1}},
      {{300, 1}, {1, 200}},
      {{5, 1, 7, 1}, {6, 1, 9}},
      {{2, 3, 60, 70}, {1, 3, 1, 1}},
      {{2, 3, 60, 70}, {3, 60, 1}},
      {{1, 1}, {1}},
      {{1, 40000, 1, 2}, {3, 2}},
  };
  for (const auto& [left, right] : pairs) {
    Tensor a = drawn(left, 1), b = drawn(right, 2), y = sub(a, b);
    auto va = a.to_vector<double>(), vb = b.to_vector<double>(), vy = y.to_vector<double>();
    auto mask = less(a, b).to_vector<int>();
    int64_t wrong = 0;
    for (int64_t i = 0; i < y.numel(); ++i) {
      Index index = index_of(i, y.shape());
      double x1 = va[size_t(element_at(index, left))], x2 = vb[size_t(element_at(index, right))];
      wrong += vy[size_t(i)] != x1 - x2 || mask[size_t(i)] != (x1 < x2);
    }
    CHECK_MESSAGE(wrong == 0, left.str(), " and ", right.str());
  }
}

TEST_CASE("ops: reductions over every choice of axes agree with a loop over indices") {
  for (const Shape& shape : {Shape{70000}, Shape{3, 40000}, Shape{90000, 2}, Shape{2, 50000, 3}, Shape{3, 1, 70, 41},
                             Shape{2, 600, 3, 30}, Shape{2, 4, 40000}, Shape{3, 30, 1100}}) {
    Tensor x = drawn(shape, 3);
    auto values = x.to_vector<double>();
    for (int chosen = 1; chosen < 1 << shape.rank(); ++chosen) {
      std::vector<int64_t> axes;
      Shape kept = shape;
      for (int axis = 0; axis < shape.rank(); ++axis) {
        if (!(chosen >> axis & 1)) continue;
        axes.push_back(axis - (axis % 2 ? shape.rank() : 0));
        kept[axis] = 1;
      }
      std::vector<double> total(size_t(kept.numel())), top(total.size(), -2);
      for (int64_t i = 0; i < x.numel(); ++i) {
        auto into = size_t(element_at(index_of(i, shape), kept));
        total[into] += values[size_t(i)];
        top[into] = std::max(top[into], values[size_t(i)]);
      }
      CAPTURE(shape.str());
      CAPTURE(chosen);
      CHECK(distance(sum(x, {axes, true}), Tensor::of<double>(kept, total)) < 1e-13);
      CHECK(distance(sum(x.to(DType::f32), {axes, true}), Tensor::of<double>(kept, total)) < 1e-6);
      CHECK(distance(max(x, {axes, true}), Tensor::of<double>(kept, top)) == 0);
    }
  }
}

TEST_CASE("ops: the number of threads does not change a bit of a sum, a function or a softmax") {
  Tensor x = drawn({70, 1001}, 4, DType::f32), y = drawn({200000}, 5, DType::f32);
  auto all = [&] {
    return concat({sum(y).reshape({1}), exp(y), gelu(y), sum(x, {{0}}), sum(x, {{1}}), flatten(softmax(x), 0),
                   flatten(x * drawn({70, 1}, 6, DType::f32), 0)},
                  0);
  };
  int before = thread_count();
  set_thread_count(1);
  Tensor one = all();
  for (int threads : {2, 3, 8}) {
    set_thread_count(threads);
    Tensor many = all();
    CHECK(std::memcmp(one.raw(), many.raw(), size_t(one.numel()) * 4) == 0);
  }
  set_thread_count(before);
}

TEST_CASE("ops: batched products agree with a loop, whichever way they are shared out") {
  for (auto [left, right] : {std::pair<Shape, Shape>{{64, 5, 7}, {64, 7, 3}},
                             {{2, 1, 50, 60}, {3, 60, 40}},
                             {{3, 2, 4, 5}, {5, 6}},
                             {{5, 6}, {4, 6, 3}}}) {
    Tensor a = drawn(left, 7), b = drawn(right, 8), y = matmul(a, b), y32 = matmul(a.to(DType::f32), b.to(DType::f32));
    auto va = a.to_vector<double>(), vb = b.to_vector<double>();
    int64_t depth = a.size(-1);
    std::vector<double> wanted(size_t(y.numel()), 0);
    for (int64_t i = 0; i < y.numel(); ++i) {
      Index index = index_of(i, y.shape()), ia = index, ib = index;
      for (int64_t k = 0; k < depth; ++k) {
        ia[ia.size() - 1] = ib[ib.size() - 2] = k;
        wanted[size_t(i)] += va[size_t(element_at(ia, left))] * vb[size_t(element_at(ib, right))];
      }
    }
    Tensor expected = Tensor::of<double>(y.shape(), wanted);
    CHECK(distance(y, expected) < 1e-14);
    CHECK(distance(y32, expected) < 1e-6);
  }
}

TEST_CASE("parallel_for: ranges cover everything once, also when nested and when there is nothing to do") {
  for (int64_t count : {0, 1, 7, 1000, 100003}) {
    std::vector<int> seen(size_t(count), 0);
    parallel_for(count, 16, [&](int64_t begin, int64_t end) {
      parallel_for(end - begin, 1, [&](int64_t from, int64_t to) {
        for (int64_t i = from; i < to; ++i) ++seen[size_t(begin + i)];
      });
    });
    CHECK(std::count(seen.begin(), seen.end(), 1) == count);
  }
}
