#include "data/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "core/base/files.h"

namespace az::data {
namespace {

template <auto close> struct Closer {
  template <class T> void operator()(T* handle) const { close(handle); }
};

// Relative, and without "..", whatever is already on disk.
bool stays_inside(const std::filesystem::path& path) {
  if (path.empty() || path.is_absolute()) return false;
  for (const auto& part : path) {
    if (part == "..") return false;
  }
  return true;
}

}  // namespace

std::string sha256_of(const std::filesystem::path& file) {
  std::unique_ptr<EVP_MD_CTX, Closer<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  bool good = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  try {
    InputFile in(file.string());
    std::array<char, 1 << 16> buffer;
    for (size_t got = buffer.size(); good && got == buffer.size();) {
      got = in.read(buffer.data(), buffer.size());
      good = EVP_DigestUpdate(context.get(), buffer.data(), got);
    }
  } catch (const FileError& error) {
    throw DataError(error.what());
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned length = 0;
  if (!good || !EVP_DigestFinal_ex(context.get(), digest.data(), &length)) {
    throw DataError(fmt::format("cannot compute the SHA-256 of {}", file.string()));
  }
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

DataError cannot_write(const std::filesystem::path& path, int error) {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return DataError(fmt::format("cannot write {}: {}; {}", path.string(), std::strerror(error),
                               full ? "make room there, or set XDG_CACHE_HOME to a folder on another disk"
                                    : "set XDG_CACHE_HOME to a folder you can write to"));
}

void unpack(const std::filesystem::path& path, const std::filesystem::path& folder, const std::function<bool()>& go_on) {
  const SizeLimitIsAnError limit;
  std::unique_ptr<archive, Closer<archive_read_free>> reader(archive_read_new());
  std::unique_ptr<archive, Closer<archive_write_free>> writer(archive_write_disk_new());
  auto check = [&](archive* handle, int status) {
    if (status == ARCHIVE_OK) return;
    const char* reason = archive_error_string(handle);
    if (handle == writer.get() && archive_errno(handle) > 0) throw cannot_write(folder, archive_errno(handle));
    throw DataError(fmt::format("cannot unpack {}: {}", path.string(), reason ? reason : "damaged archive"));
  };
  archive_read_support_filter_all(reader.get());
  archive_read_support_format_tar(reader.get());
  archive_write_disk_set_options(writer.get(), ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT);
  check(reader.get(), archive_read_open_filename(reader.get(), path.c_str(), 1 << 16));
  const std::filesystem::path root = std::filesystem::canonical(folder);  // or the writer would refuse a symbolic link in it
  archive_entry* entry = nullptr;
  int status = ARCHIVE_OK;
  while ((status = archive_read_next_header(reader.get(), &entry)) == ARCHIVE_OK) {
    const char* name = archive_entry_pathname(entry);
    auto type = archive_entry_filetype(entry);
    bool plain = (type == AE_IFREG || type == AE_IFDIR) && !archive_entry_hardlink(entry);
    if (!name || !plain || !stays_inside(name)) {
      throw DataError(fmt::format("{}: refused the entry \"{}\": not a file or folder inside the archive's own", path.string(),
                                  name ? name : ""));
    }
    archive_entry_set_pathname(entry, (root / name).c_str());
    check(writer.get(), archive_write_header(writer.get(), entry));
    const void* block = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    while ((status = archive_read_data_block(reader.get(), &block, &size, &offset)) == ARCHIVE_OK) {
      if (archive_write_data_block(writer.get(), block, size, offset) < 0) check(writer.get(), ARCHIVE_FATAL);
      if (go_on && !go_on()) throw DataError(fmt::format("unpacking {} was stopped", path.string()));
    }
    if (status != ARCHIVE_EOF) check(reader.get(), status);
    check(writer.get(), archive_write_finish_entry(writer.get()));
  }
  if (status != ARCHIVE_EOF) check(reader.get(), status);
  check(writer.get(), archive_write_close(writer.get()));
}

}  // namespace az::data
