#pragma once

#include <string>

// A network of 362 parameters on 64 drawings, four steps an epoch; a fraction of a second. `extra` goes in after "train".
inline std::string tiny_config(const std::string& train = R"({"epochs": 3, "log_every": 1})", const std::string& extra = "") {
  return R"({
  "name": "tiny",
  "seed": 3,
  "data": {"type": "shapes", "train_images": 60, "test_images": 30, "batch_size": 16, "augment": [{"type": "horizontal_flip"}]},
  "model": {"type": "network", "layers": [
    {"type": "conv2d", "out_channels": 8, "stride": 4, "padding": 1},
    {"type": "batch_norm"},
    {"type": "relu"},
    {"type": "global_avg_pool"},
    {"type": "dropout", "probability": 0.1},
    {"type": "linear", "out_features": 10}
  ]},
  "optimizer": {"type": "sgdp", "lr": 0.1, "momentum": 0.9, "nesterov": true, "weight_decay": 1e-4},
  "schedule": {"type": "cosine"},
  "train": )" +
         train + extra + "\n}\n";
}
