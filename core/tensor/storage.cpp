#include "core/tensor/storage.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <mutex>
#include <new>

#include "core/base/control_groups.h"
#include "core/base/memory.h"
#include "core/tensor/dirty_memory.h"
#include "core/tensor/heap.h"

namespace az {
namespace {

// Bytes of the process's own that are in memory: no files, which can be read again.
size_t resident() {
  size_t all = 0, files = 0;
  std::ifstream file("/proc/self/statm");
  file.imbue(std::locale::classic());
  file >> all >> all >> files;  // pages: addresses, in memory, of these files'
  return (all - files) * size_t(::sysconf(_SC_PAGESIZE));
}

class Allocator {
 public:
  void* take(size_t bytes) {
    std::lock_guard lock(mutex_);
    Heap &own = bytes < small ? of_small_ : of_large_, &other = bytes < small ? of_large_ : of_small_;
    if (!has_room(own, bytes)) throw std::bad_alloc();
    for (Heap* heap : {&own, &other}) {
      void* block = heap->take(bytes);
      if (!block) continue;
      stats_.in_use += Heap::rounded(bytes);
      stats_.peak = std::max(stats_.peak, stats_.in_use + kept());
      return block;
    }
    throw std::bad_alloc();
  }

  void give(void* block, size_t bytes) {
    std::lock_guard lock(mutex_);
    (of_small_.owns(block) ? of_small_ : of_large_).give(block, bytes);
    stats_.in_use -= Heap::rounded(bytes);
  }

  void release() {
    std::lock_guard lock(mutex_);
    release_all();
  }

  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    stats_.cached = kept();
    return stats_;
  }

 private:
  // The system would hand out addresses, and end the program when it fills them. What other parts of the program hold is asked
  // only where the heap has to grow; tensors that nobody has filled yet stand for some of it.
  bool has_room(const Heap& heap, size_t bytes) {
    if (bytes > limit_) return false;
    const auto fits = [&] {
      const size_t growth = heap.growth(bytes);
      return growth == 0 || std::max(stats_.in_use + kept(), resident()) + growth <= limit_;
    };
    if (fits()) return true;
    release_all();
    return fits();
  }
  size_t kept() const { return of_small_.kept() + of_large_.kept(); }
  void release_all() {
    of_small_.release();
    of_large_.release();
  }

  // Blocks of fewer bytes come from a heap of their own, while it has addresses: many of them stay, and would break up the
  // room that large ones leave to one another.
  static constexpr size_t small = size_t(1) << 20;

  // Room for what grows beside tensors: compiled kernels, stacks of threads, tables of pages.
  const size_t limit_ = memory_limit() - std::min(memory_limit() / 32, size_t(64) << 20);
  std::mutex mutex_;
  const size_t addresses_ = Heap::spare_addresses();
  Heap of_large_{addresses_ / 16 * 15}, of_small_{addresses_ / 16, false};
  MemoryStats stats_;
};

// Never destroyed: tensors held by other static objects outlive any order of destruction.
Allocator& allocator() {
  static auto* instance = new Allocator;
  return *instance;
}

std::atomic<uint64_t> next_id{1};
std::atomic<int> dirty{0};

}  // namespace

Storage::Storage(size_t bytes) : data_(allocator().take(bytes)), bytes_(bytes), id_(next_id++) {
  if (dirty) std::memset(data_, 0xff, bytes);
}
Storage::~Storage() { allocator().give(data_, bytes_); }

Derived& Storage::derived(std::type_index type, std::unique_ptr<Derived> (*make)()) {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  for (const auto& [known, kept] : derived_) {
    if (known == type) return *kept;
  }
  return *derived_.emplace_back(type, make()).second;
}

DirtyMemory::DirtyMemory() { ++dirty; }
DirtyMemory::~DirtyMemory() { --dirty; }

size_t memory_limit() {
  static const size_t limit = [] {
    const double machine = double(::sysconf(_SC_PHYS_PAGES)) * double(::sysconf(_SC_PAGESIZE));
    return std::min(size_t(std::min(machine, granted_memory())), limited_memory());
  }();
  return limit;
}

MemoryStats memory_stats() { return allocator().stats(); }
void release_cached_memory() {
  allocator().release();
#if defined(__GLIBC__)
  ::malloc_trim(0);
#endif
}

}  // namespace az
