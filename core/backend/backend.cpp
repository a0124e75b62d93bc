#include "core/backend/backend.h"

#include "core/backend/info.h"
#include "core/backend/native.h"
#include "core/backend/reference.h"

namespace az {

Backend& backend_for(DType type, const char* op) {
  static Native native;
  static Reference reference;
  if (type == DType::f32) return native;
  if (type == DType::f64) return reference;
  if (type != DType::bf16) fail("{}: works on f32, bf16 and f64, not {}", op, name_of(type));
  if (!has_bf16()) fail("{}: this processor has no bf16 arithmetic (AVX-512 with bf16, or AMX); use f32", op);
  return native;
}

}  // namespace az
