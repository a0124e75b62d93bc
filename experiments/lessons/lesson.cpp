#include "experiments/lessons/lesson.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "core/base/ascii.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/config/json_document.h"
#include "experiments/report/report.h"
#include "experiments/run_folder.h"
#include "experiments/trainer.h"

namespace az::experiments {
namespace {

using config::Value;

// "SGDP, beta 0.9" -> "sgdp-beta-0.9"
std::string folder_name(const std::string& name) {
  std::string result;
  for (const char c : name) {
    const bool kept = is_letter(c) || is_digit(c) || c == '.' || c == '_';
    if (kept) result += to_lower(c);
    if (!kept && !result.empty() && result.back() != '-') result += '-';
  }
  return result;
}

}  // namespace

LessonRun::LessonRun(const Lesson& lesson, std::string folder) : lesson_(lesson), folder_(std::move(folder)) {}

std::string LessonRun::add_run(const std::string& name) {
  runs_.push_back(create_run_folder(name, folder_ + "/" + folder_name(name)));
  return runs_.back();
}

void LessonRun::compare(const Comparison& comparison) { table_.push_back(comparison); }

std::string LessonRun::lesson_json() const {
  Value::Array rows;
  for (const Comparison& row : table_) rows.push_back(to_value(row));
  const Value lesson = Value::Object{{"name", lesson_.name},
                                     {"title", lesson_.title},
                                     {"question", lesson_.question},
                                     {"formula", lesson_.formula},
                                     {"rows", rows}};
  return config::dump(lesson, 2) + "\n";
}

std::string LessonRun::table_text() const {
  std::vector<std::array<std::string, 6>> lines = {{"", "prediction", "measured", "relative error", "allowed", ""}};
  for (const Comparison& row : table_) {
    const auto [predicted, measured, error, allowed] = text_of(row);
    lines.push_back({row.what, predicted, measured, error, allowed, row.holds() ? "" : "  DOES NOT HOLD"});
  }
  std::array<size_t, 6> widths{};
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const auto& [what, predicted, measured, error, allowed, verdict] : lines) {
    text += fmt::format("{:<{}}  {:>{}}  {:>{}}  {:>{}}  {:>{}}{}\n", what, widths[0], predicted, widths[1], measured,
                        widths[2], error, widths[3], allowed, widths[4], verdict);
  }
  return text;
}

void LessonRun::check() const {
  std::string failed;
  for (const Comparison& row : table_) {
    if (row.holds()) continue;
    const ComparisonText text = text_of(row);
    failed +=
        fmt::format("{}\"{}\": predicted {}, measured {}", failed.empty() ? "" : "; ", row.what, text.predicted, text.measured);
  }
  if (table_.empty()) throw Error(fmt::format("lesson {}: it compared nothing", lesson_.name));
  if (!failed.empty()) throw Error(fmt::format("lesson {}: outside the tolerance: {}", lesson_.name, failed));
}

LessonRun teach(const Lesson& lesson, const std::string& folder) {
  register_builtin();
  LessonRun run(lesson, folder);
  write_file(folder + "/config.json", config::dump(Value::Object{{"name", "lesson-" + lesson.name}}, 2) + "\n");
  lesson.teach(run);
  write_file(folder + "/lesson.json", run.lesson_json());
  std::vector<std::string> folders = {folder};
  folders.insert(folders.end(), run.runs().begin(), run.runs().end());
  write_file(folder + "/report.html", report_html(folders));
  return run;
}

std::string train(LessonRun& run, const std::string& name, const std::string& config,
                  const std::vector<std::string>& overrides) {
  const std::string folder = run.add_run(name), file = folder + "/config.json";
  write_file(file, config);
  ExperimentConfig resolved = load_config(file, overrides);
  resolved.name = name;
  write_file(file, to_json(resolved));
  Experiment experiment(std::move(resolved));
  const TrainingResult result = Trainer(experiment, folder).run();
  if (result.exit != Exit::done) throw Error(fmt::format("the lesson was stopped while it trained {}", name), result.exit);
  return folder;
}

}  // namespace az::experiments
