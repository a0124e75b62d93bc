#pragma once

#include <string>
#include <vector>

#include "experiments/report/run_data.h"

namespace az::experiments {

// The JSON that a report's page carries and draws: runs, lessons and title. Long lines are thinned out, so that a page holds
// about a million numbers at the most; "<" is written as \u003c.
std::string page_data(const std::vector<RunData>& runs, const std::vector<config::Value>& lessons, const std::string& title);

}  // namespace az::experiments
