#include "core/safetensors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "core/base/c_locale.h"
#include "core/base/files.h"

namespace az {
namespace {

using Json = nlohmann::json;

constexpr uint64_t max_header = 100'000'000;
constexpr const char* metadata_key = "__metadata__";
constexpr std::pair<const char*, DType> dtypes[] = {
    {"F32", DType::f32}, {"F64", DType::f64}, {"BF16", DType::bf16}, {"I64", DType::i64}, {"U8", DType::u8}};

template <class... Args> [[noreturn]] void reject(const std::string& file, fmt::format_string<Args...> format, Args&&... args) {
  throw DataError(file + ": " + fmt::format(format, std::forward<Args>(args)...));
}

// A source of bytes: read(offset, target, count) either fills the target or throws.
struct Source {
  std::string name;
  uint64_t size;
  std::function<void(uint64_t, void*, size_t)> read;
};

struct Entry {
  std::string name;
  DType dtype;
  Shape shape;
  uint64_t begin, end;
};

// Refuses equal keys in one object, which the library would merge in silence, and nesting deeper than the format has.
Json parse_header(const Source& source, const std::string& text) {
  std::vector<std::set<std::string>> keys;
  auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth > 4) reject(source.name, "the header is nested too deeply");
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second) {
      reject(source.name, "the header has the key \"{}\" twice", value.get<std::string>());
    }
    return true;
  };
  const CLocale locale;
  try {
    return Json::parse(text, watch);
  } catch (const Json::exception& error) {
    reject(source.name, "the header is not JSON: {}", error.what());
  }
}

const Json& field(const Source& source, const std::string& entry, const Json& value, const char* key) {
  if (!value.is_object()) reject(source.name, "entry \"{}\" is not an object", entry);
  auto found = value.find(key);
  if (found == value.end()) reject(source.name, "entry \"{}\" has no \"{}\"", entry, key);
  return *found;
}

std::vector<uint64_t> integers(const Source& source, const std::string& entry, const Json& value, const char* key) {
  const Json& list = field(source, entry, value, key);
  if (!list.is_array()) reject(source.name, "entry \"{}\": \"{}\" is not a list", entry, key);
  std::vector<uint64_t> numbers;
  for (const Json& number : list) {
    if (!number.is_number_unsigned()) reject(source.name, "entry \"{}\": \"{}\" holds something other than sizes", entry, key);
    numbers.push_back(number.get<uint64_t>());
  }
  return numbers;
}

Entry parse_entry(const Source& source, const std::string& name, const Json& value) {
  const Json& type = field(source, name, value, "dtype");
  std::optional<DType> dtype;
  for (const auto& [text, candidate] : dtypes) {
    if (type == text) dtype = candidate;
  }
  if (!dtype) reject(source.name, "entry \"{}\": number type {} is not one of F32, F64, BF16, I64, U8", name, type.dump());
  auto sizes = integers(source, name, value, "shape");
  if (sizes.size() > Shape::max_rank) {
    reject(source.name, "entry \"{}\" has {} axes; at most {} are supported", name, sizes.size(), int(Shape::max_rank));
  }
  Entry entry{name, *dtype, {}, 0, 0};
  int64_t bytes = int64_t(size_of(*dtype));
  for (uint64_t size : sizes) {
    if (size > uint64_t(INT64_MAX) || __builtin_mul_overflow(bytes, int64_t(size), &bytes)) {
      reject(source.name, "entry \"{}\": its shape is too large", name);
    }
    entry.shape.push_back(int64_t(size));
  }
  auto offsets = integers(source, name, value, "data_offsets");
  if (offsets.size() != 2) reject(source.name, "entry \"{}\": \"data_offsets\" is not [begin, end]", name);
  entry.begin = offsets[0];
  entry.end = offsets[1];
  if (entry.end < entry.begin || entry.end - entry.begin != uint64_t(bytes)) {
    reject(source.name, "entry \"{}\": offsets [{}, {}] do not fit {} {}, which takes {} bytes", name, entry.begin, entry.end,
           name_of(entry.dtype), entry.shape.str(), bytes);
  }
  return entry;
}

std::map<std::string, std::string> parse_metadata(const Source& source, const Json& value) {
  if (!value.is_object()) reject(source.name, "\"{}\" is not an object", metadata_key);
  std::map<std::string, std::string> metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) reject(source.name, "\"{}\": the value of \"{}\" is not a string", metadata_key, key);
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

SafeTensors read(const Source& source) {
  uint64_t length = 0;
  if (source.size < sizeof(length)) reject(source.name, "too short for a safetensors file ({} bytes)", source.size);
  source.read(0, &length, sizeof(length));
  if (length > max_header) reject(source.name, "not a safetensors file (its header would take {} bytes)", length);
  const uint64_t start = sizeof(length) + length;
  if (start > source.size) reject(source.name, "truncated: the header ends at byte {}, the file at {}", start, source.size);
  std::string text(length, '\0');
  source.read(sizeof(length), text.data(), text.size());
  if (!text.starts_with('{')) reject(source.name, "not a safetensors file (its header does not start with an opening brace)");

  SafeTensors result;
  std::vector<Entry> entries;
  const Json header = parse_header(source, text);
  for (const auto& [name, value] : header.items()) {
    if (name == metadata_key)
      result.metadata = parse_metadata(source, value);
    else
      entries.push_back(parse_entry(source, name, value));
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
  uint64_t end = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != end) {
      reject(source.name, "entry \"{}\" begins at {} of the data, where {} is expected", entry.name, entry.begin, end);
    }
    end = entry.end;
  }
  if (end != source.size - start) {
    reject(source.name, "{}: its entries take {} bytes of data, the file has {}",
           end > source.size - start ? "truncated" : "too long", end, source.size - start);
  }
  for (const Entry& entry : entries) {
    Tensor tensor = Tensor::empty(entry.shape, entry.dtype);
    if (entry.end > entry.begin) source.read(start + entry.begin, tensor.raw(), entry.end - entry.begin);
    result.tensors.emplace(entry.name, std::move(tensor));
  }
  return result;
}

// A descriptor that closes itself.
struct File {
  int descriptor;
  ~File() {
    if (descriptor >= 0) ::close(descriptor);
  }
};

std::string make_header(const std::string& path, const SafeTensors& contents) {
  Json header = Json::object();
  if (!contents.metadata.empty()) header[metadata_key] = contents.metadata;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : contents.tensors) {
    if (!tensor.defined() || name == metadata_key) throw Error(path + ": cannot hold the entry \"" + name + "\"");
    uint64_t end = offset + uint64_t(tensor.numel()) * size_of(tensor.dtype());
    Json& entry = header[name];
    for (const auto& [text, dtype] : dtypes) {
      if (dtype == tensor.dtype()) entry["dtype"] = text;
    }
    entry["shape"] = std::vector<int64_t>(tensor.shape().begin(), tensor.shape().end());
    entry["data_offsets"] = {offset, end};
    offset = end;
  }
  try {
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return text;
  } catch (const Json::exception& error) {
    throw Error(path + ": a name or a text in it is not UTF-8: " + error.what());
  }
}

}  // namespace

SafeTensors read_safetensors(const std::string& path) {
  File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat status {};
  if (file.descriptor < 0 || ::fstat(file.descriptor, &status) != 0) reject(path, "cannot be read: {}", std::strerror(errno));
  if (!S_ISREG(status.st_mode)) reject(path, "not a file");
  return read({path, uint64_t(status.st_size), [&](uint64_t offset, void* target, size_t count) {
                 auto* bytes = static_cast<char*>(target);
                 while (count > 0) {
                   ssize_t got = ::pread(file.descriptor, bytes, count, off_t(offset));
                   if (got < 0 && errno == EINTR) continue;
                   if (got < 0) reject(path, "cannot be read: {}", std::strerror(errno));
                   if (got == 0) reject(path, "truncated while it was read");
                   bytes += got;
                   offset += uint64_t(got);
                   count -= size_t(got);
                 }
               }});
}

SafeTensors parse_safetensors(std::string_view bytes, const std::string& name) {
  return read({name, bytes.size(), [&](uint64_t offset, void* target, size_t count) {
                 if (count > 0) std::memcpy(target, bytes.data() + offset, count);
               }});
}

void write_safetensors(const std::string& path, const SafeTensors& contents) {
  const std::string header = make_header(path, contents);
  write_file(path, [&](const Put& put) {
    const uint64_t length = header.size();
    put(&length, sizeof(length));
    put(header.data(), header.size());
    for (const auto& [name, tensor] : contents.tensors) {
      Tensor plain = tensor.detach().plain();
      put(plain.raw(), size_t(plain.numel()) * size_of(plain.dtype()));
    }
  });
}

}  // namespace az
