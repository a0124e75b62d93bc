#include "data/download.h"

#include <archive.h>
#include <archive_entry.h>
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "core/base/error.h"
#include "data/archive.h"
#include "tests/compare.h"
#include "tests/data/http_server.h"
#include "tests/data/temporary_folder.h"
#include "tests/scoped_variable.h"

using namespace az;
using namespace az::data;
using test::has;

namespace {

struct Flush {
  std::string path;
  bool set_was_there;
};
std::vector<Flush> flushed;  // what fsync was called on, in order
std::filesystem::path set_folder;

}  // namespace

// Stands in for the C library's.
extern "C" int fsync(int file) {
  flushed.push_back(
      {std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(file)).string(), std::filesystem::exists(set_folder)});
  return 0;
}

namespace {

struct Member {
  std::string name, content;
  int type = AE_IFREG;
};

// The same bytes whenever it is made: gzip's header would hold the second.
std::string tar_gz(const std::vector<Member>& members) {
  std::string bytes(1 << 20, '\0');
  size_t used = 0;
  archive* writer = archive_write_new();
  archive_write_add_filter_gzip(writer);
  archive_write_set_filter_option(writer, "gzip", "timestamp", nullptr);
  archive_write_set_format_pax_restricted(writer);
  archive_write_open_memory(writer, bytes.data(), bytes.size(), &used);
  for (const Member& member : members) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, member.name.c_str());
    archive_entry_set_filetype(entry, unsigned(member.type));
    archive_entry_set_perm(entry, member.type == AE_IFDIR ? 0755 : 0644);
    if (member.type == AE_IFLNK)
      archive_entry_set_symlink(entry, member.content.c_str());
    else
      archive_entry_set_size(entry, la_int64_t(member.content.size()));
    archive_write_header(writer, entry);
    if (member.type == AE_IFREG) archive_write_data(writer, member.content.data(), member.content.size());
    archive_entry_free(entry);
  }
  archive_write_close(writer);
  archive_write_free(writer);
  bytes.resize(used);
  return bytes;
}

// Long enough, and of random bytes, that a truncated archive lacks part of the content.
std::string noise() {
  std::string text;
  for (uint32_t i = 1, x = 1; i < 100000; ++i) text += char((x = x * 1664525 + 1013904223) >> 24);
  return text;
}

std::string good_archive() { return tar_gz({{"set", "", AE_IFDIR}, {"set/a.bin", noise()}, {"set/b.txt", "names"}}); }

std::string sha256(const std::string& bytes) {
  TemporaryFolder folder;
  std::ofstream(folder.path / "file", std::ios::binary) << bytes;
  return sha256_of(folder.path / "file");
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A download of /set.tar.gz from a server of one's own into a fresh folder.
struct Fixture {
  explicit Fixture(HttpServer::Answer answer, const std::string& expected = good_archive())
      : server({{"/set.tar.gz", answer}, {"/moved/set.tar.gz", {"", 302, std::string::npos, "/set.tar.gz"}}}),
        entry{.name = "set",
              .folder = "set",
              .archive = "set.tar.gz",
              .base_url = server.url(),
              .sha256 = sha256(expected),
              .bytes = 0,
              .examine = [](const std::filesystem::path& where) {
                if (read(where / "a.bin") != noise()) throw DataError("a.bin is damaged");
              }} {
    options.folder = folder.path / "datasets";
  }
  std::string message() {
    try {
      download(entry, options);
    } catch (const DataError& error) {
      return error.what();
    }
    return "no error";
  }
  bool nothing_left() const { return std::filesystem::is_empty(options.folder); }

  TemporaryFolder folder;
  HttpServer server;
  CatalogEntry entry;
  DownloadOptions options;
};

}  // namespace

// The last is FIPS 180-2's test of a message of several blocks.
TEST_CASE("sha256_of gives published digests") {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  CHECK_THROWS_AS(sha256_of("no such file"), DataError);
}

TEST_CASE("a good archive ends up unpacked in its place, and nothing else does") {
  Fixture fixture({good_archive()});
  int64_t last = -1, all = -1;
  fixture.options.progress = [&](int64_t done, int64_t total) {
    last = done, all = total;
    return true;
  };
  CHECK(download(fixture.entry, fixture.options) == fixture.options.folder / "set");
  CHECK(read(fixture.options.folder / "set" / "a.bin") == noise());
  CHECK(read(fixture.options.folder / "set" / "b.txt") == "names");
  CHECK(std::distance(std::filesystem::directory_iterator(fixture.options.folder), {}) == 1);
  CHECK(last == int64_t(good_archive().size()));
  CHECK(all == last);

  SUBCASE("a second call finds it there") {
    download(fixture.entry, fixture.options);
    CHECK(fixture.server.requests() == 1);
  }
  SUBCASE("a mirror, and a redirection") {
    std::filesystem::remove_all(fixture.options.folder);
    fixture.entry.base_url = "http://127.0.0.1:1";
    fixture.options.base_url = fixture.server.url() + "/moved";
    download(fixture.entry, fixture.options);
    CHECK(read(fixture.options.folder / "set" / "b.txt") == "names");
  }
}

TEST_CASE(
    "a damaged set is replaced; a link to a folder elsewhere is, but not what is there, nor what was moved out of the way") {
  TemporaryFolder elsewhere;
  Fixture fixture({good_archive()});
  const auto set = fixture.options.folder / "set", moved = fixture.options.folder / "set.old";
  std::filesystem::create_directories(moved);
  std::ofstream(moved / "a.bin") << "moved";
  SUBCASE("a folder") { std::filesystem::create_directory(set); }
  SUBCASE("a link to a folder") { std::filesystem::create_directory_symlink(elsewhere.path, set); }
  SUBCASE("a link to nowhere") { std::filesystem::create_directory_symlink(elsewhere.path / "none", set); }
  std::ofstream(set / "a.bin") << "short";
  const bool there = std::filesystem::exists(set), kept = std::filesystem::exists(elsewhere.path / "a.bin");
  std::string told;
  fixture.options.on_damage = [&](const std::filesystem::path& where, const std::string& damage) {
    told += where.string() + ": " + damage;
  };
  CHECK(download(fixture.entry, fixture.options) == set);
  CHECK(told == (there ? set.string() + ": a.bin is damaged" : ""));
  CHECK(read(set / "a.bin") == noise());
  CHECK_FALSE(std::filesystem::is_symlink(set));
  CHECK(read(moved / "a.bin") == "moved");
  CHECK(std::distance(std::filesystem::directory_iterator(fixture.options.folder), {}) == 2);
  if (kept) CHECK(read(elsewhere.path / "a.bin") == "short");
}

TEST_CASE("a damaged set stays as it is when it cannot be replaced") {
  Fixture fixture({good_archive(), 404});
  std::filesystem::create_directories(fixture.options.folder / "set");
  std::ofstream(fixture.options.folder / "set" / "a.bin") << "short";
  CHECK(has(fixture.message(), "404"));
  CHECK(read(fixture.options.folder / "set" / "a.bin") == "short");
}

TEST_CASE("a set that cannot be read is left alone") {
  Fixture fixture({good_archive()});
  std::filesystem::create_directories(fixture.options.folder / "set");
  std::ofstream(fixture.options.folder / "set" / "a.bin") << "whole, for all one knows";
  fixture.entry.examine = [](const auto&) { throw UnreadableError("cannot read a.bin: Permission denied"); };
  CHECK(fixture.message() == "cannot read a.bin: Permission denied; make it readable, or move it out of the way");
  CHECK(read(fixture.options.folder / "set" / "a.bin") == "whole, for all one knows");
  CHECK(fixture.server.requests() == 0);
}

TEST_CASE("the folder of data sets may be a link") {
  TemporaryFolder elsewhere;
  Fixture fixture({good_archive()});
  std::filesystem::create_directory_symlink(elsewhere.path, fixture.options.folder);
  CHECK(download(fixture.entry, fixture.options) == fixture.options.folder / "set");
  CHECK(read(elsewhere.path / "set" / "a.bin") == noise());
}

TEST_CASE("a stop while unpacking leaves nothing") {
  Fixture fixture({good_archive()});
  const auto part = fixture.options.folder / "set.part";
  fixture.options.progress = [&](int64_t, int64_t) { return !std::filesystem::exists(part / "set" / "a.bin"); };
  CHECK(has(fixture.message(), "unpacking " + (fixture.options.folder / "set.tar.gz.part").string() + " was stopped"));
  CHECK(fixture.nothing_left());
}

TEST_CASE("of two downloads at once the second is told, and the first goes on") {
  Fixture fixture({good_archive()});
  std::string second;
  fixture.options.progress = [&](int64_t, int64_t) {
    if (!second.empty()) return true;
    try {
      download(fixture.entry, {.folder = fixture.options.folder});
      second = "no error";
    } catch (const DataError& error) {
      second = error.what();
    }
    return true;
  };
  CHECK(download(fixture.entry, fixture.options) == fixture.options.folder / "set");
  CHECK(has(second, "set.tar.gz.part is being downloaded by another process; wait for it to finish"));
  CHECK(read(fixture.options.folder / "set" / "a.bin") == noise());
}

// A limit on the size of files stands for the full disk.
TEST_CASE("a full disk is told of as such, while downloading and while unpacking") {
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  // Zeros take less room packed than unpacked.
  const std::string zeros = tar_gz({{"set/a.bin", std::string(200000, '\0')}});
  for (const auto& [bytes, file] : {std::pair{good_archive(), "set.tar.gz.part"}, std::pair{zeros, "set.part"}}) {
    Fixture fixture({bytes}, bytes);
    const rlimit small{50000, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    const std::string said = fixture.message();
    setrlimit(RLIMIT_FSIZE, &before);
    CHECK(said == "cannot write " + (fixture.options.folder / file).string() +
                      ": File too large; make room there, or set XDG_CACHE_HOME to a folder on another disk");
    CHECK(fixture.nothing_left());
  }
}

TEST_CASE("what was unpacked is on the disk before it is moved into place, and so is the move") {
  Fixture fixture({good_archive()});
  flushed.clear();
  set_folder = fixture.options.folder / "set";
  download(fixture.entry, fixture.options);
  const std::string folder = fixture.options.folder.string(), part = folder + "/set.part/set";
  REQUIRE(flushed.size() == 4);
  std::sort(flushed.begin(), flushed.begin() + 2, [](const Flush& a, const Flush& b) { return a.path < b.path; });
  const std::vector<std::string> paths = {part + "/a.bin", part + "/b.txt", part, folder};
  for (size_t i = 0; i < 4; ++i) {
    CHECK(flushed[i].path == paths[i]);
    CHECK(flushed[i].set_was_there == (i == 3));
  }
}

TEST_CASE("what is left of a killed download does no harm") {
  Fixture fixture({good_archive()});
  std::filesystem::create_directories(fixture.options.folder / "set.part" / "set");
  std::ofstream(fixture.options.folder / "set.part" / "set" / "old") << "old";
  std::ofstream(fixture.options.folder / "set.tar.gz.part") << noise() << noise();
  download(fixture.entry, fixture.options);
  CHECK(read(fixture.options.folder / "set" / "a.bin") == noise());
  CHECK_FALSE(std::filesystem::exists(fixture.options.folder / "set" / "old"));
  CHECK(std::distance(std::filesystem::directory_iterator(fixture.options.folder), {}) == 1);
}

TEST_CASE("a corrupt archive is refused by its digest") {
  std::string bytes = good_archive();
  bytes[bytes.size() / 2] ^= 1;
  Fixture fixture({bytes});
  std::string text = fixture.message();
  CHECK(has(text, fixture.server.url() + "/set.tar.gz is not the expected archive: SHA-256 " + sha256(bytes) + ", expected "));
  CHECK(fixture.nothing_left());
}

TEST_CASE("a connection that breaks off leaves nothing") {
  Fixture fixture({good_archive(), 200, 5000});
  CHECK(has(fixture.message(), "cannot download " + fixture.server.url() + "/set.tar.gz: "));
  CHECK(fixture.nothing_left());
}

TEST_CASE("an archive truncated where it was made does not unpack") {
  std::string bytes = good_archive().substr(0, 50000);
  Fixture fixture({bytes}, bytes);
  CHECK(has(fixture.message(), "cannot unpack "));
  CHECK(fixture.nothing_left());
}

TEST_CASE("an address without the archive, and a server that is not there, are said") {
  Fixture fixture({good_archive(), 404});
  CHECK(has(fixture.message(), "404"));
  CHECK(fixture.nothing_left());
  fixture.options.base_url = "http://127.0.0.1:1";
  CHECK(has(fixture.message(), "check the network and the address"));
  fixture.options.base_url = "file://" + fixture.folder.path.string();
  std::ofstream(fixture.folder.path / "set.tar.gz", std::ios::binary) << good_archive();
  CHECK(has(fixture.message(), "cannot download file://"));
  CHECK(fixture.nothing_left());
}

TEST_CASE("a download can be stopped") {
  Fixture fixture({good_archive()});
  fixture.options.progress = [](int64_t, int64_t) { return false; };
  CHECK(has(fixture.message(), "was stopped"));
  CHECK(fixture.nothing_left());
}

TEST_CASE("an archive cannot write outside its folder") {
  TemporaryFolder elsewhere;
  const std::string absolute = (elsewhere.path / "escaped").string();
  for (const auto& member : std::vector<Member>{
           {"../escaped", "x"}, {"set/../../escaped", "x"}, {absolute, "x"}, {"set/link", "/etc/passwd", AE_IFLNK}}) {
    CAPTURE(member.name);
    std::string bytes = tar_gz({{"set/a.bin", "a"}, member});
    Fixture fixture({bytes}, bytes);
    CHECK(has(fixture.message(), "refused the entry \"" + member.name + "\""));
    CHECK(fixture.nothing_left());
    CHECK_FALSE(std::filesystem::exists(fixture.folder.path / "escaped"));
    CHECK_FALSE(std::filesystem::exists(absolute));
  }
}

TEST_CASE("an archive without the expected folder, and a place that cannot be written, are said") {
  std::string bytes = tar_gz({{"other/a.bin", "a"}});
  Fixture fixture({bytes}, bytes);
  CHECK(has(fixture.message(), "holds no folder set"));
  CHECK(fixture.nothing_left());
  fixture.options.folder = "/proc/azimuth";
  CHECK(fixture.message() ==
        "cannot write /proc/azimuth: No such file or directory; set XDG_CACHE_HOME to a folder you can write to");
}

TEST_CASE("data sets lie in the user's cache") {
  const TemporaryFolder place;
  const std::string someone = place.path.string();
  const ScopedVariable home("HOME", someone.c_str());
  {
    const ScopedVariable cache("XDG_CACHE_HOME", "/big/cache");
    CHECK(datasets_folder() == "/big/cache/azimuth/datasets");
  }
  {
    const ScopedVariable cache("XDG_CACHE_HOME", "relative");
    CHECK(datasets_folder() == someone + "/.cache/azimuth/datasets");
  }
  const ScopedVariable cache("XDG_CACHE_HOME", nullptr);
  CHECK(datasets_folder() == someone + "/.cache/azimuth/datasets");
  const ScopedVariable homeless("HOME", nullptr);
  CHECK_THROWS_AS(datasets_folder(), DataError);
}

TEST_CASE("the catalog knows the archives of CIFAR by their published size and digest") {
  CHECK(catalog_entry("cifar10").bytes == 170052171);
  CHECK(catalog_entry("cifar10").sha256 == "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd");
  CHECK(catalog_entry("cifar100").bytes == 168513733);
  CHECK(catalog_entry("cifar100").sha256 == "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec");
  CHECK_THROWS_WITH_AS(catalog_entry("mnist"), "data set \"mnist\" cannot be fetched; known: cifar10, cifar100", ConfigError);
}
