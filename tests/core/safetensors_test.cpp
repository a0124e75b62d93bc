#include "core/safetensors.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

using namespace az;

namespace {

// A folder of this process that disappears with the test.
struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("azimuth-safetensors-" + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file(const std::string& name) const { return (path / name).string(); }
};

// The bytes of a file with this header and this much data.
std::string file_of(const std::string& header, size_t data = 0) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = char(uint64_t(header.size()) >> (8 * i));
  return bytes + header + std::string(data, '\1');
}

std::string refusal(const std::string& bytes) {
  try {
    parse_safetensors(bytes, "a.safetensors");
  } catch (const DataError& error) {
    return error.what();
  }
  return "accepted";
}

void check_refused(const std::string& header, size_t data, const std::string& reason) {
  std::string message = refusal(file_of(header, data));
  CAPTURE(header);
  CAPTURE(message);
  CHECK(message.starts_with("a.safetensors: "));
  CHECK(message.find(reason) != std::string::npos);
}

std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

SafeTensors sample() {
  SafeTensors contents;
  contents.tensors["b.weight"] = Tensor::of<float>({2, 3}, {1, -2, 3.5f, 0, -0.f, 1e-30f});
  contents.tensors["a"] = Tensor::of<double>({}, {0.1});
  contents.tensors["labels"] = Tensor::of<int64_t>({3}, {7, -1, int64_t(1) << 60});
  contents.tensors["image"] = Tensor::of<uint8_t>({3}, {0, 128, 255});
  contents.tensors["empty"] = Tensor::empty({0, 5}, DType::f32);
  contents.tensors["half"] = Tensor::of<bf16>({2}, {bf16(1.5f), bf16(-3.f)});
  contents.metadata = {{"format", "azimuth"}, {"note", "naïve \"quoted\""}};
  return contents;
}

}  // namespace

TEST_CASE("safetensors: bytes follow the published layout") {
  // The file of one f32 tensor, written out by hand after the format's description.
  std::string header = R"({"w":{"data_offsets":[0,8],"dtype":"F32","shape":[2]}})";
  header.resize(56, ' ');
  std::string bytes = file_of(header) + std::string("\x00\x00\x80\x3f\x00\x00\x00\xc0", 8);  // 1.0f, -2.0f
  SafeTensors contents = parse_safetensors(bytes, "by hand");
  REQUIRE(contents.tensors.size() == 1);
  CHECK(contents.tensors.at("w").to_vector<float>() == std::vector<float>{1, -2});
  Folder folder;
  write_safetensors(folder.file("w"), contents);
  CHECK(read_bytes(folder.file("w")) == bytes);
}

TEST_CASE("safetensors: everything written is read again, bit for bit") {
  Folder folder;
  SafeTensors written = sample();
  write_safetensors(folder.file("one"), written);
  SafeTensors found = read_safetensors(folder.file("one"));
  CHECK(found.metadata == written.metadata);
  REQUIRE(found.tensors.size() == written.tensors.size());
  for (const auto& [name, tensor] : written.tensors) {
    CAPTURE(name);
    const Tensor& other = found.tensors.at(name);
    REQUIRE(other.dtype() == tensor.dtype());
    REQUIRE(other.shape() == tensor.shape());
    CHECK(std::memcmp(other.raw(), tensor.raw(), size_t(tensor.numel()) * size_of(tensor.dtype())) == 0);
  }
  write_safetensors(folder.file("two"), found);
  std::string bytes = read_bytes(folder.file("two"));
  CHECK(bytes == read_bytes(folder.file("one")));
  CHECK(uint8_t(bytes[0]) % 8 == 0);  // the header is padded, so the data is aligned
}

TEST_CASE("safetensors: header order does not matter, unknown keys are let be, an empty file of tensors is legal") {
  std::string header =
      R"({"z":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"shape":[2],"extra":1,"data_offsets":[1,3],"dtype":"U8"}}  )";
  SafeTensors contents = parse_safetensors(file_of(header) + "xyz", "order");
  CHECK(contents.tensors.at("z").to_vector<int>() == std::vector<int>{'x'});
  CHECK(contents.tensors.at("a").to_vector<int>() == std::vector<int>{'y', 'z'});
  CHECK(parse_safetensors(file_of("{}"), "nothing").tensors.empty());
}

TEST_CASE("safetensors: malformed files are refused with the reason") {
  const std::string one = R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";
  CHECK(refusal(file_of(one, 4)) == "accepted");
  CHECK(refusal("") == "a.safetensors: too short for a safetensors file (0 bytes)");
  CHECK(refusal(file_of(one).substr(0, 20)).find("truncated: the header ends at byte") != std::string::npos);
  CHECK(refusal("PK\x03\x04 something else entirely").find("not a safetensors file") != std::string::npos);
  check_refused("", 0, "does not start with an opening brace");
  check_refused(" {}", 0, "does not start with an opening brace");
  check_refused(one, 3, "truncated: its entries take 4 bytes of data, the file has 3");
  check_refused(one, 5, "too long: its entries take 4 bytes of data, the file has 5");
  check_refused("{\"x\":", 0, "the header is not JSON");
  check_refused("{} {}", 0, "the header is not JSON");
  check_refused("{\"\xff\":1}", 0, "the header is not JSON");
  check_refused(R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                0, "the key \"x\" twice");
  check_refused(R"({"x":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0, "the key \"dtype\" twice");
  check_refused(R"({"__metadata__":{"a":"1","a":"2"}})", 0, "the key \"a\" twice");
  check_refused(R"({"__metadata__":{"a":1}})", 0, "\"a\" is not a string");
  check_refused(R"({"__metadata__":[]})", 0, "is not an object");
  check_refused(R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}})", 5,
                "\"x\" begins at 1 of the data, where 0 is expected");
  check_refused(R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                3, "\"y\" begins at 1 of the data, where 2 is expected");
  check_refused(R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}})",
                5, "\"y\" begins at 3 of the data, where 2 is expected");
  check_refused(R"({"x":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}})", 4, "do not fit f32 [4], which takes 16 bytes");
  check_refused(R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}})", 4, "do not fit");
  check_refused(R"({"x":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0, "shape is too large");
  check_refused(R"({"x":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,0]}})", 0, "shape is too large");
  check_refused(R"({"x":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}})", 0, "\"shape\" holds something other than sizes");
  check_refused(R"({"x":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1, "\"shape\" holds something other than sizes");
  check_refused(R"({"x":{"dtype":"U8","shape":4,"data_offsets":[0,4]}})", 4, "\"shape\" is not a list");
  check_refused(R"({"x":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1, "9 axes");
  check_refused(R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4,8]}})", 4, "is not [begin, end]");
  check_refused(R"({"x":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", 4, "number type \"F16\" is not one of");
  check_refused(R"({"x":{"shape":[4],"data_offsets":[0,4]}})", 4, "\"x\" has no \"dtype\"");
  check_refused(R"({"x":3})", 0, "\"x\" is not an object");
  check_refused("{\"x\":" + std::string(100000, '['), 0, "nested too deeply");
}

TEST_CASE("safetensors: a header length past the limit is refused before memory is taken") {
  std::string bytes = file_of("{}");
  for (size_t i = 0; i < 8; ++i) bytes[i] = '\xff';
  CHECK(refusal(bytes).find("its header would take 18446744073709551615 bytes") != std::string::npos);
}

TEST_CASE("safetensors: every prefix is refused, every changed byte is read or refused") {
  Folder folder;
  write_safetensors(folder.file("f"), sample());
  const std::string bytes = read_bytes(folder.file("f"));
  for (size_t length = 0; length < bytes.size(); ++length) CHECK(refusal(bytes.substr(0, length)) != "accepted");
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (char flip : {'\x01', '\x10', '\x80'}) {
      std::string changed = bytes;
      changed[at] = char(changed[at] ^ flip);
      CHECK_NOTHROW(refusal(changed));  // refusal() lets anything but a DataError out
    }
  }
}

TEST_CASE("safetensors: what cannot be read or written says why") {
  Folder folder;
  const std::string absent = folder.file("absent/x");
  CHECK_THROWS_WITH_AS(read_safetensors(absent), (absent + ": cannot be read: No such file or directory").c_str(), DataError);
  CHECK_THROWS_WITH_AS(read_safetensors(folder.path.string()), (folder.path.string() + ": not a file").c_str(), DataError);
  CHECK_THROWS_WITH_AS(write_safetensors(absent, sample()), (absent + ": cannot be written: No such file or directory").c_str(),
                       Error);
  SafeTensors bad;
  bad.tensors["__metadata__"] = Tensor::of<float>({1}, {1});
  CHECK_THROWS_AS(write_safetensors(folder.file("bad"), bad), Error);
  CHECK(!std::filesystem::exists(folder.file("bad")));
}

TEST_CASE("safetensors: a write that fails leaves what was there, and nothing beside it") {
  Folder folder;
  const std::string path = folder.file("f");
  write_safetensors(path, sample());
  const std::string before = read_bytes(path);
  auto files = [&] { return std::distance(std::filesystem::directory_iterator(folder.path), {}); };
  SafeTensors large;
  large.tensors["x"] = Tensor::empty({1 << 20}).fill_(1);
  rlimit limit{}, less{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  less = limit;
  less.rlim_cur = 1 << 16;
  ::setrlimit(RLIMIT_FSIZE, &less);
  std::string message = "no error";
  try {
    write_safetensors(path, large);
  } catch (const Error& error) {
    message = error.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &limit);
  CHECK(message == path + ": cannot be written: File too large");
  CHECK(read_bytes(path) == before);
  CHECK(files() == 1);

  // Through a link, which stays; to a device as it is.
  std::filesystem::create_symlink("f", folder.path / "link");
  write_safetensors(folder.file("link"), large);
  CHECK(std::filesystem::is_symlink(folder.path / "link"));
  CHECK(read_safetensors(path).tensors.contains("x"));
  CHECK(files() == 2);
  write_safetensors("/dev/null", sample());
  CHECK(std::filesystem::is_character_file("/dev/null"));
  CHECK_THROWS_WITH_AS(write_safetensors("/dev/full", sample()), "/dev/full: cannot be written: No space left on device",
                       Error);
}
