#pragma once

#include <memory>
#include <string>

#include "core/backend/backend.h"
#include "core/backend/onednn_detail.h"
#include "core/backend/tuning.h"

// Which of oneDNN's implementations solves a convolution problem. For the back end's convolutions only.
namespace az::onednn {

struct ConvProblem {
  const char* direction;  // "forward", ...
  Shape x, weight, y;
  DType type;  // of x and y
  const Conv2dParams& params;
  bool bias = false, residual = false, relu = false;
  std::vector<const Layout*> given = {};  // how the operands lie that are not weights

  std::vector<int64_t> key() const;
  // For choose(). Batches up to the next power of two count as one problem.
  std::string str() const;
  // Small batches come from finding shapes, or are soon done.
  bool worth_timing() const { return x[0] >= 8; }
  // Where timing is not to be had: at 32 channels and more Winograd wins in all three directions, at 16 it does not.
  bool winograd_by_rule() const;
};

// How a primitive wants its operands; `result` is that of x or y which it makes.
struct ConvLayouts {
  const Layout *x, *weight, *y, *result;
};
ConvLayouts layouts_of(const dnnl::convolution_forward::primitive_desc& desc);
ConvLayouts layouts_of(const dnnl::convolution_backward_data::primitive_desc& desc);
ConvLayouts layouts_of(const dnnl::convolution_backward_weights::primitive_desc& desc);

template <class P> struct Convolution {
  using Desc = typename P::primitive_desc;
  Desc desc;
  P primitive;
  ConvLayouts layout;
  explicit Convolution(const Desc& d) : desc(d), primitive(d), layout(layouts_of(d)) {}
};

bool is_winograd(const std::string& name);
// Whether implementation `name` may be faster than `first`, the one that oneDNN prefers: neither a plain fall-back nor for
// shorter vectors.
bool may_compete(const std::string& name, const std::string& first);

// The implementations that are worth a try, oneDNN's favourite first. describe(algorithm, visit) calls visit with the first of an
// algorithm while what it was made of is alive. All lay out their result alike, since others go on from there.
template <class P, class Describe> std::vector<typename P::primitive_desc> implementations(Describe describe) {
  std::vector<typename P::primitive_desc> found;
  auto fits = [&](const auto& desc) {
    if (found.empty()) return true;
    auto same = [&](const auto& other) { return desc.impl_info_str() == std::string(other.impl_info_str()); };
    return std::none_of(found.begin(), found.end(), same) && may_compete(desc.impl_info_str(), found[0].impl_info_str()) &&
           layouts_of(desc).result == layouts_of(found[0]).result;
  };
  for (auto algorithm : {dnnl::algorithm::convolution_direct, dnnl::algorithm::convolution_winograd}) {
    try {
      describe(algorithm, [&](typename P::primitive_desc desc) {
        do {
          if (fits(desc)) found.push_back(desc);
        } while (desc.next_impl());
      });
    } catch (const dnnl::error& error) {
      if (found.empty()) refused("conv2d", error);  // otherwise the processor or the problem is not for this algorithm
    }
  }
  return found;
}

// What solve(convolution) gives, with the implementation that choose() prefers.
template <class P, class Describe, class Solve> auto solve_by_choice(const ConvProblem& problem, Describe describe, Solve solve) {
  using Pointer = std::shared_ptr<Convolution<P>>;
  static std::mutex mutex;
  static std::map<std::vector<int64_t>, std::pair<uint64_t, Pointer>> chosen;
  auto choice = [&]() -> Pointer {
    std::lock_guard lock(mutex);
    if (chosen.size() >= most_primitives && !chosen.contains(problem.key())) chosen.clear();
    auto& [generation, convolution] = chosen[problem.key()];
    if (convolution && generation == algorithms_generation()) return convolution;
    const auto descs = implementations<P>(describe);
    Candidates candidates{.problem = problem.str(), .worth_timing = problem.worth_timing()};
    for (const auto& desc : descs) {
      candidates.names.push_back(desc.impl_info_str());
      if (is_winograd(desc.impl_info_str()) && problem.winograd_by_rule()) candidates.by_rule = candidates.names.size() - 1;
    }
    std::vector<Pointer> tried(descs.size());
    candidates.run = [&](size_t i) {
      if (!tried[i]) tried[i] = std::make_shared<Convolution<P>>(descs[i]);
      solve(*tried[i]);
    };
    const size_t best = choose(candidates);
    generation = algorithms_generation();
    convolution = tried[best] ? tried[best] : std::make_shared<Convolution<P>>(descs[best]);
    if (tried[best]) release_cached_memory();  // what the losers took is not needed again
    return convolution;
  };
  return solve(*choice());
}

}  // namespace az::onednn
