#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/tensor/tensor.h"

namespace az {

// Named tensors and free text, as kept in a .safetensors file (https://huggingface.co/docs/safetensors): the 8-byte length of a
// JSON header, the header, then the elements, little-endian and row-major.
struct SafeTensors {
  std::map<std::string, Tensor> tensors;  // f32, f64, bf16, i64 or u8
  std::map<std::string, std::string> metadata;
};

// Throws DataError naming file and entry when the file is missing, truncated, malformed or holds another number type.
SafeTensors read_safetensors(const std::string& path);
// Does the same with a file that is in memory; `name` stands for the file in errors.
SafeTensors parse_safetensors(std::string_view bytes, const std::string& name);
// Writes or replaces `path`, by write_file(); equal contents give equal bytes. Throws Error when it cannot.
void write_safetensors(const std::string& path, const SafeTensors& contents);

}  // namespace az
