#include "core/tensor/heap.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/tensor/storage.h"
#include "tests/compare.h"

#if defined(AZ_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#endif

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
  const size_t all = Heap::rounded(3 * mib) + Heap::rounded(mib) + Heap::rounded(2 * mib);
  CHECK(heap.kept() == all);
  CHECK(heap.take(6 * mib) == a);
  CHECK(heap.kept() == all - Heap::rounded(6 * mib));
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
  CHECK(heap.kept() == Heap::rounded(64 * mib));
  const size_t before = resident_bytes();
  heap.release();
  CHECK(heap.kept() == 0);
  CHECK(resident_bytes() + 60 * mib < before);
  CHECK(heap.take(64 * mib) == block);
  CHECK(block[32 * mib] == 0);
}

TEST_CASE("heap: growth() is the memory that take() adds to what is held") {
  Heap heap;
  const auto rounded = [](size_t count) { return Heap::rounded(count * mib); };
  CHECK(heap.growth(mib) == rounded(1));
  void *a = heap.take(3 * mib), *b = heap.take(mib);
  heap.give(a, 3 * mib);
  CHECK(heap.growth(3 * mib) == 0);
  CHECK(heap.growth(2 * mib) == 0);
  CHECK(heap.growth(4 * mib) == rounded(4));  // too large for the hole
  heap.give(b, mib);
  CHECK(heap.growth(4 * mib) == 0);
  CHECK(heap.growth(5 * mib) == rounded(5) - rounded(3) - rounded(1));  // the last block grows
  heap.release();
  CHECK(heap.growth(2 * mib) == rounded(2));
}

TEST_CASE("heap: what was released does not count as kept when a neighbour joins it") {
  Heap heap;
  void *large = heap.take(4 * mib), *small = heap.take(mib);
  heap.take(64);
  heap.give(large, 4 * mib);
  heap.release();
  heap.give(small, mib);
  CHECK(heap.kept() == Heap::rounded(mib));
  CHECK(heap.take(4 * mib + mib / 2) == large);
  CHECK(heap.kept() <= mib / 2 + 2 * Heap::alignment);
}

TEST_CASE("heap: more than there is, is refused; the heap stays usable") {
  Heap heap;
  for (size_t bytes : {size_t(1) << 50, SIZE_MAX - 1, SIZE_MAX}) CHECK(heap.take(bytes) == nullptr);
  CHECK(heap.take(64) != nullptr);
}

#if defined(AZ_ADDRESS_SANITIZER)

TEST_CASE("heap: AddressSanitizer sees a touch past a block's bytes, and of a block given back") {
  Heap heap;
  for (int round = 0; round < 2; ++round) {  // new memory, then used memory
    for (size_t bytes : {1, 64, 100, 4096}) {
      auto* block = static_cast<char*>(heap.take(bytes));
      heap.take(64);
      CHECK(!__asan_region_is_poisoned(block, bytes));
      for (size_t past : {bytes, bytes + 63}) CHECK(__asan_address_is_poisoned(block + past));
      heap.give(block, bytes);
      CHECK(__asan_address_is_poisoned(block));
    }
  }
}

TEST_CASE("heap: AddressSanitizer knows nothing of one that is gone") {
  void* block = nullptr;
  {
    Heap heap;
    block = heap.take(4096);
    heap.give(block, 4096);
  }
  CHECK(!__asan_region_is_poisoned(block, 4096));
}

#else

// Run by the next one.
TEST_CASE("heap: half of a limited address space is left" * doctest::skip()) {
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_AS, &limit) == 0);
  Storage block(1);
  const std::unique_ptr<void, void (*)(void*)> others(std::malloc(limit.rlim_cur / 4), std::free);
  CHECK(others);
}

TEST_CASE("heap: under ulimit -v there is memory beside it") {
  if (test::skipped_without_limits()) return;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string run = "'" + self + "' --no-skip --test-case='heap: half of*'";
  const std::string command = "ulimit -v 5242880 && " + run + " | grep -q 'test cases: *1 | *1 passed'";
  CHECK(std::system(command.c_str()) == 0);
}

#endif

TEST_CASE("storage: statistics count blocks in use, kept, and the most of both together") {
  release_cached_memory();
  const MemoryStats before = memory_stats();
  {
    Storage a(20 * mib), b(1);
    const size_t both = Heap::rounded(20 * mib) + Heap::rounded(1);
    CHECK(memory_stats().in_use == before.in_use + both);
    CHECK(memory_stats().peak >= before.in_use + both);
  }
  CHECK(memory_stats().in_use == before.in_use);
  CHECK(memory_stats().cached >= 20 * mib);
  const size_t peak = memory_stats().peak;
  { Storage one(12 * mib), two(7 * mib); }  // both fit where the first was
  CHECK(memory_stats().peak == peak);
}

// Run by the next one in a process that has taken nothing before.
TEST_CASE("storage: room of a large block" * doctest::skip()) {
  const size_t before = memory_stats().in_use;
  auto first = std::make_unique<Storage>(48 * mib);
  const Storage second(48 * mib);
  first.reset();
  std::vector<std::unique_ptr<Storage>> small;
  for (int i = 0; i < 8; ++i) small.push_back(std::make_unique<Storage>(mib / 2));
  const Storage third(48 * mib);
  const MemoryStats now = memory_stats();
  CHECK(now.in_use + now.cached - before <= (2 * 48 + 8) * mib);
}

TEST_CASE("storage: small blocks that stay do not break up the room that a large one leaves") {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  CHECK(std::system(("'" + self + "' --no-skip --test-case='storage: room of*' | grep -q '1 passed'").c_str()) == 0);
}

TEST_CASE("heap: knows its blocks, and gives fewer addresses where it has fewer") {
  Heap few(8 * mib, false), others(8 * mib);
  void* block = few.take(5 * mib);
  CHECK(few.owns(block));
  CHECK(!others.owns(block));
  CHECK(few.take(5 * mib) == nullptr);
}

}  // namespace az::test
