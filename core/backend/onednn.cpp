#include <cstring>

#include "core/backend/onednn_detail.h"
#include "core/tensor_impl.h"

namespace az {
namespace {

std::atomic<uint64_t> reorders{0};

void reorder_memory(const dnnl::memory::desc& from, void* source, const dnnl::memory::desc& to, void* target) {
  using Reorder = std::pair<dnnl::reorder, dnnl::memory::desc>;
  static onednn::Cache<Reorder> cache;
  // Interned descriptors stand for themselves in the key; row-major ones are interned here only, by shape.
  static std::mutex mutex;
  static std::vector<dnnl::memory::desc> known;
  auto id = [&](const dnnl::memory::desc& desc) {
    std::lock_guard lock(mutex);
    for (size_t i = 0; i < known.size(); ++i) {
      if (known[i] == desc) return int64_t(i);
    }
    known.push_back(desc);
    return int64_t(known.size() - 1);
  };
  auto& [primitive, scratchpad] = cache.get({id(from), id(to)}, [&] {
    dnnl::reorder::primitive_desc pd(onednn::engine(), from, onednn::engine(), to, onednn::lent_scratchpad());
    return Reorder{dnnl::reorder(pd), pd.scratchpad_desc()};
  });
  ++reorders;
  onednn::execute(primitive, scratchpad,
                  {{DNNL_ARG_FROM, onednn::memory_of(from, source)}, {DNNL_ARG_TO, onednn::memory_of(to, target)}});
}

}  // namespace

uint64_t reorder_count() { return reorders; }

size_t layout_bytes(const Shape& shape, DType type, const Layout* layout) {
  return layout ? layout->desc.get_size() : size_t(shape.numel()) * size_of(type);
}

Tensor reorder(const Tensor& x, const Layout* layout) {
  Tensor result = Tensor::empty(x.shape(), x.dtype(), layout);
  reorder_into(x, result);
  return result;
}

void reorder_into(const Tensor& x, const Tensor& into) {
  if (x.layout() == into.layout() && x.dtype() == into.dtype()) {
    std::memcpy(into.raw(), x.raw(), x.storage()->bytes());
    return;
  }
  reorder_memory(onednn::desc_of(x), x.raw(), onednn::desc_of(into), into.raw());
}

namespace onednn {

dnnl::engine& engine() {
  static dnnl::engine instance(dnnl::engine::kind::cpu, 0);
  return instance;
}

dnnl::stream& stream() {
  static thread_local dnnl::stream instance(engine());
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
  static std::mutex mutex;
  static auto* layouts = new std::vector<std::unique_ptr<Layout>>;
  std::lock_guard lock(mutex);
  for (const auto& layout : *layouts) {
    if (layout->desc == desc) return layout.get();
  }
  layouts->push_back(std::make_unique<Layout>(Layout{desc}));
  return layouts->back().get();
}

dnnl::memory memory_of(const dnnl::memory::desc& desc, void* data) { return {desc, engine(), data}; }
dnnl::memory memory_of(const Tensor& tensor) { return memory_of(desc_of(tensor), tensor.raw()); }

Tensor laid_out(const Tensor& x, const dnnl::memory::desc& desc) {
  const Layout* layout = layout_of(desc);
  return x.layout() == layout ? x : reorder(x, layout);
}

Tensor packed(const Tensor& weight, const dnnl::memory::desc& desc) {
  struct Entry {
    std::weak_ptr<Storage> storage;
    uint64_t version = 0;
    Tensor packed;
  };
  static std::mutex mutex;
  static auto* entries = new std::map<std::tuple<uint64_t, const Layout*, DType>, Entry>;
  const Layout* layout = layout_of(desc);
  DType type = type_of(desc);
  if (layout == weight.layout() && type == weight.dtype()) return weight;
  std::lock_guard lock(mutex);
  auto [at, is_new] = entries->try_emplace({weight.storage()->id(), layout, type});
  Entry& entry = at->second;
  if (is_new) {
    entry.storage = weight.storage();
    std::erase_if(*entries, [](const auto& item) { return item.second.storage.expired(); });
  }
  if (!entry.packed.defined()) {
    entry.packed = Tensor::empty(weight.shape(), type, layout);
  } else if (entry.version == weight.storage()->version()) {
    return entry.packed;
  }
  reorder_into(weight, entry.packed);
  entry.version = weight.storage()->version();
  return entry.packed;
}

dnnl::primitive_attr lent_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

void execute(const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad, std::unordered_map<int, dnnl::memory> args) {
  static thread_local std::shared_ptr<Storage> arena;
  if (size_t bytes = scratchpad.get_size()) {
    if (!arena || arena->bytes() < bytes) {
      arena.reset();
      arena = std::make_shared<Storage>(bytes);
    }
    args.insert({DNNL_ARG_SCRATCHPAD, memory_of(scratchpad, arena->data())});
  }
  primitive.execute(stream(), args);
  stream().wait();
}

}  // namespace onednn
}  // namespace az
