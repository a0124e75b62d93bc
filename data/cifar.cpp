#include "data/cifar.h"

#include <algorithm>
#include <system_error>

#include "core/base/error.h"
#include "core/base/files.h"
#include "data/catalog.h"

namespace az::data {
namespace {

[[noreturn]] void cannot_read(const CifarFormat& format, const std::filesystem::path& path, std::error_code error) {
  const std::string what = fmt::format("{}: cannot read {}: {}", format.name, path.string(), error.message());
  for (auto damage : {std::errc::no_such_file_or_directory, std::errc::not_a_directory, std::errc::is_a_directory})
    if (error == damage) throw DataError(what);
  throw UnreadableError(what);
}

void read_file(const CifarFormat& format, const std::filesystem::path& path, int64_t records, DatasetContent& content) {
  std::error_code error;
  const int64_t size = int64_t(std::filesystem::file_size(path, error)), expected = records * format.record_bytes();
  if (error) cannot_read(format, path, error);
  InputFile file(path.string());
  if (size != expected) {
    std::string what = size < expected ? fmt::format("ends in record {}", size / format.record_bytes()) : "is too long";
    throw DataError(fmt::format("{}: {} {}: {} bytes, expected {} ({} records of {} bytes)", format.name, path.string(), what,
                                size, expected, records, format.record_bytes()));
  }
  constexpr int64_t records_at_once = 500;
  std::vector<uint8_t> buffer(size_t(records_at_once * format.record_bytes()));
  for (int64_t record = 0; record < records; record += records_at_once) {
    auto bytes = std::span(buffer).first(size_t(std::min(records_at_once, records - record) * format.record_bytes()));
    if (file.read(bytes.data(), bytes.size()) < bytes.size()) {
      throw UnreadableError(fmt::format("{}: {} was cut short while it was read", format.name, path.string()));
    }
    parse_cifar(format, path.string(), record, bytes, content);
  }
}

std::vector<std::string> read_names(const CifarFormat& format, const std::filesystem::path& path) {
  std::vector<std::string> names;
  if (!is_there(path)) return names;
  read_lines(path.string(), [&](std::string_view line) {
    const size_t length = line.find_last_not_of("\r\n") + 1;
    if (length > 0) names.emplace_back(line.substr(0, length));
  });
  if (!names.empty() && int64_t(names.size()) != format.class_count) {
    throw DataError(
        fmt::format("{}: {} has {} class names, expected {}", format.name, path.string(), names.size(), format.class_count));
  }
  return names;
}

std::filesystem::path folder_of(const CifarFormat& format, const CifarOptions& options) {
  const auto folder =
      options.root ? std::filesystem::path(*options.root) : datasets_folder() / catalog_entry(format.name).folder;
  return absolute_path(folder.string());  // for messages
}

DatasetContent read(const CifarFormat& format, const CifarOptions& options) {
  const std::string get = fmt::format("`azimuth data get {}`", format.name);
  const std::string remedy = options.root ? fmt::format("give \"root\" the folder of whole .bin files, such as {} gets", get)
                                          : fmt::format("run {}, or give the folder of its .bin files as \"root\"", get);
  try {
    return read_cifar(format, folder_of(format, options), options.train);
  } catch (const UnreadableError& error) {
    throw UnreadableError(fmt::format("{}; make it readable and try again", error.what()));
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}; {}", error.what(), remedy));
  }
}

// A training set computes its own.
std::optional<Statistics> training_statistics(const CifarFormat& format, const CifarOptions& options) {
  if (options.statistics) return options.statistics;
  if (options.train) return {};
  const auto folder = folder_of(format, options);
  const auto& files = format.train_files;
  const bool alone = std::none_of(files.begin(), files.end(), [&](const auto& file) { return is_there(folder / file); });
  if (alone && !format.statistics.mean.empty()) return format.statistics;
  return Dataset(read(format, {.root = options.root, .train = true})).statistics();
}

}  // namespace

const CifarFormat& cifar10_format() {
  static const CifarFormat format{
      .name = "cifar10",
      .label_bytes = 1,
      .class_count = 10,
      .train_files = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
      .train_records = 10000,
      .test_file = "test_batch.bin",
      .test_records = 10000,
      .names_file = "batches.meta.txt",
      .statistics = {.mean = {0.49139967861519607, 0.48215840839460783, 0.44653091444546567},
                     .std = {0.2470322324632821, 0.2434851280000555, 0.26158784172796445}}};
  return format;
}

const CifarFormat& cifar100_format() {
  static const CifarFormat format{.name = "cifar100",
                                  .label_bytes = 2,
                                  .class_count = 100,
                                  .train_files = {"train.bin"},
                                  .train_records = 50000,
                                  .test_file = "test.bin",
                                  .test_records = 10000,
                                  .names_file = "fine_label_names.txt"};
  return format;
}

void parse_cifar(const CifarFormat& format, const std::string& file, int64_t first_record, std::span<const uint8_t> bytes,
                 DatasetContent& content) {
  const size_t record_bytes = size_t(format.record_bytes());
  for (size_t begin = 0; begin < bytes.size(); begin += record_bytes) {
    int64_t record = first_record + int64_t(begin / record_bytes);
    if (bytes.size() - begin < record_bytes) {
      throw DataError(fmt::format("{}: {}: record {} is cut short after {} of {} bytes", format.name, file, record,
                                  bytes.size() - begin, record_bytes));
    }
    auto fields = bytes.subspan(begin, record_bytes);
    int64_t label = fields[size_t(format.label_bytes - 1)];
    if (label >= format.class_count) {
      throw DataError(fmt::format("{}: {}: record {} (byte {}) has label {}, expected 0 to {}", format.name, file, record,
                                  record * format.record_bytes() + format.label_bytes - 1, label, format.class_count - 1));
    }
    auto image = fields.subspan(size_t(format.label_bytes));
    content.labels.push_back(label);
    content.pixels.insert(content.pixels.end(), image.begin(), image.end());
  }
}

DatasetContent read_cifar(const CifarFormat& format, const std::filesystem::path& folder, bool train) {
  DatasetContent content{
      .image_shape = {3, 32, 32}, .pixels = {}, .labels = {}, .class_count = format.class_count, .class_names = {}};
  auto files = train ? format.train_files : std::vector{format.test_file};
  int64_t records = train ? format.train_records : format.test_records;
  content.labels.reserve(files.size() * size_t(records));
  content.pixels.reserve(files.size() * size_t(records * content.image_shape.numel()));
  try {
    for (const std::string& file : files) read_file(format, folder / file, records, content);
    content.class_names = read_names(format, folder / format.names_file);
  } catch (const FileError& error) {
    cannot_read(format, error.path, error.reason);
  }
  return content;
}

Cifar10::Cifar10(const CifarOptions& options)
    : Dataset(read(cifar10_format(), options), training_statistics(cifar10_format(), options)) {}

Cifar100::Cifar100(const CifarOptions& options)
    : Dataset(read(cifar100_format(), options), training_statistics(cifar100_format(), options)) {}

}  // namespace az::data
