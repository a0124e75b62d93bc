#include "experiments/run_folder.h"

#include <array>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/backend/info.h"
#include "core/backend/threads.h"
#include "core/error.h"

namespace az::experiments {
namespace {

namespace fs = std::filesystem;

// Whether it was made now: false when something of that name exists.
bool make_folder(const std::string& path) {
  std::error_code error;
  const fs::path parent = fs::path(path).parent_path();
  if (!parent.empty()) fs::create_directories(parent, error);
  const bool made = !error && fs::create_directory(path, error);
  if (error) {
    throw ConfigError(
        fmt::format("cannot make the run folder {}: {}; choose another place with --run DIR", path, error.message()));
  }
  return made;
}

// The first line a command prints, or "".
std::string first_line(const char* command) {
  std::array<char, 256> line{};
  FILE* pipe = ::popen(command, "r");
  if (!pipe) return "";
  std::string result = std::fgets(line.data(), int(line.size()), pipe) ? line.data() : "";
  ::pclose(pipe);
  while (!result.empty() && result.back() == '\n') result.pop_back();
  return result;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", ::gmtime_r(&now, &parts));
  return text.data();
}

}  // namespace

std::string create_run_folder(const std::string& name, const std::string& wanted) {
  if (!wanted.empty()) {
    if (fs::exists(wanted) || !make_folder(wanted)) {
      throw ConfigError(fmt::format("the run folder {} exists already; choose another, or continue it with: azimuth resume {}",
                                    wanted, wanted));
    }
    return wanted;
  }
  const std::string base = "runs/" + name;
  std::string path = base;
  for (int number = 2; !make_folder(path); ++number) path = fmt::format("{}-{}", base, number);
  return path;
}

std::string environment_json(const std::string& command, DType precision) {
  const BackendInfo info = backend_info();
  const nlohmann::ordered_json result = {
      {"command", command},
      {"date", utc_now()},
      {"commit", first_line("git describe --always --dirty 2>/dev/null")},
      {"processor", info.processor},
      {"instruction_sets", info.instruction_sets},
      {"threads", thread_count()},
      {"threads_by", thread_count_origin()},
      {"precision", name_of(precision)},
      {"onednn", info.onednn},
      {"onednn_isa", info.onednn_isa},
      {"openblas", info.openblas},
      {"openblas_kernels", info.openblas_core},
      {"compiler", info.compiler},
  };
  return result.dump(2) + "\n";
}

}  // namespace az::experiments
