#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace az {

// A block of 64-byte aligned memory from the program's one heap, and a count of the changes made to it in place.
class Storage {
 public:
  explicit Storage(size_t bytes);  // uninitialised
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  uint64_t version() const { return version_; }
  void bump_version() { ++version_; }
  // Never given twice in the life of the program, unlike the address.
  uint64_t id() const { return id_; }

 private:
  void* data_;
  size_t bytes_;
  uint64_t version_ = 0;
  uint64_t id_;
};

struct MemoryStats {
  size_t in_use = 0;  // bytes held by live storages
  size_t cached = 0;  // bytes kept for reuse
  size_t peak = 0;    // largest in_use + cached seen
};

MemoryStats memory_stats();
// Gives all cached blocks back to the system.
void release_cached_memory();

}  // namespace az
