#include "experiments/score.h"

#include <fmt/format.h>

namespace az::experiments {

void Score::add(double loss, const Tensor& logits, const Tensor& labels) {
  const Tensor rows = logits.detach().to(DType::f32).plain();
  const int64_t count = rows.size(0), classes = rows.size(1);
  const float* row = rows.data<float>();
  const int64_t* label = labels.data<int64_t>();
  for (int64_t i = 0; i < count; ++i, row += classes) {
    const float own = row[label[i]];
    int64_t ahead = 0;
    for (int64_t c = 0; c < classes; ++c) ahead += c != label[i] && !(row[c] < own);
    correct += ahead == 0;
    top5 += ahead < 5;
  }
  loss_sum += loss * double(count);
  images += count;
}

void Score::add(const Score& other) {
  loss_sum += other.loss_sum;
  correct += other.correct;
  top5 += other.top5;
  images += other.images;
}

std::string percent(double share, int decimals) {
  const auto text = [&](double part) { return fmt::format("{:.{}f}", 100 * part, decimals); };
  while (share > 0 && share < 1 && decimals < 12 && (text(share) == text(0) || text(share) == text(1))) ++decimals;
  return text(share);
}

}  // namespace az::experiments
