#include "experiments/report/report.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/base/files.h"
#include "experiments/html.h"
#include "experiments/report/page.h"
#include "experiments/report/page_data.h"
#include "experiments/report/run_names.h"

namespace az::experiments {
namespace {

namespace fs = std::filesystem;

std::string title_of(const std::vector<RunData>& runs, const std::vector<config::Value>& lessons) {
  for (const config::Value& lesson : lessons) {
    if (const std::string title = string_at(lesson, "title"); !title.empty()) return title;
  }
  if (runs.size() != 1) return fmt::format("{} runs", runs.size());
  const std::string name = string_at(runs.front().config, "name");
  return name.empty() ? runs.front().folder : name;
}

// The folders, each of a lesson or a sweep followed by the runs that lie in it.
std::vector<std::string> with_runs_within(const std::vector<std::string>& folders) {
  std::vector<std::string> all;
  std::set<fs::path> listed;
  const auto add = [&](const fs::path& folder) {
    if (listed.insert(fs::absolute(folder).lexically_normal() / "").second) all.push_back(folder.string());
  };
  for (const std::string& folder : folders) {
    std::vector<fs::path> within;
    std::error_code absent;
    for (fs::directory_iterator at(folder, absent), end; at != end; at.increment(absent)) {
      try {
        if (holds_run(at->path().string())) within.push_back(at->path());
      } catch (const FileError&) {}  // such as lost+found, which may not be entered
    }
    std::sort(within.begin(), within.end(),
              [](const fs::path& a, const fs::path& b) { return comes_before(a.filename().string(), b.filename().string()); });
    const bool holds = !within.empty() && holds_run(folder);
    if (holds || within.empty()) add(folder);
    if (holds && !is_there(folder + "/lesson.json")) continue;
    for (const fs::path& run : within) add(run);
  }
  return all;
}

}  // namespace

std::string report_html(const std::vector<std::string>& run_folders, const ReportOptions& options) {
  if (run_folders.empty()) throw ConfigError("a report needs a run folder at least");
  std::vector<RunData> runs;
  std::vector<config::Value> lessons;
  for (const std::string& folder : with_runs_within(run_folders)) {
    RunData run = read_run(folder);
    if (run.lesson.is_object()) lessons.push_back(run.lesson);
    // A lesson's folder may hold its table alone, the trainings lying below it.
    if (!run.lesson.is_object() || run.trained()) runs.push_back(std::move(run));
  }
  const std::string title = options.title.empty() ? title_of(runs, lessons) : options.title;
  std::string page(report_page());
  const auto put = [&](const std::string& mark, const std::string& text) { page.replace(page.find(mark), mark.size(), text); };
  put("@data@", page_data(runs, lessons, title));
  put("@title@", escaped_html(title));
  return page;
}

}  // namespace az::experiments
