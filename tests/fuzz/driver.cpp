// Runs a libFuzzer target without libFuzzer: every seed as it is, then mutations of seeds, the same ones at each call.
// Usage: fuzz_NAME SEEDS [ROUNDS]; seeds are the files SEEDS/NAME/*.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

std::vector<Bytes> read_seeds(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> seeds{{}};
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return seeds;
}

// Changes one thing: bits, a byte, a length, a cut, a repeat, or a piece of another seed.
void mutate(Bytes& bytes, const std::vector<Bytes>& seeds, std::mt19937& random) {
  auto below = [&](size_t n) { return n ? size_t(random() % n) : 0; };
  const size_t at = below(bytes.size());
  const auto here = bytes.begin() + std::ptrdiff_t(at);
  static constexpr uint8_t telling[] = {0, 1, 9, 10, 0x7f, 0x80, 0xff, '"', '{', '}', '[', ']', ',', ':', '\\', '-', '0', 'e'};
  if (bytes.empty()) {
    bytes = seeds[below(seeds.size())];
    return;
  }
  switch (below(7)) {
    case 0: bytes[at] ^= uint8_t(1u << below(8)); break;
    case 1: bytes[at] = telling[below(sizeof telling)]; break;
    case 2: bytes.insert(here, telling[below(sizeof telling)]); break;
    case 3: bytes.resize(at); break;
    case 4: bytes.erase(here, here + std::ptrdiff_t(1 + below(std::min<size_t>(bytes.size() - at, 16)))); break;
    case 5: {
      const Bytes piece(here, here + std::ptrdiff_t(below(std::min<size_t>(bytes.size() - at, 64))));
      bytes.insert(here, piece.begin(), piece.end());
      break;
    }
    default: {
      const Bytes& other = seeds[below(seeds.size())];
      const size_t from = below(other.size());
      for (size_t i = 0; i < 8 && from + i < other.size() && at + i < bytes.size(); ++i) bytes[at + i] = other[from + i];
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s SEEDS [ROUNDS]\n", argv[0]);
    return 2;
  }
  const std::string name = std::filesystem::path(argv[0]).filename().string().substr(5);
  const auto seeds = read_seeds(std::filesystem::path(argv[1]) / name);
  const long rounds = argc > 2 ? std::atol(argv[2]) : 20000;
  for (const Bytes& seed : seeds) LLVMFuzzerTestOneInput(seed.data(), seed.size());
  std::mt19937 random(1);
  for (long round = 0; round < rounds; ++round) {
    Bytes bytes = seeds[random() % seeds.size()];
    for (auto changes = 1 + random() % 4; changes > 0; --changes) mutate(bytes, seeds, random);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%s: %zu seeds, %ld mutations\n", name.c_str(), seeds.size(), rounds);
  return 0;
}
