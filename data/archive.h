#pragma once

#include <filesystem>
#include <string>

namespace az::data {

// Lower-case hexadecimal SHA-256 of a file. Throws DataError when it cannot be read.
std::string sha256_of(const std::filesystem::path& file);

// Unpacks files and folders of a tar archive, compressed or not, into `folder`, which must exist. Throws DataError on damage, and
// on entries that would lie outside it or are neither files nor folders.
void unpack(const std::filesystem::path& archive, const std::filesystem::path& folder);

}  // namespace az::data
