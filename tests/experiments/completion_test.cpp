// Completion in bash, run as bash runs it.
#include <doctest/doctest.h>

#include <filesystem>
#include <sstream>

#include "core/base/files.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"

using az::write_file;

namespace {

// What bash prints that reads the completion, calls it for `azimuth LINE` with the cursor at the end, and runs `then`.
std::string completed(const std::string& folder, const std::string& line, const std::string& then) {
  const std::string script = folder + "/script";
  write_file(script, R"(cd "$2" && source <("$1" describe --as bash)
compopt() { options+=" $2"; }
read -ra COMP_WORDS <<<"azimuth $3"
[[ $3 != *" " ]] || COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
function=$(complete -p azimuth) function=${function#*-F } function=${function%% *}
before=$(compgen -A function)
$function azimuth "${COMP_WORDS[COMP_CWORD]}"
)" + then);
  const CommandResult result = run_through({"bash", script}, {folder, line});
  CHECK(result.err == "");
  return result.out;
}

}  // namespace

TEST_CASE("completion in bash takes what stands for files as such, and nothing else") {
  TemporaryFolder temporary;
  const std::string folder = temporary.path.string();
  std::filesystem::create_directories(folder + "/my runs");
  write_file(folder + "/my config.json", "{}");
  write_file(folder + "/other", "");
  const auto options = [&](const std::string& line) {
    return completed(folder, line, "printf '%s|' \"${COMPREPLY[@]}\"; echo \"$options\"");
  };
  CHECK(options("train x.json --set optimizer.l") == "optimizer.lr=| nospace\n");
  CHECK(options("train --ru") == "--run|\n");
  CHECK(options("tra") == "train|\n");
  CHECK(options("train x.json --set no_such") == "|\n");
  CHECK(options("check my") == "my config.json|my runs| filenames filenames\n");
  CHECK(options("resume my") == "my runs| filenames\n");
  CHECK(options("report x -o ot") == "other| filenames\n");
}

TEST_CASE("completion in bash leaves no function of a common name behind") {
  TemporaryFolder temporary;
  std::istringstream functions(completed(temporary.path.string(), "train ", "compgen -A function"));
  size_t count = 0;
  for (std::string name; functions >> name;) {
    if (name == "compopt") continue;  // this test's
    CAPTURE(name);
    CHECK(name.rfind("_azimuth", 0) == 0);
    ++count;
  }
  CHECK(count > 0);
}
