#include "core/base/files.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

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
  return int(::syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to));
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

TEST_CASE(
    "replace_folder puts a folder in another's place and leaves nothing beside it, with and without an exchange of names") {
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

TEST_CASE("write_file leaves a file the rights it has") {
  Place place;
  const auto rights = fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_write;
  fs::permissions(place.fresh + "/file", rights);
  write_file(place.fresh + "/file", "newer");
  CHECK(fs::status(place.fresh + "/file").permissions() == rights);
  CHECK(read_file(place.fresh + "/file") == "newer");
}

TEST_CASE("write_file follows links, also one to a file that is not there yet") {
  Place place;
  fs::create_symlink("target", place.root / "first");
  fs::create_symlink("first", place.root / "second");
  for (const char* content : {"made", "replaced"}) {
    write_file((place.root / "second").string(), content);
    CHECK(read_file(place.target) == content);
    CHECK(fs::is_symlink(place.root / "first"));
    CHECK(fs::is_symlink(place.root / "second"));
    CHECK(place.count() == 4);
  }
}

TEST_CASE("write_file writes to what a process has opened, a pipe or a device as it is") {
  Place place;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  write_file("/proc/self/fd/" + std::to_string(ends[1]), "through");
  ::close(ends[1]);
  CHECK(read_file("/proc/self/fd/" + std::to_string(ends[0])) == "through");
  ::close(ends[0]);
  const int opened = ::open(place.target.c_str(), O_WRONLY | O_CREAT, 0600);
  write_file("/proc/self/fd/" + std::to_string(opened), "in it");
  ::close(opened);
  CHECK(read_file(place.target) == "in it");
  write_file("/dev/null", "gone");
  CHECK(fs::is_character_file("/dev/null"));
  CHECK_THROWS_WITH_AS(write_file("/dev/full", "too much"), "/dev/full: cannot be written: No space left on device", FileError);
  CHECK(place.count() == 2);
}

TEST_CASE("of what a kill left beside files only names that write_file gives are deleted, unless they are being written") {
  Place place;
  const auto at = [&](const std::string& name) { return (place.root / name).string(); };
  const std::vector<std::string> own = {".azimuth-1-1.part", ".azimuth-4194304-12345.part"};
  const std::vector<std::string> foreign = {"debian.iso.part",        "target.part",       ".part",
                                            ".azimuth-.part",         ".azimuth--.part",   ".azimuth-1.part",
                                            ".azimuth-1-.part",       ".azimuth--1.part",  ".azimuth-1-1-1.part",
                                            ".azimuth-1-1.part.part", ".azimuth-1-x.part", "azimuth-1-1.part"};
  for (const auto* names : {&own, &foreign}) {
    for (const std::string& name : *names) std::ofstream(at(name)) << "half";
  }
  const std::string held = at(".azimuth-2-1.part"), folder = at(".azimuth-3-1.part"), link = at(".azimuth-3-2.part");
  fs::create_directory(folder);
  fs::create_symlink("debian.iso.part", link);
  OutputFile user(held);
  user.write("half");
  REQUIRE(user.lock());
  delete_unfinished_files(place.root.string());
  for (const std::string& name : own) CHECK_FALSE(fs::exists(at(name)));
  for (const std::string& name : foreign) CHECK_MESSAGE(read_file(at(name)) == "half", name);
  CHECK(read_file(held) == "half");
  CHECK(fs::exists(folder));
  CHECK(fs::is_symlink(link));
  delete_unfinished_files(at("none"));

  // Nor does a write touch what lies there, whatever it is.
  fs::remove(at("target.part"));
  fs::create_directory(at("target.part"));
  write_file(place.target, "whole");
  CHECK(read_file(place.target) == "whole");
  write_file(at("debian.iso"), "whole");
  CHECK(read_file(at("debian.iso.part")) == "half");
  CHECK(fs::is_directory(at("target.part")));
}

TEST_CASE("a file may have the longest name there can be, and nothing else is seen beside it while it is written") {
  Place place;
  const std::string name(255, 'x');
  write_file((place.root / name).string(), [&](const Put& put) {
    put("whole", 5);
    int unfinished = 0;
    for (const auto& entry : fs::directory_iterator(place.root)) unfinished += names_unfinished_file(entry.path().filename());
    CHECK(unfinished == 1);
    CHECK(place.count() == 2);
    delete_unfinished_files(place.root.string());  // as another process may
  });
  CHECK(read_file((place.root / name).string()) == "whole");
  CHECK(place.count() == 2);
}

TEST_CASE("what is not there is told from what the system cannot tell") {
  Place place;
  CHECK_FALSE(is_there(place.target));
  CHECK_FALSE(is_there(place.fresh + "/file/below"));
  CHECK(is_there(place.fresh));
  const std::string longest = (place.root / std::string(300, 'x')).string(), loop = (place.root / "loop").string();
  CHECK_THROWS_WITH_AS(is_there(longest), (longest + ": cannot be read: File name too long").c_str(), FileError);
  fs::create_symlink("loop", loop);
  CHECK_THROWS_WITH_AS(is_there(loop), (loop + ": cannot be read: Too many levels of symbolic links").c_str(), FileError);
}

TEST_CASE("make_folders makes what is missing, and says what is in the way") {
  Place place;
  const fs::path below = place.root / "a/b/c";
  CHECK(!make_folders(below.string()));
  CHECK(fs::is_directory(below));
  CHECK(!make_folders(below.string()));
  CHECK(!make_folders(below.string() + "/d/"));
  write_file((below / "file").string(), "");
  CHECK(make_folders((below / "file").string()) == std::errc::not_a_directory);
  CHECK(make_folders((below / "file/x").string()) == std::errc::not_a_directory);
  CHECK(make_folders((below / std::string(300, 'x')).string()) == std::errc::filename_too_long);
}

TEST_CASE("of several at once who write one file, each writes it whole") {
  Place place;
  std::vector<std::thread> threads;
  for (char letter : {'a', 'b', 'c', 'd'}) {
    threads.emplace_back([&, letter] {
      for (int i = 0; i < 20; ++i) write_file(place.target, std::string(100000, letter));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string content = read_file(place.target);
  CHECK(content == std::string(100000, content[0]));
  CHECK(place.count() == 2);
}

TEST_CASE("check_writable says what write_file would, and leaves no trace") {
  Place place;
  const std::string long_name = (place.root / std::string(300, 'x')).string(), none = (place.root / "none" / "file").string();
  for (const auto& [path, reason] : {std::pair{none, "No such file or directory"},
                                     {place.fresh, "Is a directory"},
                                     {place.fresh + "/file/below", "Not a directory"},
                                     {long_name, "File name too long"}}) {
    const std::string message = path + ": cannot be written: " + reason;
    CHECK_THROWS_WITH_AS(check_writable(path), message.c_str(), FileError);
    CHECK_THROWS_WITH_AS(write_file(path, "content"), message.c_str(), FileError);
  }
  check_writable(place.target);
  CHECK(!fs::exists(place.target));
  check_writable(place.fresh + "/file");
  CHECK(read_file(place.fresh + "/file") == "new");
  for (const char* device : {"/dev/null", "/dev/full"}) check_writable(device);  // that one is full comes out later
  CHECK(place.count() == 1);
  CHECK(std::distance(fs::directory_iterator(place.fresh), {}) == 1);
}

// The limit on the size of files stands for a disk with so much room. Its signal would end this program.
TEST_CASE("of what does not fit nothing is appended, and a file that it was to replace stays") {
  Place place;
  const std::string path = place.fresh + "/file";
  OutputFile file(path);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit room{.rlim_cur = 100, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &room);
  std::string appended = "no error", replaced = "no error";
  try {
    file.write(std::string(60, 'x'));
    file.write(std::string(60, 'y'));
  } catch (const FileError& error) {
    appended = error.what();
  }
  try {
    write_file(path, std::string(101, 'z'));
  } catch (const FileError& error) {
    replaced = error.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  CHECK(appended == path + ": cannot be written: File too large");
  CHECK(replaced == appended);
  CHECK(read_file(path) == "new" + std::string(60, 'x'));
  CHECK(std::distance(fs::directory_iterator(place.fresh), {}) == 1);
  // A program that waits for the signal itself gets it.
  sigset_t pending;
  ::sigpending(&pending);
  CHECK(!::sigismember(&pending, SIGXFSZ));
}

TEST_CASE("a file is read whole, by lines with their ends, and what cannot be read says why") {
  Place place;
  const std::string path = place.fresh + "/file", none = place.target + "/none";
  const auto lines = [&] {
    std::vector<std::string> all;
    read_lines(path, [&](std::string_view line) { all.emplace_back(line); });
    return all;
  };
  const std::string large(100000, 'x');  // more than is read at a time
  write_file(path, large + "\n\n\r\n" + large + "\nend");
  CHECK(lines() == std::vector<std::string>{large + "\n", "\n", "\r\n", large + "\n", "end"});
  write_file(path, std::string("a\n\0b\n", 5));
  CHECK(lines() == std::vector<std::string>{"a\n", std::string("\0b\n", 3)});
  CHECK(read_file(path) == std::string("a\n\0b\n", 5));
  write_file(path, "");
  CHECK(lines().empty());
  CHECK(read_file(path).empty());
  CHECK_THROWS_WITH_AS(read_file(none), (none + ": cannot be read: No such file or directory").c_str(), FileError);
  CHECK_THROWS_WITH_AS(read_file(place.fresh), (place.fresh + ": cannot be read: Is a directory").c_str(), FileError);
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
  const fs::path here = fs::current_path();
  for (const auto& [path, expected] : {std::pair<const char*, std::string>{"a", here / "a"},
                                       {"./a//b/", here / "a/b"},
                                       {".", here},
                                       {"/", "/"},
                                       {"/a/", "/a"},
                                       {"//a/./b/.", "/a/b"},
                                       {"../a", here.parent_path() / "a"},
                                       {"a/../b", here / "a/../b"},
                                       {"/../a", "/a"}}) {
    CAPTURE(path);
    CHECK(absolute_path(path) == expected);
  }
}
