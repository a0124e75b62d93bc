#include "core/heap.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <vector>

#include "core/random.h"
#include "core/storage.h"

namespace az::test {
namespace {

size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t pages = 0;
  statm >> pages >> pages;
  return pages * 4096;
}

constexpr size_t mib = size_t(1) << 20;

}  // namespace

TEST_CASE("heap: blocks are aligned, apart and keep their bytes through a long random life") {
  struct Block {
    unsigned char* data;
    size_t bytes;
    unsigned char mark;
  };
  Heap heap;
  std::vector<Block> live;
  Philox random(5);
  auto whole = [](const Block& b) {
    for (size_t i = 0; i < b.bytes; ++i) {
      if (b.data[i] != b.mark) return false;
    }
    return true;
  };
  auto drop = [&](size_t at) {
    CHECK(whole(live[at]));
    heap.give(live[at].data, live[at].bytes);
    live[at] = live.back();
    live.pop_back();
  };
  for (int i = 0; i < 4000; ++i) {
    const uint32_t number = random.next_u32();
    if (live.size() > 40 || (number % 3 == 0 && !live.empty())) {
      drop(number / 3 % live.size());
    } else {
      const size_t bytes = number % 7 ? number % 3000 : number % 300'000;
      auto* data = static_cast<unsigned char*>(heap.take(bytes));
      REQUIRE(data);
      CHECK(uintptr_t(data) % Heap::alignment == 0);
      live.push_back({data, bytes, static_cast<unsigned char>(i)});
      std::memset(data, live.back().mark, bytes);
    }
  }
  while (!live.empty()) drop(0);
  // All joined again: what a first block would get, a block as large as everything gets, too.
  void* first = heap.take(1);
  heap.give(first, 1);
  const size_t everything = heap.kept();
  CHECK(heap.take(everything) == first);
  CHECK(heap.kept() == 0);
}

TEST_CASE("heap: what was freed serves other sizes, joined or cut") {
  Heap heap;
  void *a = heap.take(3 * mib), *b = heap.take(mib), *c = heap.take(2 * mib), *end = heap.take(mib);
  for (auto [block, bytes] : {std::pair{a, 3 * mib}, {c, 2 * mib}, {b, mib}}) heap.give(block, bytes);  // b joins both sides
  CHECK(heap.kept() == 6 * mib);
  CHECK(heap.take(6 * mib) == a);
  CHECK(heap.kept() == 0);
  heap.give(a, 6 * mib);
  heap.give(end, mib);
  CHECK(heap.take(8 * mib) == a);  // the last free block grows
}

TEST_CASE("heap: the block that fits best is taken") {
  Heap heap;
  void* large = heap.take(4 * mib);
  heap.take(64);
  void* small = heap.take(2 * mib);
  heap.take(64);
  heap.give(large, 4 * mib);
  heap.give(small, 2 * mib);
  CHECK(heap.take(2 * mib) == small);
  CHECK(heap.take(3 * mib) == large);
}

TEST_CASE("heap: release() returns memory to the system, and what is asked for then is zeroed anew") {
  Heap heap;
  auto* block = static_cast<unsigned char*>(heap.take(64 * mib));
  std::memset(block, 1, 64 * mib);
  heap.give(block, 64 * mib);
  CHECK(heap.kept() == 64 * mib);
  const size_t before = resident_bytes();
  heap.release();
  CHECK(heap.kept() == 0);
  CHECK(resident_bytes() + 60 * mib < before);
  CHECK(heap.take(64 * mib) == block);
  CHECK(block[32 * mib] == 0);
}

TEST_CASE("heap: more than there is, is refused; the heap stays usable") {
  Heap heap;
  CHECK(heap.take(size_t(1) << 50) == nullptr);
  CHECK(heap.take(64) != nullptr);
}

TEST_CASE("storage: statistics count blocks in use, kept, and the most of both together") {
  release_cached_memory();
  const MemoryStats before = memory_stats();
  {
    Storage a(20 * mib), b(1);
    CHECK(memory_stats().in_use == before.in_use + 20 * mib + 64);
    CHECK(memory_stats().peak >= before.in_use + 20 * mib + 64);
  }
  CHECK(memory_stats().in_use == before.in_use);
  CHECK(memory_stats().cached >= 20 * mib);
  const size_t peak = memory_stats().peak;
  { Storage one(12 * mib), two(7 * mib); }  // both fit where the first was
  CHECK(memory_stats().peak == peak);
}

}  // namespace az::test
