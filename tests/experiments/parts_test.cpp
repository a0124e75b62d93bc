// The small parts that a run is made of.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>

#include "core/autograd/autograd.h"
#include "core/base/files.h"
#include "core/config/json_document.h"
#include "core/ops/elementwise.h"
#include "core/tensor/create.h"
#include "experiments/checkpoint.h"
#include "experiments/diagnose.h"
#include "experiments/experiment.h"
#include "experiments/metrics.h"
#include "experiments/progress.h"
#include "experiments/step.h"
#include "nn/layers/activations.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/sequential.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;

TEST_CASE("percent never makes all of a part, nor nothing") {
  CHECK(percent(0.9996) == "99.96");
  CHECK(percent(0.99996) == "99.996");
  CHECK(percent(49999 / 50000.) == "99.998");
  CHECK(percent(0.9999999) == "99.99999");
  CHECK(percent(1) == "100.00");
  CHECK(percent(0) == "0.00");
  CHECK(percent(1e-5) == "0.001");
  CHECK(percent(0.123456) == "12.35");
  CHECK(percent(0.998, 0) == "99.8");
  CHECK(percent(0.002, 0) == "0.2");
  CHECK(percent(0.5, 0) == "50");
  CHECK(percent(NAN) == "nan");
}

TEST_CASE("a score counts ties and NaN against the label") {
  Score score;
  const Tensor labels = Tensor::of<int64_t>({4}, {0, 1, 2, 0});
  const float nan = NAN;
  score.add(0.5, Tensor::of<float>({4, 7}, {3,   2, 1, 0, 0, 0, 0,    // the label comes first,
                                            7,   3, 6, 5, 4, 2, 1,    // fifth,
                                            7,   6, 2, 5, 4, 3, 1,    // sixth,
                                            nan, 1, 1, 1, 1, 1, 1}),  // and last
            labels);
  CHECK(score.accuracy() == 0.25);
  CHECK(score.top5_accuracy() == 0.5);
  CHECK(score.loss() == 0.5);
  score.add(2, Tensor::of<float>({1, 2}, {1, 1}), Tensor::of<int64_t>({1}, {0}));
  CHECK(score.accuracy() == 0.2);
  CHECK(score.loss() == doctest::Approx((0.5 * 4 + 2) / 5).epsilon(1e-15));
}

TEST_CASE("metrics lines are JSON, with null for what is not finite") {
  CHECK(metrics_line("step", {{"step", int64_t(3)},
                              {"loss", NAN},
                              {"lr", 0.1},
                              {"best", std::optional<double>{}},
                              {"run", std::string("a\"b")}}) ==
        "{\"kind\":\"step\",\"step\":3,\"loss\":null,\"lr\":0.1,\"best\":null,\"run\":\"a\\\"b\"}\n");
}

TEST_CASE("a metrics log goes on after the bytes it is told to keep") {
  TemporaryFolder folder;
  const std::string path = (folder.path / "metrics.jsonl").string();
  int64_t kept = 0;
  {
    MetricsLog log(path, 0);
    log.write("a", {});
    kept = log.bytes();
    log.write("b", {});
  }
  {
    MetricsLog log(path, kept);
    log.write("c", {});
  }
  CHECK(read_file(path) == "{\"kind\":\"a\"}\n{\"kind\":\"c\"}\n");
  MetricsLog longer(path, 1000);
  CHECK(longer.bytes() == 26);
  const std::string refusal = "another program is writing to " + path + "; two cannot train in one run folder";
  CHECK_THROWS_WITH_AS(MetricsLog(path, 0), refusal.c_str(), Error);
}

TEST_CASE("a checkpoint comes back as it was, and replacing one leaves nothing beside it") {
  TemporaryFolder folder;
  const std::string path = (folder.path / "checkpoints/last").string();
  Checkpoint checkpoint;
  checkpoint.model.tensors["w"] = Tensor::of<float>({2}, {1, 2});
  checkpoint.optimizer.tensors["steps"] = Tensor::of<int64_t>({}, {7});
  checkpoint.state = {.epochs = 3,
                      .step = 70,
                      .batches = 2,
                      .random = {.seed = ~uint64_t(0), .draws = 9},
                      .lr = 0.1,
                      .best_accuracy = 1.0 / 3,
                      .best_epoch = 2,
                      .metrics_bytes = 99};
  checkpoint.state.train = {.loss_sum = 0.1 + 0.2, .correct = 1, .top5 = 2, .images = 3};
  save_checkpoint(path, checkpoint);
  checkpoint.state.step = 71;
  save_checkpoint(path, checkpoint);
  const Checkpoint back = load_checkpoint(path);
  CHECK(back.state.epochs == 3);
  CHECK(back.state.step == 71);
  CHECK(back.state.batches == 2);
  CHECK(back.state.best_epoch == 2);
  CHECK(back.state.lr == 0.1);
  CHECK(back.state.metrics_bytes == 99);
  CHECK(back.state.train.loss_sum == 0.1 + 0.2);
  CHECK(back.state.random.seed == ~uint64_t(0));
  CHECK(*back.state.best_accuracy == 1.0 / 3);
  CHECK(back.model.tensors.at("w").to_vector<float>() == std::vector<float>{1, 2});
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path / "checkpoints"), {}) == 1);

  std::filesystem::create_directories(path + ".old");  // left by a crash
  save_checkpoint(path, checkpoint);
  CHECK_FALSE(std::filesystem::exists(path + ".old"));

  std::filesystem::rename(path, path + ".old");  // what a file system without exchange leaves when interrupted
  CHECK(load_checkpoint(path).state.step == 71);
}

TEST_CASE("durations") {
  CHECK(duration(7.4) == "0:07");
  CHECK(duration(723) == "12:03");
  CHECK(duration(3723) == "1:02:03");
  CHECK(duration(INFINITY) == "-:--");
}

TEST_CASE("the progress bar never fills the line") {
  const Progress::Step now{
      .epoch = 3, .epochs = 30, .batch = 125, .batches = 250, .loss = 0.8123, .images_per_second = 512.4, .seconds_left = 12};
  CHECK(progress_bar(now, 80) == "epoch 3/30 [===========>          ]  50 %  loss 0.8123  512 images/s  0:12 left");
  for (int width = 1; width < 200; ++width) CHECK(int(progress_bar(now, width).size()) < std::max(width, 2));
}

TEST_CASE("the first bad layer is named") {
  nn::Sequential net;
  net.append(std::make_unique<nn::Conv2d>(3, nn::Conv2dOptions{.out_channels = 2}));
  net.append(std::make_unique<nn::ReLU>());
  const Tensor images = ones({1, 3, 8, 8});
  CHECK(first_bad_layer(net, images) == "the loss itself");
  CHECK(first_bad_layer(net, full({1, 3, 8, 8}, INFINITY)) == "in the images");
  Tensor weight = net.parameters()[0].tensor;
  {
    NoGrad no_grad;
    weight.fill_(1e38);
  }
  CHECK(first_bad_layer(net, images * 100) == "in the output of 0 (" + net.module("0").describe() + ")");
  NoGrad no_grad;
  weight.fill_(NAN);
  CHECK(first_bad_layer(net, images) == "in 0.weight");
}

TEST_CASE("a config that a program made or changed is held to the rules that JSON is held to") {
  register_builtin();
  const auto config = config::parse<ExperimentConfig>(config::parse_text(tiny_config(), "exp.json"));
  const auto refusal = [&](const std::function<void(ExperimentConfig&)>& change) {
    ExperimentConfig changed = config;
    change(changed);
    const std::string blueprint = test::error_of([&] { Blueprint{changed}; });
    CHECK(test::error_of([&] { Experiment{changed}; }) == blueprint);
    CHECK(test::error_of([&] { Experiment(changed, Purpose::evaluation); }) == blueprint);
    return blueprint;
  };
  using C = ExperimentConfig;
  CHECK(refusal([](C&) {}) == "no error");
  CHECK(refusal([](C& c) { c.train.accumulate = 0; }) == "train.accumulate: must be at least 1, got 0");
  CHECK(refusal([](C& c) { c.train.epochs = -3; }) == "train.epochs: must be at least 1, got -3");
  CHECK(refusal([](C& c) { c.train.clip_norm = NAN; }) == "train.clip_norm: expected a finite number, got NaN");
  CHECK(refusal([](C& c) { c.train.clip_value = INFINITY; }) == "train.clip_value: expected a finite number, got infinity");
  CHECK(refusal([](C& c) { c.train.log_every = 0; }) == "train.log_every: must be at least 1, got 0");
  CHECK(refusal([](C& c) { c.train.threads = -2; }) == "train.threads: must be at least 1, got -2");
  CHECK(refusal([](C& c) { c.train.precision = "f16"; }).starts_with("train.precision: must be one of"));
  CHECK(refusal([](C& c) {
          c.train.evaluation.test_time_augmentation = "rotate";
        }).starts_with("train.evaluation.test_time_augmentation: must be one of \"none\", \"flip\""));
  CHECK(refusal([](C& c) { c.train.evaluation.every_epochs = 0; }) ==
        "train.evaluation.every_epochs: must be at least 1, got 0");
  CHECK(refusal([](C& c) { c.train.label_smoothing = 1; }) == "train.label_smoothing: must be less than 1, got 1.0");
  CHECK(refusal([](C& c) { c.checkpoint.every_epochs = 0; }) == "checkpoint.every_epochs: must be at least 1, got 0");
  CHECK(refusal([](C& c) { c.checkpoint.keep = {"first"}; }).starts_with("checkpoint.keep.0: must be one of"));
  CHECK(refusal([](C& c) { c.log = {"csv", "csv"}; }).starts_with("log.1: \"csv\" is in the list twice"));
  CHECK(refusal([](C& c) { c.seed = -1; }) == "seed: must be at least 0, got -1");
  CHECK(refusal([](C& c) { c.name = "a/b"; }).starts_with("name: "));
  CHECK(refusal([](C& c) { c.model = {}; }).starts_with("model: expected an object with a \"type\", got null"));

  Experiment experiment(config);
  CHECK(experiment.config.model.place() == config.model.place());
  CHECK(test::error_of([&] {
          evaluate(*experiment.model, experiment.test, {.test_time_augmentation = "rotate"});
        }).starts_with("evaluation.test_time_augmentation: must be one of"));
}
