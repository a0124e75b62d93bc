#pragma once

#include <functional>
#include <string>

namespace az {

// Writes bytes to a file, or throws.
using Put = std::function<void(const void* bytes, size_t count)>;

// Makes or replaces the file `path` with what write(put) puts: written beside, flushed to the disk and renamed, so that what was
// there stays until the new is whole. A device or a pipe is written to as it is. Throws Error "<path>: cannot be written: ...".
void replace_file(const std::string& path, const std::function<void(const Put&)>& write);

}  // namespace az
