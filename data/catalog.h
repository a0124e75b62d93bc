#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace az::data {

// Files are there but cannot be read now, for want of rights or descriptors: what they hold may be whole.
struct UnreadableError : DataError {
  using DataError::DataError;
};

// A data set that can be fetched as one archive.
struct CatalogEntry {
  std::string name;     // "cifar10", also its type in a config
  std::string folder;   // what the archive unpacks to, under datasets_folder()
  std::string archive;  // file name, under base_url
  std::string base_url;
  std::string sha256;
  int64_t bytes;  // size of the archive
  // Throws DataError where what was unpacked to a folder is damaged, UnreadableError where that cannot be said.
  std::function<void(const std::filesystem::path&)> examine;
};

const std::vector<CatalogEntry>& catalog();
// Throws ConfigError, listing the names there are.
const CatalogEntry& catalog_entry(const std::string& name);

// What there is of a set in a folder, and the text of examine()'s error where it is not whole.
struct SetState {
  enum { absent, whole, damaged, unreadable } state;
  std::string reason = {};
};
SetState state_of(const CatalogEntry& entry, const std::filesystem::path& folder);

// ${XDG_CACHE_HOME:-~/.cache}/azimuth/datasets; need not exist. Throws DataError when neither variable is set.
std::filesystem::path datasets_folder();

}  // namespace az::data
