#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "experiments/score.h"

namespace az::experiments {

// One finished epoch.
struct EpochSummary {
  int64_t epoch = 0, epochs = 0, step = 0;
  double lr = 0;  // of the last step
  Score train;    // running: measured on each batch before its update
  std::optional<Score> validation = {};
  std::optional<Score> test = {};  // absent in an epoch without evaluation
  double seconds = 0;              // of training, without evaluation
  double images_per_second = 0;
  double seconds_left = 0;
};

// "epoch  1/30  lr 0.1000  train 1.5321 44.10 % (top-5 91.20 %)  test ...  912 images/s  12:03 left"
std::string epoch_line(const EpochSummary& summary);
// "0:07", "12:03", "1:02:03"
std::string duration(double seconds);

// What someone watching sees, on stderr: a bar on a terminal, a line an epoch everywhere. NO_COLOR (not empty) turns colour
// off.
class Progress {
 public:
  Progress();
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;

  struct Step {
    int64_t epoch, epochs, batch, batches;
    double loss, images_per_second, seconds_left;
  };
  void step(const Step& now);
  void epoch(const EpochSummary& summary);
  void say(const std::string& line);
  // Takes the bar off the line, for whoever writes there next.
  void clear();

 private:
  bool terminal_;
  bool color_;
  bool drawn_ = false;
  double drawn_at_ = 0;
};

// The bar in `width` columns, without colour: "epoch 3/30 [====>    ]  32 %  loss 0.812  512 images/s  0:12 left".
std::string progress_bar(const Progress::Step& now, int width);

}  // namespace az::experiments
