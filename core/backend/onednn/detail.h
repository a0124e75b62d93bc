#pragma once

// oneDNN's own types, for the back end's .cpp files only.
#include <atomic>
#include <bit>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/backend/onednn/api.h"
#include "core/backend/reorder.h"
#include "core/base/threads.h"
#include "core/tensor/tensor.h"

namespace az {

namespace onednn {

// Primitives made and run with it use thread_count() threads.
dnnl::engine& engine();
dnnl::stream& stream();

dnnl::memory::data_type type_of(DType type);
DType type_of(const dnnl::memory::desc& desc);
dnnl::memory::dims dims_of(const Shape& shape);
dnnl::memory::desc plain_desc(const Shape& shape, DType type);
// Any layout the primitive likes best.
dnnl::memory::desc any_desc(const Shape& shape, DType type);
dnnl::memory::desc desc_of(const Shape& shape, DType type, const Layout* layout);
dnnl::memory::desc desc_of(const Tensor& tensor);
// The layout that a descriptor stands for; nothing where it is none of ours.
std::optional<const Layout*> layout_of(const dnnl::memory::desc& desc);

// How a primitive wants a weight, which no op has to know. There is one object for each, so that pointers tell them apart.
struct Form {
  dnnl::memory::desc desc;
  DType type;
  bool is_plain;  // row-major
};
const Form* form_of(const dnnl::memory::desc& desc);
// A weight, or its gradient, in such a form.
struct Held {
  const Form* form;
  std::shared_ptr<Storage> storage;
  explicit Held(const Form* wanted);  // with elements to be written
  Held(const Form* has, std::shared_ptr<Storage> elements) : form(has), storage(std::move(elements)) {}
};
// A weight in the form that a primitive wants, its output channels multiplied by `scale` [o] where that is defined: kept with
// its elements, and made again, in place, when they or the scale have changed.
Held packed(const Tensor& weight, const Form* form, const Tensor& scale = {});
// The elements in row-major order, as a tensor of `shape`.
Tensor unpacked(const Held& held, const Shape& shape);

// oneDNN's handle on a tensor's elements, on a weight's, or on raw memory.
dnnl::memory memory_of(const Tensor& tensor);
dnnl::memory memory_of(const Held& held);
dnnl::memory memory_of(const dnnl::memory::desc& desc, void* data);

// Runs a primitive to its end, lending it a scratchpad from the heap: what activations do not take just then.
void execute(const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad,
             std::unordered_map<int, dnnl::memory> args);
// Attributes for a primitive that takes its scratchpad from execute().
dnnl::primitive_attr lent_scratchpad();

// To be called before primitives are made. Throws MemoryError where the limits of this process leave less than 32 MiB: oneDNN
// makes a primitive in a few, and where it gets none it may end the program.
void require_room();

// Throws Error "<op>: oneDNN cannot do this: ...", or MemoryError.
[[noreturn]] void refused(const char* op, const dnnl::error& error);
// f(), with the library's errors thrown as ours.
template <class F> decltype(auto) refusing(const char* op, F f) {
  try {
    return f();
  } catch (const dnnl::error& error) {
    refused(op, error);
  }
}

// An op's primitives by shape and parameters, made once. When there are many all are dropped: no network has as many shapes,
// and whoever meets new ones without end must not fill the memory.
constexpr size_t most_primitives = 1000;
template <class Entry> class Cache {
 public:
  explicit Cache(const char* op) : op_(op) {}

  template <class Make> std::shared_ptr<const Entry> get(std::vector<int64_t> key, Make make) {
    key.push_back(thread_count());
    std::lock_guard lock(mutex_);
    if (auto at = entries_.find(key); at != entries_.end()) return at->second;
    require_room();
    if (entries_.size() >= most_primitives) entries_.clear();
    return entries_[key] = refusing(op_, [&] { return std::make_shared<const Entry>(make()); });
  }

 private:
  const char* op_;
  std::mutex mutex_;
  std::map<std::vector<int64_t>, std::shared_ptr<const Entry>> entries_;
};

}  // namespace onednn
}  // namespace az
