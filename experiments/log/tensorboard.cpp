#include "experiments/log/tensorboard.h"

#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>

#include "core/error.h"

namespace az::experiments {
namespace {

static_assert(std::endian::native == std::endian::little, "records are little-endian");

template <class T> std::string bytes_of(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

// Protocol buffers: a field is its number and kind, then a varint, 8 or 4 bytes, or a length and so many bytes.
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += char(value | 128);
  return bytes + char(value);
}
std::string field(int number, int64_t value) { return varint(uint64_t(number) << 3) + varint(uint64_t(value)); }
std::string field(int number, double value) { return varint(uint64_t(number) << 3 | 1) + bytes_of(value); }
std::string field(int number, float value) { return varint(uint64_t(number) << 3 | 5) + bytes_of(value); }
std::string field(int number, const std::string& value) {
  return varint(uint64_t(number) << 3 | 2) + varint(value.size()) + value;
}

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

struct ToNumber {
  std::optional<double> operator()(int64_t x) const { return double(x); }
  std::optional<double> operator()(double x) const { return x; }
  std::optional<double> operator()(const std::string&) const { return {}; }
  std::optional<double> operator()(const std::optional<double>& x) const { return x; }
};

uint32_t masked_crc32c(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return std::rotr(crc, 15) + 0xa282ead8U;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static const auto table = [] {
    std::array<uint32_t, 256> result{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78U : crc >> 1;
      result[i] = crc;
    }
    return result;
  }();
  uint32_t crc = ~0U;
  for (char byte : bytes) crc = crc >> 8 ^ table[(crc ^ uint8_t(byte)) & 255];
  return ~crc;
}

TensorboardMirror::TensorboardMirror(const std::string& folder, const std::vector<MetricLine>& lines)
    : path_(folder + "/events.out.tfevents.0.azimuth") {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  out_.open(path_, std::ios::binary | std::ios::trunc);
  write_record(field(1, now()) + field(3, std::string("brain.Event:2")));
  for (const MetricLine& line : lines) write_event(line.kind, line.fields);
  if (!out_.flush()) fail("cannot write {}", path_);
}

void TensorboardMirror::write(const std::string& kind, const MetricFields& fields) {
  write_event(kind, fields);
  if (!out_.flush()) fail("cannot write {}", path_);
}

void TensorboardMirror::write_event(const std::string& kind, const MetricFields& fields) {
  int64_t step = 0;
  std::string behind, summary;
  for (const auto& [key, value] : fields) {
    if (key == "step" && std::holds_alternative<int64_t>(value)) step = std::get<int64_t>(value);
    if (key == "parameter" && std::holds_alternative<std::string>(value)) behind = "/" + std::get<std::string>(value);
  }
  for (const auto& [key, value] : fields) {
    const std::optional<double> number = std::visit(ToNumber{}, value);
    if (key == "step" || !number || !std::isfinite(*number)) continue;
    summary += field(1, field(1, kind + "/" + key + behind) + field(2, float(*number)));
  }
  write_record(field(1, now()) + field(2, step) + field(5, summary));
}

void TensorboardMirror::write_record(const std::string& event) {
  const std::string length = bytes_of(uint64_t(event.size()));
  out_ << length << bytes_of(masked_crc32c(length)) << event << bytes_of(masked_crc32c(event));
}

}  // namespace az::experiments
