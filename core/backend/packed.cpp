#include "core/backend/packed.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/memory.h"
#include "core/kernels/vector.h"

namespace az {
namespace {

void pack_scaled(const Tensor& weight, const Tensor& scale, const Pack& pack, Storage& into) {
  Tensor source = weight;
  if (scale.defined()) {
    source = Tensor::empty(weight.shape());
    scale_rows(scale.numel(), weight.numel() / scale.numel(), scale.data<float>(), weight.data<float>(),
               static_cast<float*>(source.raw()));
  }
  pack(source, into.data());
}

std::shared_ptr<Storage> memory_of(size_t bytes) { return Tensor::empty({int64_t(bytes)}, DType::u8).storage(); }

// The forms of one weight. Those unused for two changes of it, or when newer ones are many, are dropped: they are not coming
// back.
struct PackedForms : Derived {
  // What a form was made of.
  struct Source {
    uint64_t version;  // of the weight's elements
    std::pair<uint64_t, uint64_t> scale;
    Source(const Tensor& weight, const Tensor& by) : version(weight.storage()->version()) {
      if (by.defined()) scale = {by.storage()->id(), by.storage()->version()};
    }
    bool operator==(const Source&) const = default;
  };
  struct Packed {
    int64_t form;
    std::optional<Source> source;
    std::shared_ptr<Storage> storage;
  };
  static constexpr size_t most = 8;

  std::mutex mutex;
  std::vector<Packed> forms;  // the one used last comes last

  std::shared_ptr<Storage> get(const Tensor& weight, const Tensor& scale, const PackedForm& form, const Pack& pack) {
    std::lock_guard lock(mutex);
    const Source source(weight, scale);
    auto at = std::ranges::find(forms, form.id, &Packed::form);
    if (at == forms.end()) {
      if (forms.size() == most) forms.erase(forms.begin());
      forms.push_back({form.id, {}, {}});
      at = forms.end() - 1;
    }
    std::rotate(at, at + 1, forms.end());
    Packed& last = forms.back();
    if (last.source == source && last.storage) return last.storage;
    // Packs in place, unless another thread's convolution is reading the memory. last.storage is null until that is done.
    std::shared_ptr<Storage> storage = std::exchange(last.storage, {});
    if (storage.use_count() != 1) storage = memory_of(form.bytes);
    pack_scaled(weight, scale, pack, *storage);
    const std::optional<Source> before = std::exchange(last.source, source);
    last.storage = storage;
    if (before && before->version != source.version)
      std::erase_if(forms, [&](const Packed& other) { return other.source->version < before->version; });
    return storage;
  }
};

}  // namespace

std::shared_ptr<Storage> packed_weight(const Tensor& weight, const Tensor& scale, const PackedForm& form, const Pack& pack) {
  return weight.storage()->derived<PackedForms>().get(weight, scale, form, pack);
}

std::unique_ptr<Storage> lent_memory(const char* op, size_t bytes) {
  try {
    return std::make_unique<Storage>(bytes);
  } catch (const std::bad_alloc&) {
    fail_memory("{}: out of memory: it works in {} bytes; a smaller batch or fewer threads take less", op, bytes);
  }
}

}  // namespace az
