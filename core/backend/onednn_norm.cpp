#include "core/backend/onednn.h"
#include "core/backend/onednn_detail.h"

namespace az {
namespace {

using namespace onednn;

using dnnl::normalization_flags;

struct Forward {
  dnnl::batch_normalization_forward::primitive_desc desc;
  dnnl::batch_normalization_forward primitive;
};
struct Backward {
  dnnl::batch_normalization_backward::primitive_desc desc;
  dnnl::batch_normalization_backward primitive;
};

normalization_flags flags_of(bool given_statistics, bool with_relu) {
  auto flags = normalization_flags::use_scale | normalization_flags::use_shift;
  if (given_statistics) flags = flags | normalization_flags::use_global_stats;
  if (with_relu) flags = flags | normalization_flags::fuse_norm_relu;
  return flags;
}

// With given statistics no gradient is taken by this path, so ReLU needs no mask.
std::vector<int64_t> key_of(const Tensor& x, double eps, bool given_statistics, bool with_relu) {
  std::vector<int64_t> key{int64_t(x.dtype()), int64_t(reinterpret_cast<intptr_t>(x.layout())), std::bit_cast<int64_t>(eps),
                           given_statistics, with_relu};
  key.insert(key.end(), x.shape().begin(), x.shape().end());
  return key;
}

Forward& forward_of(const Tensor& x, double eps, bool given_statistics, bool with_relu) {
  static Cache<Forward> cache;
  return cache.get(key_of(x, eps, given_statistics, with_relu), [&] {
    auto kind = given_statistics ? dnnl::prop_kind::forward_inference : dnnl::prop_kind::forward_training;
    dnnl::batch_normalization_forward::primitive_desc desc({kind, desc_of(x), float(eps), flags_of(given_statistics, with_relu)},
                                                           lent_scratchpad(), engine());
    return Forward{desc, dnnl::batch_normalization_forward(desc)};
  });
}

}  // namespace

BatchNormResult OneDnn::batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                                   const Tensor& variance, double eps, bool with_relu) {
  bool given = mean.defined();
  Forward& made = forward_of(x, eps, given, with_relu);
  Shape channels{x.size(1)};
  BatchNormResult result{Tensor::empty(x.shape(), x.dtype(), x.layout()),
                         given ? mean : Tensor::empty(channels),
                         given ? variance : Tensor::empty(channels),
                         {}};
  std::unordered_map<int, dnnl::memory> args{{DNNL_ARG_SRC, memory_of(x)},
                                             {DNNL_ARG_DST, memory_of(result.y)},
                                             {DNNL_ARG_MEAN, memory_of(result.mean)},
                                             {DNNL_ARG_VARIANCE, memory_of(result.variance)},
                                             {DNNL_ARG_SCALE, memory_of(gamma)},
                                             {DNNL_ARG_SHIFT, memory_of(beta)}};
  if (auto workspace = made.desc.workspace_desc(); workspace.get_size()) {
    result.relu_mask = Tensor::empty({int64_t(workspace.get_size())}, DType::u8);
    args.insert({DNNL_ARG_WORKSPACE, memory_of(workspace, result.relu_mask.raw())});
  }
  execute(made.primitive, made.desc.scratchpad_desc(), std::move(args));
  return result;
}

BatchNormGradients OneDnn::batch_norm_backward(const Tensor& g, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                               const BatchNormResult& forward, double eps) {
  static Cache<Backward> cache;
  bool with_relu = forward.relu_mask.defined();
  Backward& made = cache.get(key_of(x, eps, false, with_relu), [&] {
    dnnl::batch_normalization_backward::primitive_desc desc(
        {dnnl::prop_kind::backward, desc_of(x), desc_of(x), float(eps), flags_of(false, with_relu)}, lent_scratchpad(), engine(),
        forward_of(x, eps, false, with_relu).desc);
    return Backward{desc, dnnl::batch_normalization_backward(desc)};
  });
  Tensor upstream = laid_out(g, x.layout());
  BatchNormGradients result{Tensor::empty(x.shape(), x.dtype(), x.layout()), Tensor::empty(gamma.shape()),
                            Tensor::empty(beta.shape())};
  std::unordered_map<int, dnnl::memory> args{{DNNL_ARG_SRC, memory_of(x)},
                                             {DNNL_ARG_MEAN, memory_of(forward.mean)},
                                             {DNNL_ARG_VARIANCE, memory_of(forward.variance)},
                                             {DNNL_ARG_DIFF_DST, memory_of(upstream)},
                                             {DNNL_ARG_SCALE, memory_of(gamma)},
                                             {DNNL_ARG_SHIFT, memory_of(beta)},
                                             {DNNL_ARG_DIFF_SRC, memory_of(result.x)},
                                             {DNNL_ARG_DIFF_SCALE, memory_of(result.gamma)},
                                             {DNNL_ARG_DIFF_SHIFT, memory_of(result.beta)}};
  if (with_relu) args.insert({DNNL_ARG_WORKSPACE, memory_of(made.desc.workspace_desc(), forward.relu_mask.raw())});
  execute(made.primitive, made.desc.scratchpad_desc(), std::move(args));
  return result;
}

}  // namespace az
