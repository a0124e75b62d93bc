#include <omp.h>

#include <algorithm>
#include <optional>

#include "core/backend/onednn/detail.h"
#include "core/backend/packed.h"
#include "core/base/memory.h"
#include "core/base/threads.h"
#include "core/kernels/strided.h"
#include "core/kernels/vector.h"
#include "core/tensor/tensor_impl.h"

namespace az {
namespace {

std::atomic<uint64_t> reorders{0};

// OpenMP's number of threads on the calling thread, for as long as it lives.
struct Threads {
  explicit Threads(int count) { omp_set_num_threads(count); }
  ~Threads() { omp_set_num_threads(thread_count()); }
};

struct Move {
  dnnl::memory::desc from, to;
  dnnl::reorder primitive;
  dnnl::memory::desc scratchpad;
};

// Moves elements from one form to another; descs() gives the two where `key` is met for the first time.
template <class Descs> void move_elements(const std::vector<int64_t>& key, Descs descs, void* from, void* to) {
  static onednn::Cache<Move> cache("reorder");
  const auto move = cache.get(key, [&] {
    const auto [source, target] = descs();
    const dnnl::engine& engine = onednn::engine();
    // Most weights are moved in less time than it takes to wake another thread; a primitive keeps to those it was made with.
    constexpr size_t worth_waking = 1 << 20;
    Threads threads(source.get_size() < worth_waking ? 1 : thread_count());
    dnnl::reorder::primitive_desc pd(engine, source, engine, target, onednn::lent_scratchpad());
    return Move{source, target, dnnl::reorder(pd), pd.scratchpad_desc()};
  });
  ++reorders;
  onednn::execute(move->primitive, move->scratchpad,
                  {{DNNL_ARG_FROM, onednn::memory_of(move->from, from)}, {DNNL_ARG_TO, onednn::memory_of(move->to, to)}});
}

// What a key begins with: elements move between layouts of ours, or a weight moves to or from a form.
enum : int64_t { between_layouts, to_form, from_form };
std::vector<int64_t> key_of(std::vector<int64_t> key, const Shape& shape) {
  key.insert(key.end(), shape.begin(), shape.end());
  return key;
}
template <class T> int64_t number_of(const T* pointer) { return int64_t(reinterpret_cast<intptr_t>(pointer)); }

}  // namespace

uint64_t reorder_count() { return reorders; }

Tensor reorder(const Tensor& x, const Layout* layout) {
  Tensor result = Tensor::empty(x.shape(), x.dtype(), layout);
  reorder_into(x, result);
  return result;
}

Tensor laid_out(const Tensor& x, const Layout* layout) { return x.layout() == layout ? x : reorder(x, layout); }

void reorder_into(const Tensor& x, const Tensor& into) {
  if (x.layout() == into.layout() && x.dtype() == into.dtype()) {
    copy_bytes(int64_t(x.storage()->bytes()), x.raw(), into.raw());
    return;
  }
  move_elements(
      key_of({between_layouts, int64_t(x.dtype()), int64_t(into.dtype()), number_of(x.layout()), number_of(into.layout())},
             x.shape()),
      [&] { return std::pair(onednn::desc_of(x), onednn::desc_of(into)); }, x.raw(), into.raw());
}

namespace onednn {

dnnl::engine& engine() {
  static dnnl::engine instance = refusing("the start", [] { return dnnl::engine(dnnl::engine::kind::cpu, 0); });
  use_thread_count();
  return instance;
}

void require_room() { require_memory_left(size_t(32) << 20); }

void refused(const char* op, const dnnl::error& error) {
  if (error.status == dnnl_out_of_memory) fail_memory("{}: out of memory: oneDNN finds none for its code and tables", op);
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
    if (type_of(type) == data_type_of(desc)) return type;
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

dnnl::memory::desc desc_of(const Shape& shape, DType type, const Layout* layout) {
  using Tag = dnnl::memory::format_tag;
  if (!layout) return plain_desc(shape, type);
  const Tag tag = layout->width == 16  ? Tag::nChw16c
                  : layout->width == 8 ? Tag::nChw8c
                  : layout->width == 4 ? Tag::nChw4c
                                       : Tag::nhwc;
  return {dims_of(shape), type_of(type), tag};
}

dnnl::memory::desc desc_of(const Tensor& tensor) { return desc_of(tensor.shape(), tensor.dtype(), tensor.layout()); }

std::optional<const Layout*> layout_of(const dnnl::memory::desc& desc) {
  const Shape shape(dims_of(desc));
  const DType type = type_of(desc);
  if (desc == plain_desc(shape, type)) return nullptr;
  if (shape.rank() != 4) return std::nullopt;
  for (int64_t width : {16, 8, 4, 0}) {
    const Layout* layout = blocked_layout(width);
    if (desc == desc_of(shape, type, layout)) return layout;
  }
  return std::nullopt;
}

const Form* form_of(const dnnl::memory::desc& desc) {
  // Kept for good, since keys of caches point at them: a few hundred bytes for each shape.
  static std::mutex mutex;
  static auto* forms = new std::map<dnnl::memory::dims, std::vector<std::unique_ptr<Form>>>;
  std::lock_guard lock(mutex);
  auto& of_shape = (*forms)[dims_of(desc)];
  for (const auto& form : of_shape) {
    if (form->desc == desc) return form.get();
  }
  const DType type = type_of(desc);
  of_shape.push_back(std::make_unique<Form>(Form{desc, type, desc == plain_desc(Shape(dims_of(desc)), type)}));
  return of_shape.back().get();
}

dnnl::memory memory_of(const dnnl::memory::desc& desc, void* data) {
  return refusing("a tensor", [&] { return dnnl::memory(desc, engine(), data); });
}
dnnl::memory memory_of(const Held& held) { return memory_of(held.form->desc, held.storage->data()); }
dnnl::memory memory_of(const Tensor& tensor) { return memory_of(desc_of(tensor), tensor.raw()); }

Held::Held(const Form* wanted)
    : form(wanted), storage(Tensor::empty({int64_t(wanted->desc.get_size())}, DType::u8).storage()) {}

Held packed(const Tensor& weight, const Form* form, const Tensor& scale) {
  if (!scale.defined() && form->is_plain && form->type == weight.dtype()) return {form, weight.storage()};
  const auto pack = [form](const Tensor& source, void* into) {
    move_elements(
        {to_form, int64_t(source.dtype()), number_of(form)},
        [&] { return std::pair(plain_desc(source.shape(), source.dtype()), form->desc); }, source.raw(), into);
  };
  return {form, packed_weight(weight, scale, {number_of(form), form->desc.get_size()}, pack)};
}

Tensor unpacked(const Held& held, const Shape& shape) {
  const DType type = held.form->type;
  if (held.form->is_plain) return on_storage(shape, type, nullptr, held.storage);
  const Tensor plain = Tensor::empty(shape, type);
  move_elements(
      {from_form, int64_t(type), number_of(held.form)},
      [&form = *held.form] { return std::pair(form.desc, plain_desc(Shape(dims_of(form.desc)), form.type)); },
      held.storage->data(), plain.raw());
  return plain;
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

void execute(const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad,
             std::unordered_map<int, dnnl::memory> args) {
  const char* op = op_of(primitive.get_kind());
  std::unique_ptr<Storage> lent;
  if (size_t bytes = scratchpad.get_size()) {
    lent = lent_memory(op, bytes);
    args.insert({DNNL_ARG_SCRATCHPAD, memory_of(scratchpad, lent->data())});
  }
  refusing(op, [&] {
    primitive.execute(stream(), args);
    stream().wait();
  });
}

}  // namespace onednn
}  // namespace az
