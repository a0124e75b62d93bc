#pragma once

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "core/backend/candidates.h"
#include "core/backend/conv/implementation.h"
#include "core/tensor/dirty_memory.h"
#include "core/tensor/storage.h"

// The choice of the implementation that computes a convolution problem. For the back end's convolutions only.
namespace az {

// Judges whether implementations of a problem are right, by a trial whose operands and results serve all of them.
template <class Direction> class Judge {
 public:
  Judge(const ConvProblem& problem, const Offer<Direction>& offer) : problem_(problem), offer_(offer) {}

  // `by` is what the implementation makes.
  bool is_right(const Implementation<Direction>& one, const Solve<Direction>& by) {
    int64_t images = one.images;
    Solve<Direction> smaller;
    if (images < problem_.x[0]) {
      const auto& offered = with(images).offered;
      const size_t at = offered.find(one.name);
      if (at == offered.all.size())
        images = problem_.x[0];
      else
        smaller = offered.all[at].make();
    }
    const ConvTrial& trial = with(images).trial;
    const DirtyMemory dirty;
    return trial.is_right(one.transforms, (smaller ? smaller : by)(Direction::of(trial)));
  }

 private:
  struct Case {
    ConvTrial trial;
    Implementations<Direction> offered;
  };
  Case& with(int64_t images) {
    if (auto at = cases_.find(images); at != cases_.end()) return at->second;
    ConvProblem problem = problem_;
    problem.x[0] = problem.y[0] = images;
    return cases_.try_emplace(images, Case{ConvTrial(problem), offer_(problem)}).first->second;
  }

  const ConvProblem& problem_;
  const Offer<Direction>& offer_;
  std::map<int64_t, Case> cases_;  // by the number of images
};

template <class Direction> struct Chosen {
  std::string name;
  Solve<Direction> solve;
};

// The one of those offered that choose() prefers; nullptr where none is right. Those that are timed compute the problem with
// `operands`.
template <class Direction> std::shared_ptr<const Chosen<Direction>> chosen(const ConvProblem& problem,
                                                                           const typename Direction::Operands& operands,
                                                                           const Offer<Direction>& offer) {
  struct Choice {
    uint64_t generation = 0;
    std::shared_ptr<const Chosen<Direction>> made;
  };
  // When there are many all are dropped: no network has as many shapes, and whoever meets new ones without end must not fill
  // the memory.
  constexpr size_t most_choices = 1000;
  static std::mutex mutex;
  static std::map<std::vector<int64_t>, Choice> choices;
  std::lock_guard lock(mutex);
  const std::vector<int64_t> key = problem.key();
  if (choices.size() >= most_choices && !choices.contains(key)) choices.clear();
  Choice& choice = choices[key];
  if (choice.generation == algorithms_generation()) return choice.made;
  const Implementations<Direction> offered = offer(problem);
  Candidates candidates{.problem = problem.str(int64_t(std::bit_ceil(uint64_t(problem.x[0])))),
                        .tried = problem.str(problem.x[0]),
                        .competing = offered.competing,
                        .worth_timing = problem.worth_timing()};
  for (const auto& one : offered.all) {
    const size_t i = candidates.names.size();
    if (problem.suits_winograd() && one.transforms && i < offered.competing) candidates.by_rule = i;
    candidates.names.push_back(one.name);
  }
  std::vector<Solve<Direction>> made(offered.all.size());
  const auto get = [&](size_t i) -> const Solve<Direction>& {
    if (!made[i]) made[i] = offered.all[i].make();
    return made[i];
  };
  Judge<Direction> judge(problem, offer);
  candidates.run = [&](size_t i) { get(i)(operands); };
  candidates.is_right = [&](size_t i) { return judge.is_right(offered.all[i], get(i)); };
  const std::optional<size_t> best = choose(candidates);
  if (problem.worth_timing()) release_cached_memory();  // what the losers and the trials took is not needed again
  choice = {algorithms_generation(),
            best ? std::make_shared<const Chosen<Direction>>(Chosen<Direction>{offered.all[*best].name, get(*best)}) : nullptr};
  return choice.made;
}

}  // namespace az
