#include <doctest/doctest.h>

#include "optim/sgd.h"
#include "optim/sgdp.h"

using namespace az;
using namespace az::optim;

namespace {

struct Course {
  std::vector<double> losses;  // before each step
  double norm = 0;             // after the last
};

// The 2-D toy of the AdamP project page: loss (1 - cos(w, (0, -1)))^2 from w = (0.001, 1) normalised, lr 0.01, 500 steps.
template <class Made, class Options> Course descend(const Options& options) {
  const double length = std::hypot(0.001, 1.0);
  const Tensor w = Tensor::of<double>({1, 2}, {0.001 / length, 1 / length}).set_requires_grad();
  Made optimizer({{"w", w}}, options);
  Course course;
  double r = 0;
  for (int i = 0; i < 500; ++i) {
    const double x = w.data<double>()[0], y = w.data<double>()[1];
    r = std::hypot(x, y);
    const double cosine = -y / r, slope = -2 * (1 - cosine);  // d cosine/d(x, y) = (xy, -xx) / r^3
    course.losses.push_back((1 - cosine) * (1 - cosine));
    w.set_grad(Tensor::of<double>({1, 2}, {slope * x * y / (r * r * r), -slope * x * x / (r * r * r)}));
    optimizer.step();
  }
  course.norm = std::hypot(w.data<double>()[0], w.data<double>()[1]);
  return course;
}

// Published to so many decimals, from a computation in f32.
void check(double value, double published, int decimals) {
  CHECK(std::abs(value - published) <= 0.51 * std::pow(10.0, -decimals));
}

}  // namespace

TEST_CASE("The authors' 2-D toy: momentum inflates the norm, SGDP does not") {
  struct Row {
    double beta, momentum_loss, momentum_norm, sgdp_loss, sgdp_norm;
  };
  for (const Row& row :
       {Row{0.9, .0018, 2.93, .0000, 1.12}, Row{0.95, .0043, 5.67, .0000, 1.14}, Row{0.99, .0153, 27.87, .0000, 1.15}}) {
    CAPTURE(row.beta);
    const Course momentum = descend<Sgd>(SgdOptions{.lr = 0.01, .momentum = row.beta});
    const Course sgdp = descend<Sgdp>(SgdpOptions{.lr = 0.01, .momentum = row.beta, .project_momentum = false});
    check(momentum.losses.back(), row.momentum_loss, 4);
    check(momentum.norm, row.momentum_norm, 2);
    check(sgdp.losses.back(), row.sgdp_loss, 4);
    check(sgdp.norm, row.sgdp_norm, 2);
  }
  const Course plain = descend<Sgd>(SgdOptions{.lr = 0.01});
  check(plain.losses.back(), .0086, 4);
  check(plain.norm, 1.02, 2);
}

TEST_CASE("The authors' 2-D toy at beta 0.9: losses on the way") {
  const Course momentum = descend<Sgd>(SgdOptions{.lr = 0.01, .momentum = 0.9});
  const Course sgdp = descend<Sgdp>(SgdpOptions{.lr = 0.01, .momentum = 0.9, .project_momentum = false});
  check(momentum.losses[45], 2.9975, 4);
  check(momentum.losses[60], .4537, 4);
  check(momentum.losses[105], .0453, 4);
  check(sgdp.losses[45], 2.9023, 4);
  check(sgdp.losses[60], .0902, 4);
  check(sgdp.losses[105], .0009, 4);
}
