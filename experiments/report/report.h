#pragma once

#include <string>
#include <vector>

namespace az::experiments {

struct ReportOptions {
  std::string title = {};  // by default that of the lesson, the run's name, or the number of runs
};

// One HTML page about the runs in these folders, complete in itself: it opens from disk and asks nothing of a network. Files
// may be missing, cut or damaged: the page says so. Throws ConfigError for a folder that is not there or holds no run.
std::string report_html(const std::vector<std::string>& run_folders, const ReportOptions& options = {});

}  // namespace az::experiments
