#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/config/options.h"
#include "optim/norm_identity.h"

// What the numbers in metrics.jsonl are. Whatever measures a quantity declares it, once; measurements.json in the run folder
// keeps the declarations, and reports draw by them.
namespace az::experiments {

struct Quantity {
  std::string key = {};                 // of its field
  std::string title = {};               // of its plot; "": the key
  std::string unit = {};                // on the axis of its plot: "radians"
  std::string caption = {};             // a sentence or two below its plot
  std::string scale = "linear";         // or "log"
  std::string per = "step";             // or "epoch", "parameter" or "module"
  std::string beside = {};              // the key of its theory, or of a companion
  std::string name = {};                // a word for it in a table, where it is drawn with another; "": the key
  bool drawn = true;                    // whether it has a plot of its own
  bool share = false;                   // whether it is a fraction, told in percent
  bool magnitude = false;               // whether its sign is left out
  bool geometric_mean = false;          // whether the mean over parameters or modules is that
  std::vector<std::string> words = {};  // that it takes where it is no number; each counts as its place, from 0

  static void fields(auto& f) {
    using Q = Quantity;
    f("key", &Q::key, "of its field in a line of metrics.jsonl", config::required());
    f("title", &Q::title, "of its plot; empty: the key");
    f("unit", &Q::unit, "on the axis of its plot");
    f("caption", &Q::caption, "a sentence or two below its plot");
    f("scale", &Q::scale, "of the axis at first", config::one_of({"linear", "log"}));
    f("per", &Q::per, "what it is of; lines with a field \"parameter\" or \"module\" hold what is of that one",
      config::one_of({"step", "epoch", "parameter", "module"}));
    f("beside", &Q::beside, "the key of what is drawn wide and pale along with it: its theory, or a companion");
    f("name", &Q::name, "a word for it in a table, where it is drawn with another; empty: the key");
    f("drawn", &Q::drawn, "whether it has a plot of its own");
    f("share", &Q::share, "whether it is a fraction from 0 to 1, which is told in percent");
    f("magnitude", &Q::magnitude, "whether it is drawn without its sign");
    f("geometric_mean", &Q::geometric_mean, "whether its mean over parameters or modules is the geometric one");
    f("words", &Q::words, "that it takes where it is no number; each counts as its place, from 0");
  }
  // The number that a word counts as; NaN for one that was not declared.
  double place(const std::string& word) const;
  // The field by which a line names what it is of; "" where it has none.
  std::string subject() const { return per == "parameter" || per == "module" ? per : ""; }
};
// What a line may be about, by the name of the field that says which.
inline constexpr const char* line_subjects[] = {"parameter", "module"};

// The lines of one kind.
struct Measurement {
  std::string kind = {};
  std::vector<Quantity> quantities = {};

  static void fields(auto& f) {
    f("kind", &Measurement::kind, "of the lines", config::required());
    f("quantities", &Measurement::quantities, "what they hold beside step and epoch");
  }
  const Quantity* find(std::string_view key) const;  // nullptr where there is none
  // The keys of what has that subject and is drawn, by itself or beside another.
  std::vector<std::string> drawn(const std::string& subject) const;
};

// All that a run measures.
struct Measurements {
  std::vector<Measurement> kinds = {};
  std::optional<optim::NormRule> norm_rule = {};  // of its optimizer

  static void fields(auto& f) {
    f("kinds", &Measurements::kinds, "of lines of metrics.jsonl");
    f("norm_rule", &Measurements::norm_rule, "how norms follow from the lengths of steps");
  }
  // Adds what `more` declares, in place of what was declared with the same keys.
  void add(const Measurement& more);
  const Measurement* find(std::string_view kind) const;
};

// Throws where no report could be made by these: for a key that is no name, is given twice, or that every line has or may have
// anyway, and for a `beside` that is none of them.
void check_quantities(const std::vector<Quantity>& quantities);

// What the folder's measurements.json declares; nothing where there is none. Throws DataError where it is damaged.
Measurements read_measurements(const std::string& folder);
// Adds to it what these declare. Where a kind's declaration does not go together with the one that is there (check_quantities),
// it takes its place.
void record_measurements(const std::string& folder, const Measurements& measurements);

}  // namespace az::experiments
