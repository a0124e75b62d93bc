#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "core/backend/backend.h"
#include "core/backend/onednn_detail.h"
#include "core/backend/tuning.h"
#include "core/dirty_memory.h"

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
  // Whether that implementation is known to give wrong results here.
  bool fails(const std::string& implementation) const;
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

template <class P> struct Implementations {
  std::vector<typename P::primitive_desc> descs;
  size_t competing = 0;  // so many are worth a try, oneDNN's favourite first; the rest is for where none of those is right
};

// Those of a problem. describe(algorithm, visit) calls visit with the first of an algorithm while what it was made of is alive.
// Those that compete lay out their result alike, since others go on from there.
template <class P, class Describe> Implementations<P> implementations(const ConvProblem& problem, Describe describe) {
  std::vector<typename P::primitive_desc> first, rest;
  auto sort = [&](const auto& desc) {
    const std::string name = desc.impl_info_str();
    auto same = [&](const auto& other) { return name == other.impl_info_str(); };
    if (problem.fails(name) || std::ranges::any_of(first, same) || std::ranges::any_of(rest, same)) return;
    const bool competes =
        first.empty() || (may_compete(name, first[0].impl_info_str()) && layouts_of(desc).result == layouts_of(first[0]).result);
    (competes ? first : rest).push_back(desc);
  };
  for (auto algorithm : {dnnl::algorithm::convolution_direct, dnnl::algorithm::convolution_winograd}) {
    try {
      describe(algorithm, [&](typename P::primitive_desc desc) {
        do sort(desc);
        while (desc.next_impl());
      });
    } catch (const dnnl::error& error) {
      if (first.empty()) refused("conv2d", error);  // otherwise the processor or the problem is not for this algorithm
    }
  }
  const size_t competing = first.size();
  first.insert(first.end(), rest.begin(), rest.end());
  return {std::move(first), competing};
}

// The implementation that choose() prefers; nullptr where none is right. run(convolution) solves the problem by it;
// is_right(convolution) solves one like it whose result is known.
template <class P, class Describe, class Run, class Check>
std::shared_ptr<Convolution<P>> chosen(const ConvProblem& problem, Describe describe, Run run, Check is_right) {
  using Pointer = std::shared_ptr<Convolution<P>>;
  struct Choice {
    uint64_t generation = 0;
    Pointer convolution;
  };
  static std::mutex mutex;
  static std::map<std::vector<int64_t>, Choice> choices;
  std::lock_guard lock(mutex);
  if (choices.size() >= most_primitives && !choices.contains(problem.key())) choices.clear();
  Choice& choice = choices[problem.key()];
  if (choice.generation == algorithms_generation()) return choice.convolution;
  const Implementations<P> found = implementations<P>(problem, describe);
  Candidates candidates{.problem = problem.str(), .competing = found.competing, .worth_timing = problem.worth_timing()};
  for (const auto& desc : found.descs) {
    candidates.names.push_back(desc.impl_info_str());
    if (is_winograd(desc.impl_info_str()) && problem.winograd_by_rule()) candidates.by_rule = candidates.names.size() - 1;
  }
  std::vector<Pointer> tried(found.descs.size());
  auto made = [&](size_t i) -> const Convolution<P>& {
    if (!tried[i]) tried[i] = refusing("conv2d", [&] { return std::make_shared<Convolution<P>>(found.descs[i]); });
    return *tried[i];
  };
  candidates.run = [&](size_t i) { run(made(i)); };
  candidates.is_right = [&](size_t i) {
    const DirtyMemory dirty;
    return is_right(made(i));
  };
  const std::optional<size_t> best = choose(candidates);
  if (problem.worth_timing()) release_cached_memory();  // what the losers and the trials took is not needed again
  if (best) made(*best);
  choice = {algorithms_generation(), best ? tried[*best] : nullptr};
  return choice.convolution;
}

}  // namespace az::onednn
