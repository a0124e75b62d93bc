#pragma once

#include <string>

namespace az::config {

// What is said of a word that stands where a value of JSON has to, with what to write instead: of True, 1/3, math.pi, <name>.
std::string word_message(const std::string& word);

// What is said of a character or a word that means nothing at all.
std::string no_value(const std::string& shown);

inline constexpr const char* no_variables = "JSON has no variables; write the value itself";

// Says whether the word is one that other languages have for a number that is not finite: nan, -inf.
bool is_not_finite(const std::string& word);

// "a number", "an integer".
std::string with_article(const std::string& noun);

// Says whether the word is arithmetic: 1/3, 2**10, 1+2.
bool is_arithmetic(const std::string& word);

}  // namespace az::config
