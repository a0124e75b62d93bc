#pragma once

#include "core/config/options.h"

namespace az::config {

// Throws ConfigError if a number or a string breaks a rule.
void check_rules(const Value& value, const std::string& path, const Rules& rules);

// The rules as JSON Schema keywords ("minimum", "enum"), and for people ("at least 0, less than 1").
void add_rules(Value& schema, const Rules& rules);
std::string range_text(const Rules& rules);

}  // namespace az::config
