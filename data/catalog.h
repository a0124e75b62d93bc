#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace az::data {

// A data set that can be fetched as one archive.
struct CatalogEntry {
  std::string name;     // "cifar10", also its type in a config
  std::string folder;   // what the archive unpacks to, under datasets_folder()
  std::string archive;  // file name, under base_url
  std::string base_url;
  std::string sha256;
  int64_t bytes;                                              // size of the archive
  std::function<void(const std::filesystem::path&)> examine;  // of what it unpacked to; throws DataError on damage
};

const std::vector<CatalogEntry>& catalog();
// Throws ConfigError, listing the names there are.
const CatalogEntry& catalog_entry(const std::string& name);

// What is wrong with the set in a folder that exists: the text of examine()'s error, or "" when it is whole.
std::string damage_of(const CatalogEntry& entry, const std::filesystem::path& folder);

// ${XDG_CACHE_HOME:-~/.cache}/azimuth/datasets; need not exist. Throws DataError when neither variable is set.
std::filesystem::path datasets_folder();

}  // namespace az::data
