#include "core/tensor/heap.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "core/base/memory.h"

#if defined(AZ_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) void(0)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) void(0)
#endif

namespace az {
namespace {
constexpr size_t huge_page = size_t(1) << 21;
#if defined(AZ_ADDRESS_SANITIZER)
constexpr size_t gap = Heap::alignment;
#else
constexpr size_t gap = 0;
#endif

}  // namespace

size_t Heap::spare_addresses() {
  const size_t plenty = 4 * size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE)), left = memory_left();
  return left == SIZE_MAX ? plenty : std::min(plenty, left / 2);
}

// Address space costs nothing; where less of it is allowed, less is taken. A step of training walks through more memory than
// the processor knows addresses of small pages for.
Heap::Heap(size_t addresses, bool in_huge_pages) {
  for (size_t size = addresses / huge_page * huge_page; size >= 2 * huge_page; size = size / 2 / huge_page * huge_page) {
    void* stretch = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stretch == MAP_FAILED) continue;
    begin_ = static_cast<char*>(stretch);
    end_ = begin_ + size;
    top_ = usable_ = begin_ + (huge_page - uintptr_t(begin_) % huge_page) % huge_page;
    madvise(begin_, size, in_huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    return;
  }
}

Heap::~Heap() {
  if (!begin_) return;
  ASAN_UNPOISON_MEMORY_REGION(begin_, size_t(top_ - begin_));  // for who gets these addresses next
  munmap(begin_, size_t(end_ - begin_));
}

size_t Heap::rounded(size_t bytes) { return std::max((bytes + alignment - 1) / alignment * alignment, alignment) + gap; }

void* Heap::take(size_t bytes) {
  if (bytes > size_t(end_ - begin_)) return nullptr;  // and rounding it could overflow
  const size_t size = rounded(bytes);
  auto fit = by_size_.lower_bound({size, nullptr});
  if (fit == by_size_.end()) {
    if (!extend(size)) return nullptr;
    fit = by_size_.lower_bound({size, nullptr});
  }
  const auto at = by_address_.find(fit->second);
  char* block = at->first;
  const Free left = rest(at->second, size);
  erase(at);
  if (left.size) insert(block + size, left);
  ASAN_UNPOISON_MEMORY_REGION(block, bytes);
  return block;
}

size_t Heap::growth(size_t bytes) const {
  const size_t size = rounded(bytes);
  const auto fit = by_size_.lower_bound({size, nullptr});
  if (fit == by_size_.end()) return size - last().kept;
  const Free& block = by_address_.at(fit->second);
  return size - (block.kept - rest(block, size).kept);
}

void Heap::give(void* block, size_t bytes) {
  char* start = static_cast<char*>(block);
  Free free{rounded(bytes), rounded(bytes)};
  ASAN_POISON_MEMORY_REGION(block, free.size);
  const auto after = by_address_.lower_bound(start);
  if (after != by_address_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second.size == start) {
      start = before->first;
      free.size += before->second.size;
      free.kept += before->second.kept;
      erase(before);
    }
  }
  if (after != by_address_.end() && after->first == start + free.size) {
    free.size += after->second.size;
    free.kept += after->second.kept;
    erase(after);
  }
  insert(start, free);
}

// Pages that a free block shares with one in use stay.
void Heap::release() {
  const auto page = uintptr_t(sysconf(_SC_PAGESIZE));
  for (auto& [start, free] : by_address_) {
    if (!free.kept) continue;
    const uintptr_t first = (uintptr_t(start) + page - 1) / page * page, last = (uintptr_t(start) + free.size) / page * page;
    if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
    free.kept = 0;
  }
  kept_ = 0;
}

Heap::Free Heap::rest(const Free& block, size_t size) { return {block.size - size, std::min(block.size - size, block.kept)}; }

Heap::Free Heap::last() const {
  if (by_address_.empty()) return {0, 0};
  const auto at = std::prev(by_address_.end());
  return at->first + at->second.size == top_ ? at->second : Free{0, 0};
}

// Makes the last free block at least so large.
bool Heap::extend(size_t bytes) {
  const Free last = this->last();
  const size_t more = bytes - last.size;
  if (more > size_t(end_ - top_)) return false;
  if (more > size_t(usable_ - top_)) {
    const size_t grown = std::min((more + huge_page - 1) / huge_page * huge_page, size_t(end_ - usable_));
    if (mprotect(usable_, grown, PROT_READ | PROT_WRITE) != 0) return false;
    usable_ += grown;
  }
  if (last.size) erase(std::prev(by_address_.end()));
  insert(top_ - last.size, {bytes, last.kept});
  ASAN_POISON_MEMORY_REGION(top_, more);
  top_ += more;
  return true;
}

void Heap::insert(char* block, Free free) {
  by_address_.emplace(block, free);
  by_size_.emplace(free.size, block);
  kept_ += free.kept;
}

void Heap::erase(Blocks::iterator block) {
  kept_ -= block->second.kept;
  by_size_.erase({block->second.size, block->first});
  by_address_.erase(block);
}

}  // namespace az
