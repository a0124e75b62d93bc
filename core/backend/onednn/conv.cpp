#include <algorithm>

#include "core/backend/onednn/detail.h"
#include "core/backend/onednn/implementations.h"
#include "core/kernels/vector.h"

namespace az::onednn {
namespace {

using dnnl::algorithm;

bool has(const std::string& text, const char* word) { return text.find(word) != std::string::npos; }
// 1 for a product of matrices and 2 for loops, which are fall-backs; 0 for others.
int fall_back(const std::string& name) { return has(name, "ref") ? 2 : has(name, "gemm") ? 1 : 0; }
bool is_winograd(const std::string& name) { return has(name, "wino"); }

// Says whether implementation `name` may be faster than `first`, which oneDNN prefers. It may unless it is a plain fall-back,
// or for shorter vectors.
bool may_compete(const std::string& name, const std::string& first) {
  const auto width = [](const std::string& text) {
    return has(text, "avx512") ? 3 : has(text, "avx") ? 2 : has(text, "sse") ? 1 : 0;
  };
  return !fall_back(name) && width(name) >= width(first);
}

// oneDNN's bf16 kernels sort an input's columns by their number modulo the stride. 2.6.3 leaves those out of which there are
// none, with the zeros that stand for padding there, and the kernel then reads memory that nobody has written
// (jit_trans_iw_ic_int16_t::transpose returns where it has no rows).
bool fails(const ConvProblem& p, const std::string& name) {
  return p.type == DType::bf16 && p.direction == "backward_weights" && p.x[3] < p.params.stride.w && p.weight[3] > 1 &&
         !fall_back(name);
}

// Says whether oneDNN's direct kernels add a residual and keep NaN in their ReLU. Those for arm64 do neither, in 2.6.3.
#if defined(__aarch64__)
constexpr bool finishes_direct = false;
#else
constexpr bool finishes_direct = true;
#endif

// The blocks of Winograd's are divisors of the number of tiles in the batch. Of the others, none of oneDNN 2.6.3's looks at the
// batch but to tell 1 image from more, 16 or fewer from more, and to share the images among threads, which take turns and add
// up weight gradients: so 17 images, two a thread, and the remainder that the threads would have. Of 3.x that is not known.
int64_t images_to_try(const ConvProblem& p, const std::string& name) {
  const int64_t threads = thread_count(), least = std::max<int64_t>(17, 2 * threads), all = p.x[0];
  return !knows_images_of_code || is_winograd(name) || all <= least ? all : least + (all - least) % threads;
}

// How a primitive wants its operands and lays out its result.
struct Layouts {
  const Layout* x;
  const Form* weight;
  const Layout* y;
  bool are_ours;         // whether x and y lie as a tensor may
  bool finishes = true;  // forward: whether it adds the residual and applies ReLU itself, where they are asked for
};
Layouts layouts_of(const dnnl::memory::desc& x, const dnnl::memory::desc& weight, const dnnl::memory::desc& y) {
  const auto of_x = layout_of(x), of_y = layout_of(y);
  return {of_x.value_or(nullptr), form_of(weight), of_y.value_or(nullptr), of_x && of_y};
}

// The padding that has to be added below and on the right for the result to have its size.
Dims padding_after(const ConvProblem& p) {
  auto side = [](int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t before) {
    return (out - 1) * stride + dilation * (kernel - 1) + 1 - in - before;
  };
  return {side(p.x[2], p.y[2], p.weight[2], p.params.stride.h, p.params.dilation.h, p.params.padding.h),
          side(p.x[3], p.y[3], p.weight[3], p.params.stride.w, p.params.dilation.w, p.params.padding.w)};
}

// [o,i,h,w] as oneDNN sees it: [g,o/g,i,h,w] when there are groups.
Shape grouped_weight(const ConvProblem& p) {
  int64_t g = p.params.groups;
  return g == 1 ? p.weight : Shape{g, p.weight[0] / g, p.weight[1], p.weight[2], p.weight[3]};
}

// Its operands in whatever layout the primitive likes best, the weight's gradient in f32.
ConvDescs descs_of(const ConvProblem& p) {
  const DType weight_type = p.direction == "backward_weights" ? DType::f32 : p.type;
  ConvDescs descs{.x = any_desc(p.x, p.type),
                  .weight = any_desc(grouped_weight(p), weight_type),
                  .y = any_desc(p.y, p.type),
                  .bias = {},
                  .stride = {p.params.stride.h, p.params.stride.w},
                  .gaps = {p.params.dilation.h - 1, p.params.dilation.w - 1},  // between taps
                  .before = {p.params.padding.h, p.params.padding.w},
                  .after = padding_after(p)};
  if (p.bias) descs.bias = plain_desc({p.weight[0]}, DType::f32);
  return descs;
}

// What backward descriptors are made with.
dnnl::convolution_forward::primitive_desc forward_hint(const ConvProblem& p) {
  ConvDescs descs = descs_of(p);
  descs.weight = any_desc(grouped_weight(p), p.type);
  return forward_desc(engine(), descs, algorithm::convolution_direct, lent_scratchpad());
}

// The residual is read beside the result and lies like it, as each implementation lays it out. Winograd's could only add to
// what it finds in the result's place, which takes a copy there first, and its ReLU makes NaN 0: finish() does both, as for
// direct kernels on arm64.
dnnl::primitive_attr forward_attributes(const ConvProblem& p, algorithm algo) {
  dnnl::primitive_attr attributes = lent_scratchpad();
  if (algo == algorithm::convolution_winograd || (!finishes_direct && p.type == DType::f32)) return attributes;
  dnnl::post_ops then;
  if (p.residual) then.append_binary(algorithm::binary_add, any_desc(p.y, p.type));
  // oneDNN's ReLU turns NaN into 0 if its slope below zero is 0. This slope keeps NaN, and is lost beside any activation.
  if (p.relu) append_eltwise(then, algorithm::eltwise_relu, 1e-20F, 0);
  attributes.set_post_ops(then);
  return attributes;
}

// f32 y, then + the residual, laid out alike, and ReLU, each where asked for.
void finish(const Tensor& y, const Tensor& residual, bool with_relu) {
  auto* values = static_cast<float*>(y.raw());
  const int64_t count = int64_t(y.storage()->bytes() / sizeof(float));
  if (residual.defined())
    (with_relu ? add_relu<float> : add<float>)(count, values, static_cast<const float*>(residual.raw()), values);
  else if (with_relu)
    relu(count, values, values);
}

// The weight with its groups as an axis of its own, sharing storage (and so the cache of packed forms).
Tensor grouped(const Tensor& weight, const ConvProblem& p) {
  if (p.params.groups == 1) return weight.detach();
  Shape shape = grouped_weight(p);
  return weight.detach().reshape({shape.begin(), shape.end()});
}

// The parts in which the directions differ: how oneDNN is told each, and how its primitives are run.
struct Forward {
  using Direction = ConvForward;
  using Primitive = dnnl::convolution_forward;
  static Layouts layouts(const Primitive::primitive_desc& d) {
    Layouts layouts = layouts_of(d.src_desc(), d.weights_desc(), d.dst_desc());
    layouts.finishes = d.get_primitive_attr().get_post_ops().len() > 0;
    return layouts;
  }
  static const Layout* result_of(const auto& layouts) { return layouts.y; }

  template <class Visit> static void describe(const ConvProblem& p, algorithm algo, Visit visit) {
    each_forward(engine(), descs_of(p), algo, forward_attributes(p, algo), visit);
  }
  static Tensor run(const ConvProblem& p, const Primitive& primitive, const dnnl::memory::desc& scratchpad,
                    const Layouts& layout, const ConvForward::Operands& operands) {
    const Tensor x = laid_out(operands.x, layout.x);
    const Held w = packed(grouped(operands.weight, p), layout.weight, operands.scale);
    Tensor y = Tensor::empty(p.y, p.type, layout.y);
    Tensor residual = p.residual ? laid_out(operands.then.residual, layout.y) : Tensor();
    std::unordered_map<int, dnnl::memory> args{
        {DNNL_ARG_SRC, memory_of(x)}, {DNNL_ARG_WEIGHTS, memory_of(w)}, {DNNL_ARG_DST, memory_of(y)}};
    if (p.bias) args.insert({DNNL_ARG_BIAS, memory_of(operands.bias)});
    if (p.residual && layout.finishes) args.insert({DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, memory_of(residual)});
    execute(primitive, scratchpad, std::move(args));
    if (!layout.finishes && (p.residual || p.relu)) finish(y, residual, p.relu);
    return y;
  }
};

struct BackwardData {
  using Direction = ConvBackwardData;
  using Primitive = dnnl::convolution_backward_data;
  static Layouts layouts(const Primitive::primitive_desc& d) {
    return layouts_of(d.diff_src_desc(), d.weights_desc(), d.diff_dst_desc());
  }
  static const Layout* result_of(const auto& layouts) { return layouts.x; }

  template <class Visit> static void describe(const ConvProblem& p, algorithm algo, Visit visit) {
    each_backward_data(engine(), descs_of(p), algo, forward_hint(p), lent_scratchpad(), visit);
  }
  static Tensor run(const ConvProblem& p, const Primitive& primitive, const dnnl::memory::desc& scratchpad,
                    const Layouts& layout, const ConvBackwardData::Operands& operands) {
    const Tensor g = laid_out(operands.g, layout.y);
    const Held w = packed(grouped(operands.weight, p), layout.weight);
    Tensor dx = Tensor::empty(p.x, p.type, layout.x);
    execute(primitive, scratchpad,
            {{DNNL_ARG_DIFF_DST, memory_of(g)}, {DNNL_ARG_WEIGHTS, memory_of(w)}, {DNNL_ARG_DIFF_SRC, memory_of(dx)}});
    return dx;
  }
};

struct BackwardWeights {
  using Direction = ConvBackwardWeights;
  using Primitive = dnnl::convolution_backward_weights;
  static Layouts layouts(const Primitive::primitive_desc& d) {
    return layouts_of(d.src_desc(), d.diff_weights_desc(), d.diff_dst_desc());
  }
  static const Layout* result_of(const auto&) { return nullptr; }  // always row-major in the end

  template <class Visit> static void describe(const ConvProblem& p, algorithm algo, Visit visit) {
    each_backward_weights(engine(), descs_of(p), algo, forward_hint(p), lent_scratchpad(), visit);
  }
  static ConvWeightGradients run(const ConvProblem& p, const Primitive& primitive, const dnnl::memory::desc& scratchpad,
                                 const Layouts& layout, const ConvBackwardWeights::Operands& operands) {
    Tensor x = laid_out(operands.x, layout.x), g = laid_out(operands.g, layout.y);
    const Held dw(layout.weight);
    Tensor db;
    std::unordered_map<int, dnnl::memory> args{
        {DNNL_ARG_SRC, memory_of(x)}, {DNNL_ARG_DIFF_DST, memory_of(g)}, {DNNL_ARG_DIFF_WEIGHTS, memory_of(dw)}};
    if (p.bias) {
      db = Tensor::empty({p.weight[0]});
      args.insert({DNNL_ARG_DIFF_BIAS, memory_of(db)});
    }
    execute(primitive, scratchpad, std::move(args));
    return {unpacked(dw, p.weight), db};
  }
};

template <class Part>
Solve<typename Part::Direction> made(const ConvProblem& problem, const typename Part::Primitive::primitive_desc& desc) {
  require_room();
  return refusing("conv2d", [&]() -> Solve<typename Part::Direction> {
    return [problem, primitive = typename Part::Primitive(desc), scratchpad = desc.scratchpad_desc(),
            layouts = Part::layouts(desc)](const typename Part::Direction::Operands& operands) {
      return Part::run(problem, primitive, scratchpad, layouts, operands);
    };
  });
}

template <class Part> Implementations<typename Part::Direction> all_of(const ConvProblem& problem) {
  using Desc = typename Part::Primitive::primitive_desc;
  Implementations<typename Part::Direction> offered;
  const auto add = [&](const Desc& desc) {
    const std::string name = desc.impl_info_str();
    const Layouts layouts = Part::layouts(desc);
    if (offered.find(name) < offered.all.size() || fails(problem, name) || !layouts.are_ours) return;
    offered.all.push_back({.name = name,
                           .x = layouts.x,
                           .y = layouts.y,
                           .transforms = is_winograd(name),
                           .images = images_to_try(problem, name),
                           .make = [problem, desc] { return made<Part>(problem, desc); }});
  };
  require_room();
  for (auto algorithm : {algorithm::convolution_direct, algorithm::convolution_winograd}) {
    try {
      Part::describe(problem, algorithm, add);
    } catch (const dnnl::error& error) {
      if (offered.all.empty()) refused("conv2d", error);  // otherwise the processor or the problem is not for this algorithm
    }
  }
  if (offered.all.empty()) return offered;
  std::ranges::stable_sort(offered.all, {}, [](const auto& one) { return fall_back(one.name); });
  const auto alike = [first = offered.all.front()](const auto& one) {
    return one.name == first.name || (may_compete(one.name, first.name) && Part::result_of(one) == Part::result_of(first));
  };
  offered.competing = size_t(std::stable_partition(offered.all.begin(), offered.all.end(), alike) - offered.all.begin());
  return offered;
}

}  // namespace

Implementations<ConvForward> implementations_of(const ConvProblem& problem, const ConvForward&) {
  return all_of<Forward>(problem);
}
Implementations<ConvBackwardData> implementations_of(const ConvProblem& problem, const ConvBackwardData&) {
  return all_of<BackwardData>(problem);
}
Implementations<ConvBackwardWeights> implementations_of(const ConvProblem& problem, const ConvBackwardWeights&) {
  return all_of<BackwardWeights>(problem);
}

}  // namespace az::onednn
