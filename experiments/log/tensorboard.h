#pragma once

#include <optional>
#include <string_view>

#include "core/base/files.h"
#include "experiments/log/mirror.h"
#include "experiments/measurement.h"

namespace az::experiments {

// An event file of TensorBoard: each number at its step, as scalar "KIND/KEY", or "KIND/KEY/NAME" where a line is about a
// parameter or a module; a word that was declared as its place. Each event keeps the time it was written at: a file that is
// there stays as it is up to the first event that `lines` do not bear out.
class TensorboardMirror : public Mirror {
 public:
  TensorboardMirror(const std::string& folder, Measurements declared, const std::vector<MetricLine>& lines);
  void write(const std::string& kind, const MetricFields& fields) override;
  void sync() override { file_->sync(); }

 private:
  Measurements declared_;
  std::optional<OutputFile> file_;
};

// CRC-32C (Castagnoli, RFC 3720).
uint32_t crc32c(std::string_view bytes);

}  // namespace az::experiments
