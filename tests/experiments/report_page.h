#pragma once

#include <filesystem>
#include <string>

#include "core/base/files.h"
#include "experiments/metrics.h"
#include "experiments/report/report.h"

// A run's folder with these two files.
inline std::string write_run(const std::filesystem::path& folder, const std::string& metrics,
                             const std::string& config = R"({"name": "a"})") {
  std::filesystem::create_directories(folder);
  if (!config.empty()) az::write_file((folder / "config.json").string(), config);
  az::write_file((folder / "metrics.jsonl").string(), metrics);
  return folder.string();
}

// The data that a page carries, as a browser would read it; Json has parse(), as nlohmann::json.
template <class Json> Json data_in(const std::string& page) {
  const std::string start = R"(<script type="application/json" id="data">)";
  const size_t from = page.find(start) + start.size();
  return Json::parse(page.substr(from, page.find("</script>", from) - from));
}

template <class Json> Json only_run(const std::string& folder) {
  return data_in<Json>(az::experiments::report_html({folder}))["runs"][0];
}

inline std::string probe_line(int64_t step, const std::string& parameter, double norm, double effective_step,
                              int64_t epoch = 1) {
  return az::experiments::metrics_line("scale_invariance", {{"step", step},
                                                            {"epoch", epoch},
                                                            {"parameter", parameter},
                                                            {"norm", norm},
                                                            {"scaled_cosine", 0.5},
                                                            {"scaled_channel_cosine_max", 0.75},
                                                            {"effective_step", effective_step},
                                                            {"radial", -0.25},
                                                            {"projected", std::string("channel")}});
}
