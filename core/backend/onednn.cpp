#include <omp.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>

#include "core/backend/onednn_detail.h"
#include "core/backend/threads.h"
#include "core/tensor_impl.h"

namespace az {
namespace {

std::atomic<uint64_t> reorders{0};

// OpenMP's number of threads on the calling thread, for as long as it lives.
struct Threads {
  explicit Threads(int count) { omp_set_num_threads(count); }
  ~Threads() { omp_set_num_threads(thread_count()); }
};

void reorder_memory(const Tensor& from, const Tensor& to) {
  using Reorder = std::pair<dnnl::reorder, dnnl::memory::desc>;
  static onednn::Cache<Reorder> cache("reorder");
  std::vector<int64_t> key{int64_t(from.dtype()), int64_t(to.dtype()), std::bit_cast<int64_t>(from.layout()),
                           std::bit_cast<int64_t>(to.layout())};
  key.insert(key.end(), from.shape().begin(), from.shape().end());
  const auto made = cache.get(key, [&] {
    const dnnl::memory::desc source = onednn::desc_of(from), target = onednn::desc_of(to);
    const dnnl::engine& engine = onednn::engine();
    // Most weights are moved in less time than it takes to wake another thread; a primitive keeps to those it was made with.
    constexpr size_t worth_waking = 1 << 20;
    Threads threads(source.get_size() < worth_waking ? 1 : thread_count());
    dnnl::reorder::primitive_desc pd(engine, source, engine, target, onednn::lent_scratchpad());
    return Reorder{dnnl::reorder(pd), pd.scratchpad_desc()};
  });
  const auto& [primitive, scratchpad] = *made;
  ++reorders;
  onednn::execute(primitive, scratchpad, {{DNNL_ARG_FROM, onednn::memory_of(from)}, {DNNL_ARG_TO, onednn::memory_of(to)}});
}

}  // namespace

uint64_t reorder_count() { return reorders; }

size_t layout_bytes(const Shape& shape, DType type, const Layout* layout) {
  size_t bytes = 0;
  if (__builtin_mul_overflow(size_t(shape.numel()), size_of(type), &bytes)) return SIZE_MAX;
  return layout ? layout->desc.get_size() : bytes;
}

Tensor reorder(const Tensor& x, const Layout* layout) {
  Tensor result = Tensor::empty(x.shape(), x.dtype(), layout);
  reorder_into(x, result);
  return result;
}

Tensor laid_out(const Tensor& x, const Layout* layout) { return x.layout() == layout ? x : reorder(x, layout); }

int64_t channel_block(const Tensor& x) {
  using Tag = dnnl::memory::format_tag;
  if (!x.layout()) return 1;
  if (x.rank() != 4) return 0;
  const dnnl::memory::desc& desc = x.layout()->desc;
  auto is = [&](Tag tag) { return desc == dnnl::memory::desc(desc.dims(), desc.data_type(), tag); };
  return is(Tag::nChw16c) ? 16 : is(Tag::nChw8c) ? 8 : is(Tag::nhwc) ? x.size(1) : 0;
}

const Layout* blocked_layout(const Shape& shape, DType type, int64_t block) {
  using Tag = dnnl::memory::format_tag;
  if (block == 1) return nullptr;
  const Tag tag = block == 16 ? Tag::nChw16c : block == 8 ? Tag::nChw8c : Tag::nhwc;
  return onednn::layout_of({onednn::dims_of(shape), onednn::type_of(type), tag});
}

void reorder_into(const Tensor& x, const Tensor& into) {
  if (x.layout() == into.layout() && x.dtype() == into.dtype()) {
    auto* to = static_cast<char*>(into.raw());
    const auto* from = static_cast<const char*>(x.raw());
    parallel_for(int64_t(x.storage()->bytes()), 1 << 18,
                 [=](int64_t begin, int64_t end) { std::memcpy(to + begin, from + begin, size_t(end - begin)); });
    return;
  }
  reorder_memory(x, into);
}

namespace onednn {

dnnl::engine& engine() {
  static dnnl::engine instance = refusing("the start", [] { return dnnl::engine(dnnl::engine::kind::cpu, 0); });
  use_thread_count();
  return instance;
}

void refused(const char* op, const dnnl::error& error) {
  fail("{}: oneDNN cannot do this: {} (status {})", op, error.what(), int(error.status));
}

dnnl::stream& stream() {
  static thread_local dnnl::stream instance = refusing("the start", [] { return dnnl::stream(engine()); });
  return instance;
}

dnnl::memory::data_type type_of(DType type) {
  switch (type) {
    case DType::f32: return dnnl::memory::data_type::f32;
    case DType::bf16: return dnnl::memory::data_type::bf16;
    case DType::u8: return dnnl::memory::data_type::u8;
    default: fail("oneDNN: no kernels for {}", name_of(type));
  }
}

DType type_of(const dnnl::memory::desc& desc) {
  for (DType type : {DType::f32, DType::bf16, DType::u8}) {
    if (type_of(type) == desc.data_type()) return type;
  }
  fail("oneDNN: a layout of a number type unknown here");
}

dnnl::memory::dims dims_of(const Shape& shape) { return {shape.begin(), shape.end()}; }

dnnl::memory::desc plain_desc(const Shape& shape, DType type) {
  auto strides = shape.strides();
  return {dims_of(shape), type_of(type), dnnl::memory::dims(strides.begin(), strides.begin() + shape.rank())};
}

dnnl::memory::desc any_desc(const Shape& shape, DType type) {
  return {dims_of(shape), type_of(type), dnnl::memory::format_tag::any};
}

dnnl::memory::desc desc_of(const Tensor& tensor) {
  return tensor.layout() ? tensor.layout()->desc : plain_desc(tensor.shape(), tensor.dtype());
}

const Layout* layout_of(const dnnl::memory::desc& desc) {
  auto dims = desc.dims();
  Shape shape(dims);
  if (desc == plain_desc(shape, type_of(desc))) return nullptr;
  // Kept for good, since tensors point at them: a few hundred bytes for each shape.
  static std::mutex mutex;
  static auto* layouts = new std::map<dnnl::memory::dims, std::vector<std::unique_ptr<Layout>>>;
  std::lock_guard lock(mutex);
  auto& of_shape = (*layouts)[dims];
  for (const auto& layout : of_shape) {
    if (layout->desc == desc) return layout.get();
  }
  of_shape.push_back(std::make_unique<Layout>(Layout{desc}));
  return of_shape.back().get();
}

dnnl::memory memory_of(const dnnl::memory::desc& desc, void* data) {
  return refusing("a tensor", [&] { return dnnl::memory(desc, engine(), data); });
}
dnnl::memory memory_of(const Tensor& tensor) { return memory_of(desc_of(tensor), tensor.raw()); }

std::string name_of(const Layout* layout) {
  if (!layout) return "abcd";
  const dnnl_memory_desc_t& desc = layout->desc.data;
  const dnnl_blocking_desc_t& blocking = desc.format_desc.blocking;
  std::vector<int> axes(size_t(desc.ndims));
  std::iota(axes.begin(), axes.end(), 0);
  std::stable_sort(axes.begin(), axes.end(), [&](int a, int b) { return blocking.strides[a] > blocking.strides[b]; });
  std::string outer, inner;
  for (int axis : axes) outer += char('a' + axis);
  for (int i = 0; i < blocking.inner_nblks; ++i) {
    const auto axis = size_t(blocking.inner_idxs[i]);
    inner += fmt::format("{}{}", blocking.inner_blks[i], char('a' + axis));
    outer[outer.find_first_of({char('a' + axis), char('A' + axis)})] = char('A' + axis);
  }
  return outer + inner;
}

namespace {

void pack(const Tensor& weight, const Tensor& scale, const Tensor& into) {
  if (!scale.defined()) return reorder_into(weight, into);
  const Tensor scaled = Tensor::empty(weight.shape());
  const int64_t each = weight.numel() / scale.numel();
  const float *from = weight.data<float>(), *factor = scale.data<float>();
  auto* to = static_cast<float*>(scaled.raw());
  parallel_for(scale.numel(), std::max<int64_t>(1, 16384 / each), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      for (int64_t i = c * each; i < (c + 1) * each; ++i) to[i] = from[i] * factor[c];
    }
  });
  reorder_into(scaled, into);
}

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
  struct Form {
    const Layout* layout;
    Source source;
    Tensor packed;
  };
  static constexpr size_t most = 8;

  std::mutex mutex;
  std::vector<Form> forms;  // the one used last comes last

  Tensor get(const Tensor& weight, const Layout* layout, DType type, const Tensor& scale) {
    std::lock_guard lock(mutex);
    const Source source(weight, scale);
    auto at = std::find_if(forms.begin(), forms.end(),
                           [&](const Form& form) { return form.layout == layout && form.packed.dtype() == type; });
    if (at == forms.end()) {
      const Tensor fresh = Tensor::empty(weight.shape(), type, layout);
      pack(weight, scale, fresh);
      if (forms.size() == most) forms.erase(forms.begin());
      forms.push_back({layout, source, fresh});
      return fresh;
    }
    std::rotate(at, at + 1, forms.end());
    Form& form = forms.back();
    if (const Source before = form.source; before != source) {
      // In place, but where another thread's convolution is reading it.
      if (!form.packed.is_unshared()) form.packed = Tensor::empty(weight.shape(), type, layout);
      pack(weight, scale, form.packed);
      form.source = source;
      if (before.version != source.version)
        std::erase_if(forms, [&](const Form& other) { return other.source.version < before.version; });
    }
    return forms.back().packed;
  }
};

}  // namespace

Tensor packed(const Tensor& weight, const Layout* layout, DType type, const Tensor& scale) {
  if (!scale.defined() && layout == weight.layout() && type == weight.dtype()) return weight;
  return weight.storage()->derived<PackedForms>().get(weight, layout, type, scale);
}

dnnl::primitive_attr lent_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

namespace {
const char* op_of(dnnl::primitive::kind kind) {
  using Kind = dnnl::primitive::kind;
  return kind == Kind::convolution ? "conv2d" : kind == Kind::pooling ? "avg_pool2d" : "reorder";
}
}  // namespace

void execute(const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad, std::unordered_map<int, dnnl::memory> args) {
  const char* op = op_of(primitive.get_kind());
  try {
    std::optional<Storage> lent;
    if (size_t bytes = scratchpad.get_size()) {
      lent.emplace(bytes);
      args.insert({DNNL_ARG_SCRATCHPAD, memory_of(scratchpad, lent->data())});
    }
    refusing(op, [&] {
      primitive.execute(stream(), args);
      stream().wait();
    });
  } catch (const std::bad_alloc&) {
    fail("{}: out of memory: it works in {} bytes; a smaller batch takes less", op, scratchpad.get_size());
  }
}

}  // namespace onednn
}  // namespace az
