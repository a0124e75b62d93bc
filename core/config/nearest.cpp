#include "core/config/nearest.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/base/ascii.h"

namespace az::config {
namespace {

// Edit distance with swaps of neighbours (optimal string alignment).
size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t substituted = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, substituted});
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

// Returns the word as option names are written: in lower case, with _ in place of - and spaces.
std::string plain(const std::string& word) {
  std::string text = to_lower(word);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '-' || c == ' '; }, '_');
  return text;
}

// "lr" of "learning_rate"; nothing of a single word.
std::string initials(const std::string& word) {
  std::string result;
  for (size_t i = 0; i < word.size(); ++i) {
    if (word[i] != '_' && (i == 0 || word[i - 1] == '_')) result += word[i];
  }
  return result.size() > 1 ? result : "";
}

bool begins_or_ends(const std::string& whole, const std::string& part) {
  return part.size() > 1 && (whole.starts_with(part + "_") || whole.ends_with("_" + part));
}

}  // namespace

std::optional<std::string> nearest(const std::string& given, const std::vector<std::string>& candidates) {
  const std::string word = plain(given);
  // A very long word is no typing error, and would take long to compare.
  if (word.empty() || word.size() > 100) return {};
  const std::string* best = nullptr;
  size_t best_distance = (word.size() <= 4 ? 1 : std::min(word.size() / 2, 1 + word.size() / 4)) + 1;
  for (const std::string& candidate : candidates) {
    size_t d = distance(word, plain(candidate));
    if (d < best_distance) {
      best = &candidate;
      best_distance = d;
    }
  }
  if (best) return *best;
  std::vector<std::string> akin;
  for (const std::string& candidate : candidates) {
    if (initials(candidate) == word || initials(word) == candidate) return candidate;
    if (begins_or_ends(candidate, word) || begins_or_ends(word, candidate)) akin.push_back(candidate);
  }
  return akin.size() == 1 ? std::optional(akin[0]) : std::nullopt;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates) {
  const auto found = nearest(word, candidates);
  return found ? fmt::format("; did you mean \"{}\"?", *found) : "";
}

std::string quoted_list(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", word);
  return text;
}

}  // namespace az::config
