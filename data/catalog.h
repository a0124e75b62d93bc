#pragma once

#include <cstdint>
#include <filesystem>
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
  int64_t bytes;  // size of the archive
};

const std::vector<CatalogEntry>& catalog();
// Throws ConfigError, listing the names there are.
const CatalogEntry& catalog_entry(const std::string& name);

// ${XDG_CACHE_HOME:-~/.cache}/azimuth/datasets; need not exist. Throws DataError when neither variable is set.
std::filesystem::path datasets_folder();

}  // namespace az::data
