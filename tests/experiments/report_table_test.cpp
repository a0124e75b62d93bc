// How a report thins lines out and takes means over layers.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "experiments/report/table.h"

using namespace az::experiments;

TEST_CASE("a thinned line keeps its extremes, exact, and moves nothing by more than a stretch") {
  Table table;
  for (int i = 0; i < 10'000; ++i) {
    table.step.push_back(i + 1);
    table.columns["loss"].push_back(i == 5432 ? 17.5 : i == 5433 ? -3.25 : std::sin(i * 0.01));
  }
  const double stretch = stretch_for(table, 1000);
  CHECK(stretch == 21);  // 10,000 steps in 498 stretches that begin within
  const Table thin = thinned(table, stretch);
  CHECK(thin.rows() <= 1000);
  CHECK(std::is_sorted(thin.step.begin(), thin.step.end()));
  const auto& loss = thin.columns.at("loss");
  const auto top = std::max_element(loss.begin(), loss.end()), bottom = std::min_element(loss.begin(), loss.end());
  CHECK(*top == 17.5);
  CHECK(*bottom == -3.25);
  CHECK(top < bottom);  // in the order they came in
  CHECK(thin.step.back() == 10'000);
  CHECK(loss.back() == table.columns.at("loss").back());
  CHECK(std::abs(thin.step[size_t(top - loss.begin())] - 5433) <= stretch);
  CHECK(stretch_for(thin, 1000) == 0);
  CHECK(thinned(thin, 0).step == thin.step);
}

TEST_CASE("a thinned path keeps both points of a two-cycle, the first and the last") {
  Table table;
  for (int i = 0; i < 9001; ++i) {
    table.step.push_back(i);
    table.columns["x"].push_back(i % 2 ? 1 : -1);
    table.columns["y"].push_back(i);
  }
  const Table path = outline(table, {"x", "y"}, 2000);
  CHECK(path.rows() <= 2100);
  CHECK(path.step.front() == 0);
  CHECK(path.step.back() == 9000);
  const auto& x = path.columns.at("x");
  for (size_t i = 0; i + 8 < x.size(); ++i) CHECK(std::count(x.begin() + long(i), x.begin() + long(i) + 8, 1) > 0);
  CHECK(std::count(x.begin(), x.end(), 1) > 400);
  CHECK(std::count(x.begin(), x.end(), -1) > 400);
  CHECK(outline(table, {"x", "y"}, 10'000).rows() == 9001);
}

TEST_CASE("a number that is not there stays away from extremes and means") {
  const Table one{{1, 2, 3}, {{"x", {1, NAN, NAN}}}}, two{{1, 2, 3}, {{"x", {3, 5, NAN}}}};
  const std::vector<double> mean = mean_of({one, two}).columns.at("x");
  CHECK(mean[0] == 2);
  CHECK(mean[1] == 5);
  CHECK(std::isnan(mean[2]));
  CHECK(mean_of({one, two}, {"x"}).columns.at("x")[0] == doctest::Approx(std::sqrt(3)));
  const std::vector<double> line = aligned(one, {0, 1, 4}).columns.at("x");
  CHECK(std::isnan(line[0]));
  CHECK(line[1] == 1);
  CHECK(std::isnan(line[2]));
}

TEST_CASE("a thinned line shows its gaps, and of steps that are marked the same share") {
  Table table;
  for (int i = 0; i < 10'000; ++i) {
    table.step.push_back(i);
    table.columns["loss"].push_back(i == 5432 || i > 8000 ? NAN : i);
    table.columns["mark"].push_back(i % 7 == 0 ? i : NAN);
  }
  const Table thin = thinned(table, 20, {"mark"});
  const auto &loss = thin.columns.at("loss"), &mark = thin.columns.at("mark");
  const auto gaps = [](const auto& column) {
    return std::count_if(column.begin(), column.end(), [](double x) { return std::isnan(x); });
  };
  REQUIRE(thin.step[542] == 5420);
  CHECK(std::isnan(loss[542]));
  CHECK(loss[543] == 5439);
  CHECK(gaps(loss) == 1 + 1 + 2 * 99 + 1);  // beside 5439 and 8000, 99 stretches without a number, and the last row
  for (size_t i = 0; i < thin.rows(); ++i) CHECK((std::isnan(mark[i]) || mark[i] == thin.step[i]));
  CHECK(double(gaps(mark)) == doctest::Approx(1001. * 6 / 7).epsilon(0.01));
}
