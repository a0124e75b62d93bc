#include "core/files.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

using namespace az;
namespace fs = std::filesystem;

namespace {

// What the system is to refuse.
bool no_exchange = false;
int no_flush = 0;  // fsync's errno, of folders
std::string no_rename_from;

int refuse(int error) {
  errno = error;
  return -1;
}

}  // namespace

// These stand in for the C library's.
extern "C" int rename(const char* from, const char* to) noexcept {
  if (from == no_rename_from) return refuse(EIO);
  return int(::syscall(SYS_rename, from, to));
}
extern "C" int renameat2(int a, const char* from, int b, const char* to, unsigned flags) noexcept {
  if (no_exchange) return refuse(EINVAL);
  return int(::syscall(SYS_renameat2, a, from, b, to, flags));
}
extern "C" int fsync(int file) {
  if (no_flush && fs::is_directory("/proc/self/fd/" + std::to_string(file))) return refuse(no_flush);
  return int(::syscall(SYS_fsync, file));
}

namespace {

struct Place {
  Place() {
    fs::remove_all(root);
    fs::create_directories(root / "fresh");
    std::ofstream(fresh + "/file") << "new";
  }
  ~Place() {
    no_exchange = false;
    no_flush = 0;
    no_rename_from.clear();
    fs::remove_all(root);
  }
  void make_target(const std::string& path) {
    fs::create_directories(path);
    std::ofstream(path + "/file") << "old";
  }
  std::string content() const {
    std::string text;
    std::ifstream(target + "/file") >> text;
    return text;
  }
  int64_t count() const { return std::distance(fs::directory_iterator(root), {}); }

  fs::path root = fs::temp_directory_path() / ("azimuth_files_test_" + std::to_string(::getpid()));
  std::string fresh = (root / "fresh").string(), target = (root / "target").string(), aside = (root / "aside").string();
  FolderReplacement paths{.fresh = fresh, .target = target, .aside = aside};
};

}  // namespace

TEST_CASE("replace_folder puts a folder in another's place and leaves nothing beside it, with and without an exchange of names") {
  for (const bool exchange : {true, false}) {
    CAPTURE(exchange);
    Place place;
    no_exchange = !exchange;
    SUBCASE("nothing there") {}
    SUBCASE("a folder there") { place.make_target(place.target); }
    SUBCASE("what a crash left, too") {
      place.make_target(place.target);
      place.make_target(place.aside);
    }
    SUBCASE("a link to nowhere") { fs::create_directory_symlink(place.root / "none", place.target); }
    CHECK(!replace_folder(place.paths));
    CHECK(place.content() == "new");
    CHECK(!fs::is_symlink(place.target));
    CHECK(place.count() == 1);
  }
}

TEST_CASE("replace_folder deletes a link, not what it leads to") {
  Place place;
  place.make_target((place.root / "elsewhere").string());
  fs::create_directory_symlink(place.root / "elsewhere", place.target);
  CHECK(!replace_folder(place.paths));
  CHECK(place.content() == "new");
  CHECK(fs::exists(place.root / "elsewhere" / "file"));
}

TEST_CASE("replace_folder that fails leaves what was there") {
  Place place;
  place.make_target(place.target);
  no_exchange = true;
  SUBCASE("at the first rename") { no_rename_from = place.target; }
  SUBCASE("at the second") { no_rename_from = place.fresh; }
  CHECK(replace_folder(place.paths) == std::errc::io_error);
  CHECK(place.content() == "old");
  CHECK(place.count() == 2);
}

TEST_CASE("replace_file leaves a file the rights it has") {
  Place place;
  const auto rights = fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_write;
  fs::permissions(place.fresh + "/file", rights);
  replace_file(place.fresh + "/file", [](const Put& put) { put("newer", 5); });
  CHECK(fs::status(place.fresh + "/file").permissions() == rights);
  CHECK(fs::file_size(place.fresh + "/file") == 5);
}

TEST_CASE("a file system that cannot flush folders is no error; a disk that fails is") {
  Place place;
  for (const int none : {EINVAL, ENOTSUP}) {
    no_flush = none;
    CHECK(!sync_path(place.fresh));
  }
  no_flush = EIO;
  CHECK(sync_path(place.fresh) == std::errc::io_error);
  CHECK(!sync_path(place.fresh + "/file"));
  CHECK(sync_path(place.fresh + "/none") == std::errc::no_such_file_or_directory);
}

TEST_CASE("a path is made absolute from the current folder, without what says nothing") {
  const std::string here = fs::current_path().string();
  for (const auto& [path, expected] : {std::pair<const char*, std::string>{"a", here + "/a"},
                                       {"./a//b/", here + "/a/b"},
                                       {".", here},
                                       {"/", "/"},
                                       {"/a/", "/a"},
                                       {"//a/./b/.", "/a/b"},
                                       {"../a", fs::current_path().parent_path().string() + "/a"},
                                       {"a/../b", here + "/a/../b"},
                                       {"/../a", "/a"}}) {
    CAPTURE(path);
    CHECK(absolute_path(path) == expected);
  }
}
