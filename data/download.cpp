#include "data/download.h"

#include <curl/curl.h>

#include <chrono>
#include <exception>
#include <memory>
#include <thread>

#include "core/base/error.h"
#include "core/base/files.h"
#include "data/archive.h"

namespace az::data {
namespace {

using std::filesystem::path;
using Progress = std::function<bool(int64_t, int64_t)>;

struct Close {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};

// A path that is gone again when this goes, whatever happened.
struct Temporary {
  path where;
  ~Temporary() {
    std::error_code ignored;
    std::filesystem::remove_all(where, ignored);
  }
};

// Opens a file to write for this process alone.
std::unique_ptr<OutputFile> open_alone(const path& where) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    auto file = std::make_unique<OutputFile>(where.string());
    if (file->lock()) {
      file->resize(0);
      return file;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  throw DataError(fmt::format("{} is being downloaded by another process; wait for it to finish", where.string()));
}

// Flushes the files in folder `fresh`, and the folder, and puts it where `target` is; the old waits beside the fresh.
void replace(const path& fresh, const path& target) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(fresh))
    if (const auto error = sync_path(entry.path().string())) throw cannot_write(entry.path(), error.value());
  const std::string aside = fresh.string() + ".old";
  if (const auto error = replace_folder({.fresh = fresh.string(), .target = target.string(), .aside = aside}))
    throw cannot_write(target, error.value());
}

struct Sink {
  OutputFile& file;
  std::exception_ptr error = nullptr;  // libcurl lets none through
  size_t write(const char* bytes, size_t count) {
    try {
      file.write(bytes, count);
      return count;
    } catch (...) {
      error = std::current_exception();
      return 0;
    }
  }
};

void fetch(const std::string& url, OutputFile& file, const Progress& progress) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  std::unique_ptr<CURL, Close> curl(started == CURLE_OK ? curl_easy_init() : nullptr);
  if (!curl) throw DataError("cannot start libcurl");
  char reason[CURL_ERROR_SIZE] = "";
  Sink sink{file};
  curl_write_callback write = [](char* bytes, size_t size, size_t count, void* to) {
    return static_cast<Sink*>(to)->write(bytes, size * count);
  };
  curl_xferinfo_callback report = [](void* context, curl_off_t total, curl_off_t done, curl_off_t, curl_off_t) {
    auto& callback = *static_cast<const Progress*>(context);
    return callback && !callback(done, total) ? 1 : 0;
  };
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, 30L);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_TIME, 60L);
  curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "azimuth");
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, write);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &sink);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, report);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &progress);
  CURLcode code = curl_easy_perform(curl.get());
  if (code == CURLE_ABORTED_BY_CALLBACK) throw DataError(fmt::format("the download of {} was stopped", url));
  if (sink.error) std::rethrow_exception(sink.error);
  if (code != CURLE_OK) {
    throw DataError(fmt::format("cannot download {}: {}; check the network and the address, and try again", url,
                                *reason ? reason : curl_easy_strerror(code)));
  }
}

path download_into(const path& folder, const CatalogEntry& entry, const DownloadOptions& options) {
  if (const std::error_code error = make_folders(folder)) throw FileError(folder, "cannot be made", error.value());
  const path target = folder / entry.folder;
  SetState found;
  const auto is_there = [&] {
    found = state_of(entry, target);
    if (found.state == SetState::unreadable) throw DataError(found.reason + "; make it readable, or move it out of the way");
    return found.state == SetState::whole;
  };
  const path part = folder / (entry.archive + ".part");
  if (is_there() && !exists(part)) return target;

  const auto file = open_alone(part);
  const Temporary archive{part}, unpacked{folder / (entry.folder + ".part")};
  if (is_there()) return target;  // from before, with what a kill left, or another process got it meanwhile
  if (found.state == SetState::damaged && options.on_damage) options.on_damage(target, found.reason);
  const std::string url = (options.base_url.empty() ? entry.base_url : options.base_url) + "/" + entry.archive;
  fetch(url, *file, options.progress);

  const std::string sha256 = sha256_of(part);
  if (sha256 != entry.sha256) {
    throw DataError(fmt::format("{} is not the expected archive: SHA-256 {}, expected {}; try again, or another mirror", url,
                                sha256, entry.sha256));
  }
  std::filesystem::remove_all(unpacked.where);
  std::filesystem::create_directory(unpacked.where);
  const auto bytes = int64_t(std::filesystem::file_size(part));
  unpack(part, unpacked.where, [&] { return !options.progress || options.progress(bytes, bytes); });
  const path fresh = unpacked.where / entry.folder;
  if (!std::filesystem::is_directory(fresh)) throw DataError(fmt::format("{} holds no folder {}", url, entry.folder));
  entry.examine(fresh);
  replace(fresh, target);
  return target;
}

}  // namespace

path download(const CatalogEntry& entry, const DownloadOptions& options) {
  try {
    return download_into(options.folder.empty() ? datasets_folder() : options.folder, entry, options);
  } catch (const FileError& error) {
    throw cannot_write(error.path, error.reason.value());
  } catch (const std::filesystem::filesystem_error& error) {
    throw cannot_write(error.path1(), error.code().value());
  }
}

}  // namespace az::data
