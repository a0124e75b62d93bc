#include "data/download.h"

#include <curl/curl.h>
#include <sys/file.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "core/error.h"
#include "data/archive.h"

namespace az::data {
namespace {

using std::filesystem::path;
using Progress = std::function<bool(int64_t, int64_t)>;

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};
using File = std::unique_ptr<std::FILE, Close>;

// A path that is gone again when this goes, whatever happened.
struct Temporary {
  path where;
  ~Temporary() {
    std::error_code ignored;
    std::filesystem::remove_all(where, ignored);
  }
};

// Opens a file to write for this process alone.
File open_alone(const path& where) {
  File file(std::fopen(where.c_str(), "ab"));
  if (!file) throw DataError(fmt::format("cannot write {}: {}", where.string(), std::strerror(errno)));
  if (flock(fileno(file.get()), LOCK_EX | LOCK_NB) != 0) {
    throw DataError(fmt::format("{} is being downloaded by another process; wait for it to finish", where.string()));
  }
  if (ftruncate(fileno(file.get()), 0) != 0)
    throw DataError(fmt::format("cannot write {}: {}", where.string(), std::strerror(errno)));
  return file;
}

void fetch(const std::string& url, std::FILE* file, const Progress& progress) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  std::unique_ptr<CURL, Close> curl(started == CURLE_OK ? curl_easy_init() : nullptr);
  if (!curl) throw DataError("cannot start libcurl");
  char reason[CURL_ERROR_SIZE] = "";
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
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, file);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, report);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &progress);
  CURLcode code = curl_easy_perform(curl.get());
  if (code == CURLE_ABORTED_BY_CALLBACK) throw DataError(fmt::format("the download of {} was stopped", url));
  if (code != CURLE_OK) {
    throw DataError(fmt::format("cannot download {}: {}; check the network and the address, and try again", url,
                                *reason ? reason : curl_easy_strerror(code)));
  }
  if (std::fflush(file) != 0) throw DataError(fmt::format("cannot store the download of {}: {}", url, std::strerror(errno)));
}

path download_into(const path& folder, const CatalogEntry& entry, const DownloadOptions& options) {
  std::filesystem::create_directories(folder);
  const path target = folder / entry.folder;
  if (std::filesystem::exists(target)) return target;

  const path part = folder / (entry.archive + ".part");
  File file = open_alone(part);
  const Temporary archive{part}, unpacked{folder / (entry.folder + ".part")};
  const std::string url = (options.base_url.empty() ? entry.base_url : options.base_url) + "/" + entry.archive;
  fetch(url, file.get(), options.progress);

  const std::string sha256 = sha256_of(part);
  if (sha256 != entry.sha256) {
    throw DataError(fmt::format("{} is not the expected archive: SHA-256 {}, expected {}; try again, or another mirror", url,
                                sha256, entry.sha256));
  }
  std::filesystem::remove_all(unpacked.where);
  std::filesystem::create_directory(unpacked.where);
  unpack(part, unpacked.where);
  if (!std::filesystem::is_directory(unpacked.where / entry.folder)) {
    throw DataError(fmt::format("{} holds no folder {}", url, entry.folder));
  }
  std::filesystem::rename(unpacked.where / entry.folder, target);
  return target;
}

}  // namespace

path download(const CatalogEntry& entry, const DownloadOptions& options) {
  try {
    return download_into(options.folder.empty() ? datasets_folder() : options.folder, entry, options);
  } catch (const std::filesystem::filesystem_error& error) {
    throw DataError(fmt::format("cannot store {}: {}", entry.name, error.what()));
  }
}

}  // namespace az::data
