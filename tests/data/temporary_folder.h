#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

// A fresh folder that is removed with everything in it.
struct TemporaryFolder {
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "azimuth_test_XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  std::filesystem::path path;
};
