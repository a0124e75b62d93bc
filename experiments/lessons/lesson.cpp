#include "experiments/lessons/lesson.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/ascii.h"
#include "core/config/json_document.h"
#include "core/error.h"
#include "core/files.h"
#include "experiments/report/report.h"
#include "experiments/run_folder.h"
#include "experiments/trainer.h"

namespace az::experiments {
namespace {

using config::Value;

const char* sign_of(Measured is) { return is == Measured::near ? "=" : is == Measured::below ? "<" : ">"; }

std::string prediction_text(const Comparison& row) {
  return row.is == Measured::near ? fmt::format("{:.6g}", row.predicted)
                                  : fmt::format("{} {:.6g}", sign_of(row.is), row.predicted);
}

std::string error_text(const Comparison& row) {
  return std::isnan(row.relative_error()) ? "" : fmt::format("{:.1e}", row.relative_error());
}

std::string tolerance_text(const Comparison& row) {
  if (row.is != Measured::near) return "";
  return row.absolute_tolerance > 0 ? fmt::format("+- {:.2g}", row.absolute_tolerance) : fmt::format("{:.2g}", row.tolerance);
}

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

double Comparison::relative_error() const {
  return is == Measured::near && predicted != 0 ? std::abs(measured - predicted) / std::abs(predicted) : NAN;
}

bool Comparison::holds() const {
  if (is == Measured::below) return measured < predicted;
  if (is == Measured::above) return measured > predicted;
  return std::abs(measured - predicted) <= std::max(absolute_tolerance, tolerance * std::abs(predicted));
}

LessonRun::LessonRun(const Lesson& lesson, std::string folder) : lesson_(lesson), folder_(std::move(folder)) {}

std::string LessonRun::add_run(const std::string& name) {
  runs_.push_back(create_run_folder(name, folder_ + "/" + folder_name(name)));
  return runs_.back();
}

void LessonRun::compare(const Comparison& comparison) { table_.push_back(comparison); }

std::string LessonRun::lesson_json() const {
  Value::Array rows;
  for (const Comparison& row : table_) {
    rows.emplace_back(Value::Object{{"what", row.what},
                                    {"relation", sign_of(row.is)},
                                    {"predicted", row.predicted},
                                    {"measured", row.measured},
                                    {"relative_error", row.relative_error()},
                                    {"tolerance", row.tolerance > 0 ? row.tolerance : NAN},
                                    {"absolute_tolerance", row.absolute_tolerance > 0 ? row.absolute_tolerance : NAN},
                                    {"holds", row.holds()}});
  }
  const Value lesson = Value::Object{{"name", lesson_.name},
                                     {"title", lesson_.title},
                                     {"question", lesson_.question},
                                     {"formula", lesson_.formula},
                                     {"rows", rows}};
  return config::dump(lesson, 2) + "\n";
}

std::string LessonRun::table_text() const {
  size_t width = 0;
  for (const Comparison& row : table_) width = std::max(width, row.what.size());
  std::string text =
      fmt::format("{:<{}}  {:>12}  {:>12}  {:>14}  {:>10}\n", "", width, "prediction", "measured", "relative error", "tolerance");
  for (const Comparison& row : table_) {
    text += fmt::format("{:<{}}  {:>12}  {:>12.6g}  {:>14}  {:>10}{}\n", row.what, width, prediction_text(row), row.measured,
                        error_text(row), tolerance_text(row), row.holds() ? "" : "  DOES NOT HOLD");
  }
  return text;
}

void LessonRun::check() const {
  std::string failed;
  for (const Comparison& row : table_) {
    if (row.holds()) continue;
    failed += fmt::format("{}\"{}\": predicted {}, measured {:.6g}", failed.empty() ? "" : "; ", row.what, prediction_text(row),
                          row.measured);
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

std::string train(LessonRun& run, const std::string& name, const std::string& config, const std::vector<std::string>& overrides) {
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
