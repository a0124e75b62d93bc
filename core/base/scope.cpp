#include "core/base/scope.h"

#include <fmt/core.h>

namespace az {
namespace {

const std::string no_scope;
thread_local const std::string* current_scope = &no_scope;
thread_local const char* current_op = nullptr;

}  // namespace

Scope::Scope(const std::string& path, const char* op) : path_before_(current_scope), op_before_(current_op) {
  current_scope = &path;
  current_op = op;
}

Scope::~Scope() {
  current_scope = path_before_;
  current_op = op_before_;
}

const std::string& Scope::path() { return *current_scope; }

std::string Scope::place() {
  if (!current_op) return path();
  return fmt::format("{}{}{}: backward", path(), path().empty() ? "" : ": ", current_op);
}

}  // namespace az
