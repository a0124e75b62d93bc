#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#define AZ_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define AZ_ADDRESS_SANITIZER
#endif
#endif

namespace az {

// One stretch of address space from which blocks are cut and to which they return, neighbours joined again: what one tensor
// leaves serves smaller and larger ones. Memory that was touched stays with the process until release(). Not for use by several
// threads.
class Heap {
 public:
  static constexpr size_t alignment = 64;

  // The bytes of addresses that the process can spare for heaps: half of what its limits leave, so that others find room beside
  // them, and at most four times the machine's memory, which is enough for blocks that lie apart. Emulators of processors keep
  // a table of all of it.
  static size_t spare_addresses();

  // Reserves so many addresses, or fewer where there are no more. Its memory is in pages of 2 MiB where the system has them, or
  // in small ones, of which none holds much that nobody asked for.
  explicit Heap(size_t addresses = spare_addresses(), bool in_huge_pages = true);
  ~Heap();
  Heap(const Heap&) = delete;
  // The free block that fits best, or new memory behind the last one. nullptr when the system has no more.
  void* take(size_t bytes);
  // `bytes` as given to take().
  void give(void* block, size_t bytes);
  // Memory that the process does not hold yet and take(bytes) would make it hold: 0 where a kept block serves.
  size_t growth(size_t bytes) const;
  // Whether a block came from here.
  bool owns(const void* block) const { return begin_ <= block && block < end_; }
  // Returns the memory of all free blocks to the system.
  void release();

  // What take() cuts off for them: a multiple of the alignment, and under AddressSanitizer a gap that nobody may touch.
  static size_t rounded(size_t bytes);
  // Bytes in free blocks that the process holds memory for, at the most.
  size_t kept() const { return kept_; }

 private:
  struct Free {
    size_t size;
    size_t kept;
  };
  using Blocks = std::map<char*, Free>;

  // What is left of a free block when so much was cut off its start.
  static Free rest(const Free& block, size_t size);
  void insert(char* block, Free free);
  void erase(Blocks::iterator block);
  bool extend(size_t bytes);
  // The last free block, if nothing is given out behind it.
  Free last() const;

  char *begin_ = nullptr, *end_ = nullptr;   // the stretch
  char *top_ = nullptr, *usable_ = nullptr;  // the end of what was given out, and of what can be
  Blocks by_address_;
  std::set<std::pair<size_t, char*>> by_size_;
  size_t kept_ = 0;
};

}  // namespace az
