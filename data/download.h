#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "data/catalog.h"

namespace az::data {

struct DownloadOptions {
  std::string base_url = "";          // where the archive lies, when not at the entry's own address
  std::filesystem::path folder = {};  // by default datasets_folder()
  // Called now and then, while unpacking too, with bytes done and bytes in all (0: unknown); returning false stops everything.
  std::function<bool(int64_t done, int64_t total)> progress = {};
  // Told of a damaged set, and what is wrong with it, before it is fetched anew.
  std::function<void(const std::filesystem::path& folder, const std::string& damage)> on_damage = {};
};

// Fetches an archive over HTTP, checks its SHA-256, unpacks it, flushes it to the disk, and moves it into place as the last
// step; returns the data set's folder. One that is there and whole, or cannot be read, is left as it is, a damaged one is
// replaced. DataError, leaving what was there and nothing else, when anything fails.
std::filesystem::path download(const CatalogEntry& entry, const DownloadOptions& options = {});

}  // namespace az::data
