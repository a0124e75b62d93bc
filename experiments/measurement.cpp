#include "experiments/measurement.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include "core/base/error.h"
#include "core/base/names.h"
#include "core/config/json_document.h"
#include "core/config/nearest.h"
#include "experiments/damage.h"
#include "experiments/run_folder.h"

namespace az::experiments {
namespace {

// The element whose member is that; nullptr where there is none.
template <class List> auto find_in(List& list, std::string_view name, auto member) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const auto& one) { return one.*member == name; });
  return found == list.end() ? nullptr : std::to_address(found);
}

// Says whether reports can be made with these quantities.
bool is_drawable(const std::vector<Quantity>& quantities) {
  try {
    check_quantities(quantities);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

double Quantity::place(const std::string& word) const {
  const auto found = std::find(words.begin(), words.end(), word);
  return found == words.end() ? NAN : double(found - words.begin());
}

const Quantity* Measurement::find(std::string_view key) const { return find_in(quantities, key, &Quantity::key); }

const Measurement* Measurements::find(std::string_view kind) const { return find_in(kinds, kind, &Measurement::kind); }

std::vector<std::string> Measurement::drawn(const std::string& subject) const {
  std::set<std::string> companions;
  for (const Quantity& quantity : quantities) {
    if (quantity.drawn) companions.insert(quantity.beside);
  }
  std::vector<std::string> keys;
  for (const Quantity& quantity : quantities) {
    if (quantity.subject() == subject && (quantity.drawn || companions.count(quantity.key))) keys.push_back(quantity.key);
  }
  return keys;
}

void Measurements::add(const Measurement& more) {
  if (!find(more.kind)) kinds.push_back({more.kind, {}});
  std::vector<Quantity>& known = find_in(kinds, more.kind, &Measurement::kind)->quantities;
  for (const Quantity& quantity : more.quantities) {
    if (Quantity* same = find_in(known, quantity.key, &Quantity::key))
      *same = quantity;
    else
      known.push_back(quantity);
  }
}

void check_quantities(const std::vector<Quantity>& quantities) {
  std::set<std::string> taken{"kind", "step", "epoch"};
  taken.insert(std::begin(line_subjects), std::end(line_subjects));
  std::vector<std::string> keys;
  for (const Quantity& quantity : quantities) {
    check_name("the key of a quantity,", quantity.key);
    config::checked(quantity.key, quantity);
    if (!taken.insert(quantity.key).second) fail("a quantity cannot be called \"{}\": a line has that already", quantity.key);
    keys.push_back(quantity.key);
  }
  for (const Quantity& quantity : quantities) {
    const Quantity* beside = find_in(quantities, quantity.beside, &Quantity::key);
    if (quantity.beside.empty()) continue;
    if (!beside)
      fail("{}.beside: there is no quantity \"{}\"{}", quantity.key, quantity.beside,
           config::did_you_mean(quantity.beside, keys));
    if (beside->subject() != quantity.subject())
      fail("{}.beside: \"{}\" is per {}, and this per {}", quantity.key, quantity.beside, beside->per, quantity.per);
  }
}

Measurements read_measurements(const std::string& folder) {
  const std::string file = folder + "/measurements.json";
  return undamaged(file, "put back a copy, or remove it: resuming the run makes it anew", [&] {
    if (!is_there(file)) return Measurements();
    auto measurements = config::parse<Measurements>(config::parse_file(file));
    for (const Measurement& one : measurements.kinds) check_quantities(one.quantities);
    return measurements;
  });
}

void record_measurements(const std::string& folder, const Measurements& measurements) {
  Measurements all = read_measurements(folder);
  for (const Measurement& one : measurements.kinds) {
    all.add(one);
    std::vector<Quantity>& merged = find_in(all.kinds, one.kind, &Measurement::kind)->quantities;
    if (!is_drawable(merged)) merged = one.quantities;
  }
  all.norm_rule = measurements.norm_rule;
  replace_text(folder + "/measurements.json", config::dump(config::to_value(all), 2) + "\n");
}

}  // namespace az::experiments
