#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"

// CIFAR-10 and CIFAR-100 in their binary form (www.cs.toronto.edu/~kriz/cifar.html). A record is a label (in CIFAR-100 a coarse
// one before the fine one, which is used), then the red, green and blue planes of a 32x32 image.
namespace az::data {

struct CifarFormat {
  std::string name;  // in the catalog
  int64_t label_bytes = 1, class_count = 10;
  std::vector<std::string> train_files;
  int64_t train_records = 0;  // in each file
  std::string test_file;
  int64_t test_records = 0;
  std::string names_file;      // class names, a line each; may be missing
  Statistics statistics = {};  // of the published training images, for a test set without any; may be empty

  int64_t record_bytes() const { return label_bytes + 3072; }
};
const CifarFormat& cifar10_format();
const CifarFormat& cifar100_format();

// Adds the records in `bytes` to `content`. `file` and the number of the first record name the place in a DataError, thrown
// for a label out of range or a record cut short.
void parse_cifar(const CifarFormat& format, const std::string& file, int64_t first_record, std::span<const uint8_t> bytes,
                 DatasetContent& content);
// Reads the training or the test files in `folder`. DataError when one is missing, has another size or a bad label.
DatasetContent read_cifar(const CifarFormat& format, const std::filesystem::path& folder, bool train);

struct CifarOptions {
  std::optional<std::string> root = {};  // the folder of the .bin files; by default where `azimuth data get` puts it
  bool train = true;                     // the 50,000 training images, or the 10,000 test images
  // What loaders normalise with; by default those of the training images, which a test set reads for them. Where they are not
  // there, CIFAR-10's test set takes the published ones.
  std::optional<Statistics> statistics = {};
};
struct Cifar10 : Dataset {
  explicit Cifar10(const CifarOptions& options = {});
};
struct Cifar100 : Dataset {
  explicit Cifar100(const CifarOptions& options = {});
};

}  // namespace az::data
