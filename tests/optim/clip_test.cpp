#include "optim/clip.h"

#include "tests/optim/model.h"

using namespace az;
using namespace az::optim;

namespace {

std::vector<Parameter> parameters() {
  const Tensor a = Tensor::of<float>({2}, {0, 0}).set_requires_grad(),
               b = Tensor::of<double>({1, 2}, {0, 0}).set_requires_grad();
  a.set_grad(Tensor::of<float>({2}, {3, 0}));
  b.set_grad(Tensor::of<double>({1, 2}, {0, -4}));
  return {{"a", a}, {"b", b}, {"frozen", Tensor::of<float>({1}, {1})}};
}

}  // namespace

TEST_CASE("clip_grad_norm scales all gradients together, as PyTorch's") {
  auto list = parameters();
  CHECK(clip_grad_norm(list, 10) == doctest::Approx(5));
  CHECK(list[0].tensor.grad().to_vector<float>() == std::vector<float>{3, 0});
  const Tensor held = list[0].tensor.grad();
  CHECK(clip_grad_norm(list, 1) == doctest::Approx(5));
  CHECK(list[0].tensor.grad().to_vector<float>()[0] == doctest::Approx(3 / 5.000001).epsilon(1e-7));
  CHECK(list[1].tensor.grad().to_vector<double>()[1] == doctest::Approx(-4 / 5.000001).epsilon(1e-12));
  CHECK(held.to_vector<float>()[0] == 3);
}

TEST_CASE("clip_grad_value clamps every element") {
  auto list = parameters();
  clip_grad_value(list, 3.5);
  CHECK(list[0].tensor.grad().to_vector<float>() == std::vector<float>{3, 0});
  CHECK(list[1].tensor.grad().to_vector<double>() == std::vector<double>{0, -3.5});
}

TEST_CASE("Clipping at 0 or less is an error; a gradient that is not finite shows in the norm") {
  auto list = parameters();
  CHECK_THROWS_AS(clip_grad_norm(list, 0), Error);
  CHECK_THROWS_AS(clip_grad_value(list, -1), Error);
  list[0].tensor.set_grad(Tensor::of<float>({2}, {NAN, 0}));
  CHECK(std::isnan(clip_grad_norm(list, 1)));
}
