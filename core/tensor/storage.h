#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <typeindex>
#include <utility>
#include <vector>

namespace az {

// What is made from a storage's elements and kept as long as they live, such as a weight in the form that a primitive wants.
struct Derived {
  virtual ~Derived() = default;
};

// A block of 64-byte aligned memory from the program's one heap, and a count of the changes made to it in place.
class Storage {
 public:
  // Uninitialised. Throws std::bad_alloc where the process would come to hold more than memory_limit(), less 64 MiB at the
  // most.
  explicit Storage(size_t bytes);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  uint64_t version() const { return version_; }
  void bump_version() { ++version_; }
  // Never given twice in the life of the program, unlike the address.
  uint64_t id() const { return id_; }

  // This storage's only T, made when first asked for. Any thread may ask; what T guards inside is its own affair.
  template <class T> T& derived() {
    return static_cast<T&>(derived(typeid(T), [] { return std::unique_ptr<Derived>(new T); }));
  }

 private:
  Derived& derived(std::type_index type, std::unique_ptr<Derived> (*make)());

  void* data_;
  size_t bytes_;
  uint64_t version_ = 0;
  uint64_t id_;
  std::vector<std::pair<std::type_index, std::unique_ptr<Derived>>> derived_;
};

struct MemoryStats {
  size_t in_use = 0;  // bytes held by live storages
  size_t cached = 0;  // bytes kept for reuse
  size_t peak = 0;    // largest in_use + cached seen
};

MemoryStats memory_stats();
// Bytes that this process may take, as it was when first asked: the machine's memory, or what its control groups grant or its
// own limits (ulimit -v, ulimit -d) leave where that is less. What other processes of the group hold is not counted.
size_t memory_limit();
// Gives all cached blocks back to the system, and what malloc keeps.
void release_cached_memory();

}  // namespace az
