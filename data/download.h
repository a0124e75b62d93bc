#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "data/catalog.h"

namespace az::data {

struct DownloadOptions {
  std::string base_url = "";          // where the archive lies, when not at the entry's own address
  std::filesystem::path folder = {};  // by default datasets_folder()
  // Called now and then with bytes done and bytes in all (0: unknown); returning false stops the download.
  std::function<bool(int64_t done, int64_t total)> progress = {};
};

// Fetches an archive over HTTP, checks its SHA-256, unpacks it, and moves the result into place as the last step; returns the
// data set's folder. One that is there already is left as it is. DataError, leaving nothing behind, when anything fails.
std::filesystem::path download(const CatalogEntry& entry, const DownloadOptions& options = {});

}  // namespace az::data
