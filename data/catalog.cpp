#include "data/catalog.h"

#include "core/base/cache_folder.h"
#include "core/base/error.h"
#include "data/cifar.h"

namespace az::data {
namespace {

auto examiner(const CifarFormat& (*format)()) {
  return [format](const std::filesystem::path& folder) {
    for (bool train : {true, false}) read_cifar(format(), folder, train);
  };
}

}  // namespace

const std::vector<CatalogEntry>& catalog() {
  static const std::vector<CatalogEntry> entries = {
      {.name = "cifar10",
       .folder = "cifar-10-batches-bin",
       .archive = "cifar-10-binary.tar.gz",
       .base_url = "https://www.cs.toronto.edu/~kriz",
       .sha256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
       .bytes = 170052171,
       .examine = examiner(cifar10_format)},
      {.name = "cifar100",
       .folder = "cifar-100-binary",
       .archive = "cifar-100-binary.tar.gz",
       .base_url = "https://www.cs.toronto.edu/~kriz",
       .sha256 = "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
       .bytes = 168513733,
       .examine = examiner(cifar100_format)},
  };
  return entries;
}

const CatalogEntry& catalog_entry(const std::string& name) {
  std::string known;
  for (const CatalogEntry& entry : catalog()) {
    if (entry.name == name) return entry;
    known += (known.empty() ? "" : ", ") + entry.name;
  }
  throw ConfigError(fmt::format("data set \"{}\" cannot be fetched; known: {}", name, known));
}

SetState state_of(const CatalogEntry& entry, const std::filesystem::path& folder) {
  std::error_code error;
  const bool here = std::filesystem::exists(folder, error);
  if (error) return {SetState::unreadable, fmt::format("cannot read {}: {}", folder.string(), error.message())};
  if (!here) return {SetState::absent};
  try {
    entry.examine(folder);
  } catch (const UnreadableError& unreadable) {
    return {SetState::unreadable, unreadable.what()};
  } catch (const DataError& damage) {
    return {SetState::damaged, damage.what()};
  }
  return {SetState::whole};
}

std::filesystem::path datasets_folder() {
  const std::filesystem::path cache = cache_folder();
  if (cache.empty())
    throw DataError(fmt::format("no place for data sets: {}, or give the data set's \"root\"", why_no_cache_folder()));
  return cache / "datasets";
}

}  // namespace az::data
