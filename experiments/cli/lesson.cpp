// azimuth lesson
#include "experiments/lessons/lesson.h"

#include <fmt/core.h>

#include <memory>

#include "core/config/json_document.h"
#include "experiments/cli/command_line.h"
#include "experiments/cli/commands.h"
#include "experiments/lessons/builtin.h"
#include "experiments/run_folder.h"
#include "experiments/say.h"

namespace az::cli {
namespace {

using namespace experiments;

struct Arguments {
  std::string name, run;
  bool json = false;
};

void list(bool json) {
  config::Value::Array all;
  for (const Lesson& lesson : lessons()) {
    if (!json) fmt::print("{:<14} {}\n", lesson.name, lesson.title);
    all.emplace_back(config::Value::Object{
        {"name", lesson.name}, {"title", lesson.title}, {"question", lesson.question}, {"formula", lesson.formula}});
  }
  if (json) fmt::print("{}\n", config::dump(all, 2));
}

void show(const Arguments& arguments) {
  const Lesson& lesson = find_lesson(arguments.name);
  const std::string wanted = arguments.run.empty() ? "" : check_run_folder(arguments.run);
  const std::string folder = create_run_folder("lesson-" + lesson.name, wanted);
  say("{}\n{}\n  {}", lesson.title, lesson.question, lesson.formula);
  const LessonRun run = teach(lesson, folder);
  fmt::print("{}", arguments.json ? run.lesson_json() : run.table_text());
  say("{}/report.html: open it in a browser; experiments/lessons/{}/README.md goes with it", folder, lesson.name);
  run.check();
}

}  // namespace

void add_lesson_command(CommandDeclaration& program, Outcome&) {
  auto arguments = std::make_shared<Arguments>();
  CommandDeclaration command = program.command("lesson", "Take a lesson on scale invariance, or list them");
  command.takes("name", arguments->name, lesson_name, "which; without one all are listed");
  command.takes("--run", arguments->run, any_folder, "run folder to make; by default runs/lesson-<name>");
  command.takes_flag("--json", arguments->json, "print JSON");
  command.runs([=] { arguments->name.empty() ? list(arguments->json) : show(*arguments); });
}

}  // namespace az::cli
