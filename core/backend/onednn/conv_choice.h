#pragma once

#include <algorithm>
#include <memory>
#include <optional>

#include "core/backend/onednn/conv_trial.h"
#include "core/backend/tuning.h"
#include "core/tensor/dirty_memory.h"

// Which of oneDNN's implementations solves a convolution problem, by an op of conv_directions.h. For the back end's
// convolutions only.
namespace az::onednn {

template <class P> struct Implementations {
  std::vector<typename P::primitive_desc> descs = {};
  std::vector<std::string> names = {};
  size_t competing = 0;  // so many are worth a try, oneDNN's favourite first; the rest is for where none of those is right
};

// Those of a problem, but for what is known to fail. Those that compete lay out their result alike, since others go on from
// there.
template <class Op> auto implementations(const Op& op) {
  using P = typename Op::Primitive;
  std::vector<typename P::primitive_desc> first, rest;
  auto sort = [&](const auto& desc) {
    const std::string name = desc.impl_info_str();
    auto same = [&](const auto& other) { return name == other.impl_info_str(); };
    if (op.problem.fails(name) || std::ranges::any_of(first, same) || std::ranges::any_of(rest, same)) return;
    const ConvLayouts layouts = layouts_of(desc);
    if (!layouts.are_ours) return;
    const bool competes = first.empty() || (may_compete(name, first[0].impl_info_str()) &&
                                            Op::result_of(layouts) == Op::result_of(layouts_of(first[0])));
    (competes ? first : rest).push_back(desc);
  };
  require_room();
  for (auto algorithm : {dnnl::algorithm::convolution_direct, dnnl::algorithm::convolution_winograd}) {
    try {
      op.describe(algorithm, sort);
    } catch (const dnnl::error& error) {
      if (first.empty()) refused("conv2d", error);  // otherwise the processor or the problem is not for this algorithm
    }
  }
  Implementations<P> found{.competing = first.size()};
  first.insert(first.end(), rest.begin(), rest.end());
  found.descs = std::move(first);
  for (const auto& desc : found.descs) found.names.push_back(desc.impl_info_str());
  return found;
}

template <class P> std::shared_ptr<Convolution<P>> made_of(const typename P::primitive_desc& desc) {
  require_room();
  return refusing("conv2d", [&] { return std::make_shared<Convolution<P>>(desc); });
}

// Whether implementations of a problem are right, found out by a trial whose operands and results serve all of them.
template <class Op> class Judge {
 public:
  using Made = Convolution<typename Op::Primitive>;
  explicit Judge(const Op& op) : op_(op) {}

  bool is_right(const Made& by) {
    const int64_t all = op_.problem.x[0];
    int64_t images = op_.problem.images_to_try(by.name());
    std::shared_ptr<Made> smaller;
    if (images < all) {
      const auto& offered = with(images).offered;
      const auto at = std::ranges::find(offered.names, by.name());
      if (at == offered.names.end())
        images = all;
      else
        smaller = made_of<typename Op::Primitive>(offered.descs[size_t(at - offered.names.begin())]);
    }
    Case& tried = with(images);
    const DirtyMemory dirty;
    return tried.trial.is_right(by.name(), tried.op.solve(smaller ? *smaller : by, Op::of(tried.trial)));
  }

 private:
  struct Case {
    Op op;
    ConvTrial trial{op.problem};
    Implementations<typename Op::Primitive> offered = implementations(op);
  };
  Case& with(int64_t images) {
    if (auto at = cases_.find(images); at != cases_.end()) return at->second;
    Op op = op_;
    op.problem.x[0] = op.problem.y[0] = images;
    return cases_.try_emplace(images, Case{op}).first->second;
  }

  const Op& op_;
  std::map<int64_t, Case> cases_;  // by the number of images
};

// The implementation that choose() prefers to solve the problem of `op`; nullptr where none is right. Those that are timed
// solve it with `operands`.
template <class Op>
std::shared_ptr<Convolution<typename Op::Primitive>> chosen(const Op& op, const typename Op::Operands& operands) {
  using P = typename Op::Primitive;
  using Pointer = std::shared_ptr<Convolution<P>>;
  struct Choice {
    uint64_t generation = 0;
    Pointer convolution;
  };
  static std::mutex mutex;
  static std::map<std::vector<int64_t>, Choice> choices;
  const ConvProblem& problem = op.problem;
  std::lock_guard lock(mutex);
  const std::vector<int64_t> key = problem.key();
  if (choices.size() >= most_primitives && !choices.contains(key)) choices.clear();
  Choice& choice = choices[key];
  if (choice.generation == algorithms_generation()) return choice.convolution;
  const Implementations<P> found = implementations(op);
  std::vector<Pointer> made(found.descs.size());
  auto get = [&](size_t i) -> const Convolution<P>& {
    if (!made[i]) made[i] = made_of<P>(found.descs[i]);
    return *made[i];
  };
  Judge<Op> judge(op);
  const std::optional<size_t> best = choose({.problem = problem.str(int64_t(std::bit_ceil(uint64_t(problem.x[0])))),
                                             .tried = problem.str(problem.x[0]),
                                             .names = found.names,
                                             .competing = found.competing,
                                             .by_rule = problem.by_rule(found.names, found.competing),
                                             .worth_timing = problem.worth_timing(),
                                             .run = [&](size_t i) { op.solve(get(i), operands); },
                                             .is_right = [&](size_t i) { return judge.is_right(get(i)); }});
  if (problem.worth_timing()) release_cached_memory();  // what the losers and the trials took is not needed again
  if (best) get(*best);
  choice = {algorithms_generation(), best ? made[*best] : nullptr};
  return choice.convolution;
}

}  // namespace az::onednn
