#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "core/base/error.h"

namespace az::data {

// Lower-case hexadecimal SHA-256 of a file. Throws DataError when it cannot be read.
std::string sha256_of(const std::filesystem::path& file);

// Unpacks files and folders of a tar archive, compressed or not, into `folder`, which must exist. Throws DataError on damage,
// on entries that would lie outside it or are neither files nor folders, when it cannot write, and when `go_on`, which it asks
// now and then, says false.
void unpack(const std::filesystem::path& archive, const std::filesystem::path& folder, const std::function<bool()>& go_on = {});

// "cannot write PATH: reason; remedy", where the reason is that of errno's value `error`.
DataError cannot_write(const std::filesystem::path& path, int error);

}  // namespace az::data
