#include <doctest/doctest.h>
#include <malloc.h>

#include "core/backend/onednn/detail.h"
#include "core/backend/reorder.h"
#include "core/ops.h"

namespace az::test {

TEST_CASE("primitive cache: made once for each key and number of threads, and there are never too many") {
  onednn::Cache<int64_t> cache("op");
  int64_t made = 0;
  auto get = [&](int64_t i) {
    return cache.get({i, 7}, [&] {
      ++made;
      return i;
    });
  };
  const std::weak_ptr<const int64_t> first = get(0);
  const auto held = get(1);
  for (int64_t i = 0; i < int64_t(onednn::most_primitives); ++i) CHECK(*get(i) == i);
  CHECK(made == int64_t(onednn::most_primitives));
  CHECK(get(1) == held);
  get(-1);  // one too many
  CHECK(first.expired());
  CHECK(*held == 1);  // what is in use stays
  CHECK(*get(1) == 1);
  CHECK(made == int64_t(onednn::most_primitives) + 2);
  const int threads = thread_count();
  set_thread_count(threads + 1);
  get(1);
  CHECK(made == int64_t(onednn::most_primitives) + 3);
  set_thread_count(threads);
}

TEST_CASE("primitive cache: what oneDNN cannot do is said with the op's name, and asked again the next time") {
  onednn::Cache<int> cache("op");
  auto bad = [&] { cache.get({1}, []() -> int { throw dnnl::error(dnnl_unimplemented, "could not create a descriptor"); }); };
  for (int i = 0; i < 2; ++i)
    CHECK_THROWS_WITH_AS(bad(), "op: oneDNN cannot do this: could not create a descriptor (status 3)", Error);
  CHECK(*cache.get({1}, [] { return 5; }) == 5);
}

TEST_CASE("primitive cache: shapes without end do not fill the memory") {
  auto reorder_many = [](int64_t first, int64_t count) {
    for (int64_t side = first; side < first + count; ++side) {
      Tensor x = zeros({1, 16, 1, side});
      reorder(x, blocked_layout(16));
    }
    release_cached_memory();
    return int64_t(::mallinfo2().uordblks);
  };
  const int64_t full = reorder_many(1, int64_t(onednn::most_primitives) - 1);
  const int64_t after = reorder_many(2000, 3 * int64_t(onednn::most_primitives));
  const int64_t of_a_layout = 2048;  // these stay
  CHECK(after - full < 3 * int64_t(onednn::most_primitives) * of_a_layout);
}

TEST_CASE("oneDNN: what it cannot do is an error of the op, not of the library") {
  auto message_of = [](auto call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  const int64_t huge = int64_t(1) << 33;
  CHECK(message_of([] { conv2d(ones({1, 0, 8, 8}), ones({16, 0, 3, 3}), {}); }).starts_with("conv2d: oneDNN cannot do this: "));
  CHECK(message_of([] {
          avg_pool2d(ones({1, 1, 1, 1}), {.kernel = huge, .stride = huge, .padding = huge / 2});
        }).starts_with("avg_pool2d: oneDNN cannot do this: "));
}

}  // namespace az::test
