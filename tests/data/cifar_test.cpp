#include "data/cifar.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "data/catalog.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/scoped_variable.h"

using namespace az;
using namespace az::data;
using test::has;

namespace {

// The real formats with three records a file.
CifarFormat small(CifarFormat format) {
  format.train_records = format.test_records = 3;
  return format;
}

uint8_t pixel(int file, int record, int64_t place) { return uint8_t(file * 50 + record * 17 + place * 7 + place / 1024); }

std::string records(const CifarFormat& format, int file) {
  std::string bytes;
  for (int record = 0; record < 3; ++record) {
    if (format.label_bytes == 2) bytes += char(19 - record);
    bytes += char((file * 3 + record) % format.class_count);
    for (int64_t place = 0; place < 3072; ++place) bytes += char(pixel(file, record, place));
  }
  return bytes;
}

void write(const std::filesystem::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

void write_set(const CifarFormat& format, const std::filesystem::path& folder) {
  for (size_t i = 0; i < format.train_files.size(); ++i) write(folder / format.train_files[i], records(format, int(i)));
  write(folder / format.test_file, records(format, 9));
}

std::string message(const CifarFormat& format, const std::filesystem::path& folder, bool train = true) {
  try {
    read_cifar(format, folder, train);
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

std::filesystem::path real_cifar10() {
  const char* given = std::getenv("AZIMUTH_CIFAR10");
  return given ? given : "../shared/data/cifar-10-batches-bin";
}

}  // namespace

TEST_CASE("labels and planes come out as they were written, files in order") {
  for (const auto& format : {small(cifar10_format()), small(cifar100_format())}) {
    CAPTURE(format.name);
    TemporaryFolder folder;
    write_set(format, folder.path);
    Dataset train(read_cifar(format, folder.path, true)), test(read_cifar(format, folder.path, false));
    REQUIRE(train.count() == int64_t(3 * format.train_files.size()));
    REQUIRE(test.count() == 3);
    CHECK(train.class_count() == format.class_count);
    CHECK(train.image_shape() == Shape{3, 32, 32});
    CHECK(train.class_names().empty());
    for (int64_t i = 0; i < train.count(); ++i) {
      CHECK(train.label(i) == i % format.class_count);
      bool same = true;
      for (int64_t place = 0; place < 3072; ++place) same &= train.pixels(i)[place] == pixel(int(i / 3), int(i % 3), place);
      CHECK(same);
    }
    CHECK(test.label(1) == 28 % format.class_count);
    CHECK(test.pixels(1)[2000] == pixel(9, 1, 2000));
  }
}

TEST_CASE("class names are read when they are there") {
  TemporaryFolder folder;
  auto format = small(cifar10_format());
  write_set(format, folder.path);
  write(folder.path / "batches.meta.txt", "airplane\nautomobile\r\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
  auto names = read_cifar(format, folder.path, true).class_names;
  REQUIRE(names.size() == 10);
  CHECK(names[1] == "automobile");
  CHECK(names[9] == "truck");
  write(folder.path / "batches.meta.txt", "airplane\n");
  CHECK(has(message(format, folder.path), "has 1 class names, expected 10"));
}

TEST_CASE("a missing, short, long or wrong file is named with the place and what to do") {
  TemporaryFolder folder;
  auto format = small(cifar10_format());
  write_set(format, folder.path);
  auto third = folder.path / "data_batch_3.bin";
  const std::string bytes = records(format, 2);
  CHECK(message(format, folder.path) == "no error");

  SUBCASE("missing") {
    std::filesystem::remove(third);
    CHECK(message(format, folder.path) == "cifar10: cannot read " + third.string() + ": No such file or directory");
    std::filesystem::create_directory(third);
    CHECK(message(format, folder.path) == "cifar10: cannot read " + third.string() + ": Is a directory");
  }
  SUBCASE("truncated") {
    write(third, bytes.substr(0, 3073 + 100));
    CHECK(message(format, folder.path) ==
          "cifar10: " + third.string() + " ends in record 1: 3173 bytes, expected 9219 (3 records of 3073 bytes)");
    write(third, bytes.substr(0, 2 * 3073));
    CHECK(has(message(format, folder.path), "ends in record 2: 6146 bytes"));
    write(third, "");
    CHECK(has(message(format, folder.path), "ends in record 0: 0 bytes"));
  }
  SUBCASE("too long") {
    write(third, bytes + "x");
    CHECK(has(message(format, folder.path), third.string() + " is too long: 9220 bytes, expected 9219"));
  }
  SUBCASE("label out of range") {
    std::string bad = bytes;
    bad[2 * 3073] = char(10);
    write(third, bad);
    CHECK(has(message(format, folder.path), third.string() + ": record 2 (byte 6146) has label 10, expected 0 to 9"));
    CHECK(message(format, folder.path, false) == "no error");
  }
}

TEST_CASE("a file that is there and cannot be opened is not said to be damaged") {
  TemporaryFolder folder;
  auto format = small(cifar10_format());
  write_set(format, folder.path);
  const std::filesystem::path file = folder.path / format.test_file;
  std::filesystem::remove(file);
  std::filesystem::create_symlink(file, file);  // opening it fails for root, too
  CHECK_THROWS_WITH_AS(read_cifar(format, folder.path, false),
                       ("cifar10: cannot read " + file.string() + ": Too many levels of symbolic links").c_str(),
                       UnreadableError);
}

TEST_CASE("CIFAR-10's test set needs no training images; it is normalised with their statistics, as published") {
  TemporaryFolder folder;
  write(folder.path / "test_batch.bin", std::string(10000 * 3073, '\0'));
  const Statistics statistics = Cifar10({.root = folder.path.string(), .train = false}).statistics();
  for (size_t channel = 0; channel < 3; ++channel) {
    CHECK(std::abs(statistics.mean[channel] - std::vector{.49139968, .48215841, .44653091}[channel]) < 1e-8);
    CHECK(std::abs(statistics.std[channel] - std::vector{.24703223, .24348513, .26158784}[channel]) < 1e-8);
  }
}

TEST_CASE("the fine label of CIFAR-100 is checked") {
  TemporaryFolder folder;
  auto format = small(cifar100_format());
  write_set(format, folder.path);
  std::string bad = records(format, 0);
  bad[3074 + 1] = char(100);
  write(folder.path / "train.bin", bad);
  CHECK(has(message(format, folder.path), "record 1 (byte 3075) has label 100, expected 0 to 99"));
}

TEST_CASE("a set of one's own is never said to be azimuth's to replace or delete") {
  TemporaryFolder cache;
  const ScopedVariable cache_folder("XDG_CACHE_HOME", cache.path.c_str());
  const auto said = [](const CifarOptions& options) {
    try {
      Cifar100 set(options);
    } catch (const DataError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const std::string own = (cache.path / "mine").string(), fetched = (datasets_folder() / "cifar-100-binary").string();
  CHECK(said({.root = own}) ==
        "cifar100: cannot read " + own +
            "/train.bin: No such file or directory; give \"root\" the folder of whole .bin files, such as "
            "`azimuth data get cifar100` gets");
  CHECK(said({}) ==
        "cifar100: cannot read " + fetched +
            "/train.bin: No such file or directory; run `azimuth data get cifar100`, or give the folder of its .bin "
            "files as \"root\"");
}

TEST_CASE_TEMPLATE("a set is normalised with the statistics of its training images, the test set too", Set, Cifar10, Cifar100) {
  TemporaryFolder folder;
  const CifarFormat& format = std::is_same_v<Set, Cifar10> ? cifar10_format() : cifar100_format();
  // 40 % of the training images are black, 60 % grey: mean 0.6 * 100 / 255, deviation sqrt(0.6 * 0.4) * 100 / 255.
  const auto write_images = [&](const std::string& name, int64_t count, double black) {
    std::string bytes;
    for (int64_t i = 0; i < count; ++i)
      bytes +=
          std::string(size_t(format.label_bytes), '\0') + std::string(3072, double(i) < black * double(count) ? '\0' : 'd');
    write(folder.path / name, bytes);
  };
  for (const std::string& name : format.train_files) write_images(name, format.train_records, 0.4);
  write_images(format.test_file, format.test_records, 0);
  for (bool train : {true, false}) {
    const Statistics statistics = Set({.root = folder.path.string(), .train = train}).statistics();
    for (size_t channel = 0; channel < 3; ++channel) {
      CHECK(std::abs(statistics.mean[channel] - 60.0 / 255) < 1e-12);
      CHECK(std::abs(statistics.std[channel] - std::sqrt(0.24) * 100 / 255) < 1e-12);
    }
  }
  const Statistics given{.mean = {1, 2, 3}, .std = {4, 5, 6}};
  CHECK(Set({.root = folder.path.string(), .train = false, .statistics = given}).statistics().std == given.std);
}

TEST_CASE("bytes that end inside a record are refused") {
  DatasetContent content;
  std::vector<uint8_t> bytes(3073 + 1);
  CHECK_THROWS_AS(parse_cifar(cifar10_format(), "memory", 0, bytes, content), DataError);
}

TEST_CASE("the whole real CIFAR-10 has its published size, balance and statistics" * doctest::skip()) {
  if (!std::filesystem::exists(real_cifar10() / "test_batch.bin")) {
    MESSAGE("skipped: no CIFAR-10 in " << real_cifar10().string() << " (AZIMUTH_CIFAR10 names another folder)");
    return;
  }
  for (bool train : {true, false}) {
    Cifar10 set({.root = real_cifar10().string(), .train = train});
    REQUIRE(set.count() == (train ? 50000 : 10000));
    std::vector<int> count(10);
    for (int64_t i = 0; i < set.count(); ++i) ++count[size_t(set.label(i))];
    for (int n : count) CHECK(n == (train ? 5000 : 1000));
    CHECK(set.class_names().at(3) == "cat");
    Statistics computed = set.compute_statistics();
    for (size_t channel = 0; channel < 3 && train; ++channel) {
      CHECK(std::abs(computed.mean[channel] - std::vector{.49139968, .48215841, .44653091}[channel]) < 1e-8);
      CHECK(std::abs(computed.std[channel] - std::vector{.24703223, .24348513, .26158784}[channel]) < 1e-8);
      CHECK(computed.mean[channel] == cifar10_format().statistics.mean[channel]);
      CHECK(computed.std[channel] == cifar10_format().statistics.std[channel]);
    }
  }
}
