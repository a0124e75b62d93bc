#include "experiments/log/tensorboard.h"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>

#include "experiments/measurement.h"

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
  std::optional<double> operator()(const std::string& x) const { return quantity ? quantity->place(x) : NAN; }
  std::optional<double> operator()(const std::optional<double>& x) const { return x; }

  const Quantity* quantity;
};

uint32_t masked_crc32c(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return std::rotr(crc, 15) + 0xa282ead8U;
}

// What an event says of a line, without its time.
std::string event_of(const Measurements& declared, const std::string& kind, const MetricFields& fields) {
  const Measurement* of = declared.find(kind);
  int64_t step = 0;
  std::string behind, summary;
  for (const auto& [key, value] : fields) {
    if (key == "step" && std::holds_alternative<int64_t>(value)) step = std::get<int64_t>(value);
    const bool names = std::find(std::begin(line_subjects), std::end(line_subjects), key) != std::end(line_subjects);
    if (names && std::holds_alternative<std::string>(value)) behind = "/" + std::get<std::string>(value);
  }
  for (const auto& [key, value] : fields) {
    const std::optional<double> number = std::visit(ToNumber{of ? of->find(key) : nullptr}, value);
    if (key == "step" || !number || !std::isfinite(*number)) continue;
    summary += field(1, field(1, kind + "/" + key + behind) + field(2, float(*number)));
  }
  return field(2, step) + field(5, summary);
}

std::string record_of(double time, const std::string& rest) {
  const std::string event = field(1, time) + rest, length = bytes_of(uint64_t(event.size()));
  return length + bytes_of(masked_crc32c(length)) + event + bytes_of(masked_crc32c(event));
}

// The time of the record that starts there, if one does: behind its length, the sum of that, and the number of the field.
double time_at(const std::string& records, size_t start) {
  const size_t at = start + 8 + 4 + 1;
  double time = 0;
  if (at + sizeof time <= records.size()) std::memcpy(&time, records.data() + at, sizeof time);
  return time;
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

TensorboardMirror::TensorboardMirror(const std::string& folder, Measurements declared, const std::vector<MetricLine>& lines)
    : declared_(std::move(declared)) {
  const std::string path = folder + "/events.out.tfevents.0.azimuth";
  if (const std::error_code error = make_folders(folder)) throw FileError(folder, "cannot be made", error.value());
  file_.emplace(path);
  std::vector<std::string> events = {field(3, std::string("brain.Event:2"))};
  for (const MetricLine& line : lines) events.push_back(event_of(declared_, line.kind, line.fields));
  // The records that it has of these, in order, stay, and with them their times.
  const std::string before = read_file(path);
  size_t kept = 0, bytes = 0;
  for (; kept < events.size(); ++kept) {
    const std::string record = record_of(time_at(before, bytes), events[kept]);
    if (before.compare(bytes, record.size(), record) != 0) break;
    bytes += record.size();
  }
  file_->resize(int64_t(bytes));
  std::string records;
  for (; kept < events.size(); ++kept) records += record_of(now(), events[kept]);
  file_->write(records);
}

void TensorboardMirror::write(const std::string& kind, const MetricFields& fields) {
  file_->write(record_of(now(), event_of(declared_, kind, fields)));
}

}  // namespace az::experiments
