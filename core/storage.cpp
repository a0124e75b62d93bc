#include "core/storage.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

namespace az {
namespace {

// Blocks are kept by rounded size and handed out again; rounding to an eighth of the power of two below bounds the waste.
class Allocator {
 public:
  void* take(size_t bytes) {
    size_t size = rounded(bytes);
    std::lock_guard lock(mutex_);
    stats_.in_use += size;
    auto& blocks = free_[size];
    if (!blocks.empty()) {
      void* block = blocks.back();
      blocks.pop_back();
      stats_.cached -= size;
      return block;
    }
    void* block = std::aligned_alloc(64, size);
    if (!block) {
      release();
      block = std::aligned_alloc(64, size);
    }
    if (!block) {
      stats_.in_use -= size;
      throw std::bad_alloc();
    }
    ++stats_.system_allocations;
    stats_.peak = std::max(stats_.peak, stats_.in_use + stats_.cached);
    return block;
  }

  void give(void* block, size_t bytes) {
    size_t size = rounded(bytes);
    std::lock_guard lock(mutex_);
    stats_.in_use -= size;
    stats_.cached += size;
    free_[size].push_back(block);
  }

  void release_all() {
    std::lock_guard lock(mutex_);
    release();
  }

  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  static size_t rounded(size_t bytes) {
    size_t step = 64;
    while (step * 16 < bytes) step *= 2;
    return std::max<size_t>((bytes + step - 1) / step * step, 64);
  }

  void release() {
    for (auto& [size, blocks] : free_) {
      for (void* block : blocks) std::free(block);
      stats_.cached -= size * blocks.size();
      blocks.clear();
    }
  }

  std::mutex mutex_;
  std::unordered_map<size_t, std::vector<void*>> free_;
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

MemoryStats memory_stats() { return allocator().stats(); }
void release_cached_memory() { allocator().release_all(); }

}  // namespace az
