#include "core/storage.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>

#include "core/heap.h"

namespace az {
namespace {

class Allocator {
 public:
  void* take(size_t bytes) {
    std::lock_guard lock(mutex_);
    // The system would hand out addresses, and end the program when it fills them.
    void* block = bytes > machine_ - std::min(machine_, stats_.in_use) ? nullptr : heap_.take(bytes);
    if (!block) throw std::bad_alloc();
    stats_.in_use += Heap::rounded(bytes);
    stats_.peak = std::max(stats_.peak, stats_.in_use + heap_.kept());
    return block;
  }

  void give(void* block, size_t bytes) {
    std::lock_guard lock(mutex_);
    heap_.give(block, bytes);
    stats_.in_use -= Heap::rounded(bytes);
  }

  void release() {
    std::lock_guard lock(mutex_);
    heap_.release();
  }

  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    stats_.cached = heap_.kept();
    return stats_;
  }

 private:
  const size_t machine_ = size_t(::sysconf(_SC_PHYS_PAGES)) * size_t(::sysconf(_SC_PAGESIZE));
  std::mutex mutex_;
  Heap heap_;
  MemoryStats stats_;
};

// Never destroyed: tensors held by other static objects outlive any order of destruction.
Allocator& allocator() {
  static auto* instance = new Allocator;
  return *instance;
}

std::atomic<uint64_t> next_id{1};

}  // namespace

Storage::Storage(size_t bytes) : data_(allocator().take(bytes)), bytes_(bytes), id_(next_id++) {}
Storage::~Storage() { allocator().give(data_, bytes_); }

Derived& Storage::derived(std::type_index type, std::unique_ptr<Derived> (*make)()) {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  for (const auto& [known, kept] : derived_) {
    if (known == type) return *kept;
  }
  return *derived_.emplace_back(type, make()).second;
}

MemoryStats memory_stats() { return allocator().stats(); }
void release_cached_memory() { allocator().release(); }

}  // namespace az
