#pragma once

#include "core/config/value.h"

namespace az::config {

inline constexpr size_t deepest = 200;  // levels of lists and objects in one another

// Reads JSON, strictly: no comments, no duplicate keys, numbers within the range of doubles. An integer beyond 64 bits is a
// double. Throws ConfigError "<name>:<line>:<column>: ..." with the remedy; lines and columns (in characters) start at 1.
Value parse_text(std::string_view text, const std::string& name);
Value parse_file(const std::string& path);

// JSON text: on one line, or with that many spaces a level. Doubles read back to the same bits; NaN and infinity become null.
std::string dump(const Value& value, int indent = -1);

// Sets what a command line's `--set path=text` names: "optimizer.lr", "data.augment.0.padding". The text is JSON, or else a
// plain string; an option that is a string takes 123 and true, too, as they were typed. Missing objects on the way are made.
// Throws ConfigError "--set <path>: ...".
void set_path(Value& root, const std::string& path, const std::string& text);
// Does the same with a value that was read as JSON, as "path": value, and that stood at `position`.
void set_path(Value& root, const std::string& path, Value value, const Position& position);

}  // namespace az::config
