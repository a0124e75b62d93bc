#include "core/backend/backend.h"

#include "core/backend/onednn.h"
#include "core/backend/reference.h"

namespace az {

Backend& backend_for(DType type, const char* op) {
  static OneDnn onednn;
  static Reference reference;
  if (type == DType::f32) return onednn;
  if (type == DType::f64) return reference;
  fail("{}: works on f32 and f64, not {}", op, name_of(type));
}

}  // namespace az
