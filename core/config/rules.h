#pragma once

#include "core/config/options.h"

namespace az::config {

// Throws ConfigError if a value breaks a rule.
void check_rules(const Value& value, const std::string& path, const Rules& rules);

// While an exception is being handled that is due to `value`, the options at `path`: throws it on as a PlacedError with that
// place, or with the option's. What has a place already stays as it is, and so does what is the fault of no options: missing or
// corrupt data, a training that diverged, too little memory. `thrower` is as rethrow_placed() has it.
[[noreturn]] void rethrow_at(const Value& value, const std::string& path, const std::string& thrower = "");

// The rules as JSON Schema keywords ("minimum", "enum"), and for people ("at least 0, less than 1").
void add_rules(Value& schema, const Rules& rules);
std::string range_text(const Rules& rules);

// Whether a value switches on what its option is for: it is neither null nor false.
bool is_on(const Value& value);
// Whether an option takes a value under rules; what it reads then is in `scratch`.
bool takes(const Codec& codec, const Value& value, const Rules& rules, void* scratch);

}  // namespace az::config
