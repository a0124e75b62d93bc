#pragma once

#include <string>
#include <vector>

#include "experiments/lessons/comparison.h"

namespace az::experiments {

class LessonRun;

// An effect shown beside its theory. Each has a folder here, with its code and its page; builtin.cpp lists them.
struct Lesson {
  std::string name, title;
  std::string question, formula;  // one line each
  void (*teach)(LessonRun& run);  // trains and compares
};

// A lesson being taught in a folder. Each of its trainings is a run folder below that, for the report.
class LessonRun {
 public:
  LessonRun(const Lesson& lesson, std::string folder);

  const std::string& folder() const { return folder_; }
  const std::vector<std::string>& runs() const { return runs_; }
  const std::vector<Comparison>& table() const { return table_; }

  // Makes the folder of a training named so ("SGDP, beta 0.9": sgdp-beta-0.9) and gives its path.
  std::string add_run(const std::string& name);
  void compare(const Comparison& comparison);

  std::string lesson_json() const;
  // The table as text, a line a comparison.
  std::string table_text() const;
  // Throws Error that names what is outside its tolerance.
  void check() const;

 private:
  const Lesson& lesson_;
  std::string folder_;
  std::vector<std::string> runs_;
  std::vector<Comparison> table_;
};

// Teaches a lesson in a folder that exists, and leaves its trainings, lesson.json and report.html there. Whether the
// predictions hold is for check() to say.
LessonRun teach(const Lesson& lesson, const std::string& folder);

// Trains what that JSON says, with `--set` overrides, in a run folder of that name below the lesson's. Gives the run folder.
std::string train(LessonRun& run, const std::string& name, const std::string& config,
                  const std::vector<std::string>& overrides = {});

}  // namespace az::experiments
