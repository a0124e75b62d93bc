#include <doctest/doctest.h>

#include <algorithm>
#include <tuple>

#include "core/backend/conv/choice.h"
#include "core/backend/conv/offer.h"
#include "core/backend/info.h"
#include "core/base/simd.h"
#include "core/ops/elementwise.h"
#include "tests/core/own_cache.h"
#include "tests/core/own_kernels.h"

// Which implementations are offered for a problem, in which order, and which of them is taken.
namespace az::test {

TEST_CASE("conv choice: loops over single numbers are the last way to compute a problem, and on x86-64 never the only one") {
  const auto check_last = [](const auto& offered) {
    std::vector<std::string> names;
    for (const auto& one : offered.all) names.push_back(one.name);
    CAPTURE(names);
    REQUIRE(!names.empty());
    const auto are_loops = [](const std::string& name) { return name.starts_with("ref"); };
    for (size_t i = 0; i + 1 < names.size(); ++i) CHECK_FALSE(are_loops(names[i]));
#if defined(__x86_64__)
    CHECK_FALSE(are_loops(names[0]));
#endif
  };
  for (DType type : has_bf16() ? std::vector{DType::f32, DType::bf16} : std::vector{DType::f32}) {
    for (const auto& [in, out] :
         std::vector<std::pair<int64_t, int64_t>>{{3, 16}, {5, 7}, {8, 8}, {8, 16}, {16, 8}, {24, 24}}) {
      for (int64_t stride : {1, 2}) {
        const Conv2dParams params{.stride = stride, .padding = 1};
        ConvProblem p{"forward", {8, in, 8, 8}, {out, in, 3, 3}, {8, out, 8 / stride, 8 / stride}, type, params};
        CAPTURE(p.str(8));
        check_last(offered<ConvForward>(p));
        p.direction = "backward_data";
        check_last(offered<ConvBackwardData>(p));
        p.direction = "backward_weights";
        check_last(offered<ConvBackwardWeights>(p));
      }
    }
  }
}

TEST_CASE("conv choice: by rule Winograd is taken from 32 channels on, where it competes") {
  const Conv2dParams params{.padding = 1};
  const auto chosen_by_rule = [&](int64_t channels) {
    const OwnCache cache;
    set_algorithms(AlgorithmChoice::fixed);
    const ConvProblem p{"forward", {8, 32, 8, 8}, {channels, 32, 3, 3}, {8, channels, 8, 8}, DType::f32, params};
    const auto all = offered<ConvForward>(p);
    const auto found = chosen<ConvForward>(p, ConvForward::of(ConvTrial(p)), offered<ConvForward>);
    const auto competing = std::ranges::subrange(all.all.begin(), all.all.begin() + int64_t(all.competing));
    const bool may = std::ranges::any_of(competing, &Implementation<ConvForward>::transforms);
    return std::tuple(may, all.competing, all.all[all.find(found->name)].transforms);
  };
  const auto [may, competing, takes] = chosen_by_rule(32);
  CHECK(takes == may);
  const auto [_, few, takes_few] = chosen_by_rule(16);
  CHECK(takes_few == (few == 1 && may));
}

TEST_CASE("conv choice: kernels of our own compete where others read blocks, and come first where there are only fall-backs") {
  const ConvProblem plain{"forward", {8, 32, 8, 8}, {32, 32, 3, 3}, {8, 32, 8, 8}, DType::f32, {.padding = 1}};
  const auto with_ours = [](const ConvProblem& p, const Layout* first, const char* name) {
    Implementations<ConvForward> all{{{.name = name, .x = first, .y = first, .images = 1, .make = {}},
                                      {.name = "ref:any", .x = nullptr, .y = nullptr, .images = 1, .make = {}}},
                                     1};
    add_own_kernels(p, all);
    return all;
  };
  for (const auto& [groups, kernel] : {std::pair<int64_t, std::string>{1, "winograd_4x4:"}, {32, "depthwise:"}}) {
    ConvProblem p = plain;
    p.params.groups = groups;
    p.weight[1] = 32 / groups;
    CAPTURE(kernel);

    const Layout* blocks = blocked_layout(16);
    const auto beside = with_ours(p, blocks, "jit:any");
    REQUIRE(beside.all.size() == 3);
    CHECK(beside.competing == 2);
    CHECK(beside.all[1].name.starts_with(kernel));
    CHECK(beside.all[1].y == blocks);

    const auto instead = with_ours(p, nullptr, "gemm:any");
    REQUIRE(instead.all.size() == 3);
    CHECK(instead.competing == 1);
    CHECK(instead.all[0].name.starts_with(kernel));
    CHECK(instead.all[0].y == blocked_layout(std::max(simd_width(), 8)));

    ConvProblem few = p;
    few.x[1] = few.y[1] = few.weight[0] = few.params.groups = 3;
    few.weight[1] = 1;
    if (groups > 1) CHECK(with_ours(few, nullptr, "gemm:any").all[0].name == "gemm:any");
    ConvProblem few_outputs = p;  // of Winograd's
    few_outputs.y[1] = few_outputs.weight[0] = 3;
    if (groups == 1) CHECK(with_ours(few_outputs, nullptr, "gemm:any").all[0].name == "gemm:any");

    ConvProblem weights = p;
    weights.direction = "backward_weights";
    Implementations<ConvBackwardWeights> product{{{.name = "gemm:any", .x = nullptr, .y = nullptr, .images = 1, .make = {}}},
                                                 1};
    add_own_kernels(weights, product);
    REQUIRE(product.all.size() == 2);
    CHECK(product.all[0].name.starts_with(kernel));
    CHECK(product.competing == 2);
  }
  Implementations<ConvForward> nothing;
  add_own_kernels(plain, nothing);
  CHECK(nothing.all.empty());
}

TEST_CASE("conv choice: kernels of our own keep nothing of a weight, and multiply it by a scale") {
  for (const auto& [groups, kernel] : {std::pair<int64_t, std::string>{1, "winograd_4x4:"}, {64, "depthwise:"}}) {
    CAPTURE(kernel);
    const Shape images{8, 64, 8, 8};
    ConvProblem p{"forward", images, {64, 64 / groups, 3, 3}, images, DType::f32, {.padding = 1, .groups = groups}};
    const auto ours = [&](const auto& offered) {
      const auto at = std::ranges::find_if(offered.all, [&](const auto& one) { return one.name.starts_with(kernel); });
      REQUIRE(at != offered.all.end());
      return at->make();
    };
    const ConvTrial trial(p);
    const auto solve = ours(offered<ConvForward>(p));
    const ConvForward::Operands operands = ConvForward::of(trial);
    const size_t before = memory_stats().in_use;
    for (int i = 0; i < 2; ++i) solve(operands);
    CHECK(memory_stats().in_use == before);

    Philox generator(5);
    const Tensor scale = normal({64}, generator), scaled = trial.weight * scale.reshape({64, 1, 1, 1}), none;
    const Then then;
    CHECK(same_bits(solve({trial.x, trial.weight, none, scale, then}), solve({trial.x, scaled, none, none, then})));

    p.direction = "backward_data";
    const ConvTrial gradients(p);
    const auto back = ours(offered<ConvBackwardData>(p));
    const size_t held = memory_stats().in_use;
    for (int i = 0; i < 2; ++i) back(ConvBackwardData::of(gradients));
    CHECK(memory_stats().in_use == held);
  }
}

}  // namespace az::test
