#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "experiments/metrics.h"

namespace az::experiments {

// All other forms of a run's metrics.jsonl in one, brought to what it holds. "csv": <folder>/metrics.csv; "tensorboard":
// <folder>/tensorboard/. Nothing is thrown where a file cannot be read or written, now or later: note(text) tells of it once,
// and the form ends there until it is made again. Lines that cannot be read are told of likewise.
std::unique_ptr<Mirror> make_mirror(const std::vector<std::string>& forms, const std::string& folder,
                                    std::function<void(const std::string&)> note);

}  // namespace az::experiments
