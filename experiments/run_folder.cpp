#include "experiments/run_folder.h"

#include <array>
#include <ctime>
#include <filesystem>

#include "core/backend/info.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/threads.h"
#include "core/config/json_document.h"
#include "experiments/checkpoint.h"
#include "experiments/say.h"

namespace az::experiments {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_to_make(const std::string& path, const std::error_code& error) {
  throw ConfigError(
      fmt::format("cannot make the run folder {}: {}; choose another place with --run DIR", path, error.message()));
}

// Makes a folder and says whether it was made now: it was not if something of that name exists.
bool make_folder(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  std::error_code error = parent.empty() ? std::error_code() : make_folders(parent);
  const bool made = !error && fs::create_directory(path, error);
  if (error) fail_to_make(path, error);
  return made;
}

[[noreturn]] void fail_taken(const std::string& path) {
  std::error_code unknown;
  const bool is_run = fs::exists(path + "/config.json", unknown) || fs::exists(path + "/environment.json", unknown);
  const bool resumable = fs::exists(existing_checkpoint(path + "/checkpoints/last"), unknown);
  throw ConfigError(fmt::format("the run folder {} exists already; choose another{}", path,
                                resumable ? ", or continue it with: azimuth resume " + quoted(path)
                                : is_run  ? ", or remove it, as it holds no checkpoint to go on from"
                                          : ""));
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", ::gmtime_r(&now, &parts));
  return text.data();
}

}  // namespace

std::string check_run_folder(std::string wanted) {
  fs::path plain;  // a/./b/ is a/b
  for (const fs::path& part : fs::path(wanted)) {
    if (!part.empty() && part != ".") plain /= part;
  }
  if (plain.filename() == "..")
    throw ConfigError(fmt::format("the run folder {} ends in .., the folder above; name the folder to make", wanted));
  wanted = plain.empty() ? "." : plain.string();
  std::error_code error;
  const fs::file_status status = fs::symlink_status(wanted, error);
  if (status.type() == fs::file_type::none) fail_to_make(wanted, error);
  if (fs::exists(status)) fail_taken(wanted);
  return wanted;
}

std::string create_run_folder(const std::string& name, const std::string& wanted) {
  if (!wanted.empty()) {
    if (!make_folder(wanted)) fail_taken(wanted);
    return wanted;
  }
  const std::string base = "runs/" + name;
  std::string path = base;
  for (int number = 2; !make_folder(path); ++number) path = fmt::format("{}-{}", base, number);
  return path;
}

void replace_text(const std::string& file, const std::string& text) {
  try {
    if (read_file(file) == text) return;
  } catch (const FileError& error) {
    if (error.reason != std::errc::no_such_file_or_directory) throw;
  }
  write_file(file, text);
}

void clear_leftovers(const std::string& folder) {
  std::error_code stays;  // the next checkpoint tries again, and says why it cannot
  for (const char* name : {"last", "best"}) {
    const std::string checkpoint = folder + "/checkpoints/" + name;
    if (const std::string there = existing_checkpoint(checkpoint); there != checkpoint) fs::rename(there, checkpoint, stays);
    fs::remove_all(checkpoint + ".new", stays);
    if (fs::exists(checkpoint, stays)) fs::remove_all(checkpoint + ".old", stays);
  }
  delete_unfinished_files(folder);
}

std::string environment_json(const Start& start) {
  const BackendInfo info = backend_info();
  const config::Value::Object result = {
      {"command", start.command},
      {"folder", absolute_path(".")},
      {"date", utc_now()},
      {"commit", start.commit},
      {"processor", info.processor},
      {"instruction_sets", info.instruction_sets},
      {"threads", int64_t(thread_count())},
      {"threads_by", thread_count_origin()},
      {"precision_at_start", name_of(start.precision)},
      {"onednn", info.onednn},
      {"onednn_isa", info.onednn_isa},
      {"openblas", info.openblas},
      {"openblas_kernels", info.openblas_core},
      {"compiler", info.compiler},
  };
  return config::dump(result, 2) + "\n";
}

}  // namespace az::experiments
