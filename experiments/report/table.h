#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace az::experiments {

// Numbers against steps, a column a name; NaN where there is none.
struct Table {
  std::vector<double> step;  // ascending
  std::map<std::string, std::vector<double>> columns;

  size_t rows() const { return step.size(); }
};

// The same table with a row for each of `steps` (ascending): NaN where it has none.
Table aligned(const Table& table, const std::vector<double>& steps);

// Returns the mean of tables that share their steps, column by column and step by step, over the numbers that are there.
// Columns named in `geometric` get the geometric mean, so that one large number does not hide many small ones.
Table mean_of(const std::vector<Table>& tables, const std::set<std::string>& geometric = {});

// How long a stretch of steps must be, for thinned() to keep at most `points` rows, 6 or more; 0 where all may stay.
double stretch_for(const Table& table, size_t points);

// Every stretch of that many steps becomes two rows, at its first and its middle step: the smallest and the largest number of
// each column, in the order they came in. So extremes stay, exact, and nothing moves by more than a stretch. Where some
// numbers of a stretch are missing, the largest stays beside a gap. Columns `sampled` keep what they have at these two steps:
// of marks at some steps the same share is left. The last row stays as it is. 0: unchanged.
Table thinned(const Table& table, double stretch, const std::set<std::string>& sampled = {});

// Keeps about `points` rows at most: the first, the last, and from each of several stretches of equal length those with the
// smallest and the largest number in each of these columns. So a curve keeps its outline, however it winds.
Table outline(const Table& table, const std::vector<std::string>& names, size_t points);

}  // namespace az::experiments
