// What a scorecard says of what the judges found.
#include "experiments/invariance/scorecard.h"

#include <doctest/doctest.h>

#include "core/config/json_document.h"
#include "tests/compare.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;
using test::has;

TEST_CASE(
    "Where the graph finds no proof and the other judges contradict it, the words say so, with the rate of the view that fired") {
  const ScaleDependence broken{
      .kind = ScaleDependence::Kind::broken, .op = "conv2d", .scope = "1", .reason = "comes after a shift"};
  Judged one;
  one.by_channel = one.by_layer = broken;
  one.norm = one.gradient_norm = 1, one.loss = 2;
  one.scaled = one.scaled_channels = {{0.5, 2}, {2, 2}, {10, 2}};
  one.layer_cosines = {0.05};
  one.channel_hit_rate = 1, one.layer_hit_rate = 0.25;
  CHECK(has(words(one), "The graph cannot show it to be invariant: conv2d in 1 comes after a shift; "));
  CHECK(has(words(one), "numbers take it for invariant at these weights"));
  CHECK(has(words(one), "SGDP's rule takes it for invariant: it holds for every channel in 100 % of the batches"));
  one.channel_hit_rate = 0.2, one.layer_hit_rate = 0.75;
  CHECK(has(words(one), "The graph cannot show it"));
  CHECK(has(words(one), "SGDP's rule takes it for invariant: it holds in 75 % of the batches"));
  one.layer_hit_rate = 0.25;
  CHECK(has(words(one), "Its length matters: conv2d in 1 comes after a shift; "));
  CHECK(has(words(one), "SGDP's rule agrees: it holds in 25 % of the batches"));
}

TEST_CASE("More batches than an epoch has are drawn anew from the epochs after it") {
  register_builtin();
  const auto config = config::parse<ExperimentConfig>(config::parse_text(tiny_config(), "exp.json"));
  const Scorecard scorecard = judge_config(config, 8);  // of 4 an epoch
  const auto& cosines = scorecard.parameters.at(0).layer_cosines;
  REQUIRE(cosines.size() == 8);
  for (size_t i = 0; i < 8; ++i) {
    for (size_t k = 0; k < i; ++k) CHECK(cosines[i] != cosines[k]);
  }
}
