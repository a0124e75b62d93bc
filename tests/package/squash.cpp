// A layer of one's own, in one file: an op with its gradient, the layer and its options, and a program that is `azimuth` plus
// this layer.
//
//   squash train squash.json     trains a network that names the layer
//   squash describe squash       prints its options
//   squash                       checks the gradient
#include <azimuth.h>
#include <experiments/cli/program.h>

#include <cstdio>

using namespace az;

// y = x / (1 + s |x|), with s > 0 broadcast to x: bounded by 1/s, linear at 0.
//
// With q = 1 / (1 + s |x|):  dy/dx = q - x s sign(x) q^2 = q^2 (1 + s |x| - s |x|) = q^2,  and  dy/ds = -x |x| q^2.
// The engine sums each gradient over the axes along which its input was broadcast.
Tensor squash(const Tensor& x, const Tensor& s) {
  Tensor value;
  {
    NoGrad no_grad;
    value = x / (1.0 + s * abs(x));
  }
  return record("squash", value, {x, s}, saved(x, s), ByOps{[](const Back& k) {
                  const Tensor &x = k.saved[0], &s = k.saved[1];
                  Tensor q = pow(1.0 + s * abs(x), -1);
                  Tensor g = k.g * q * q;
                  return Grads{g, k.needs(1) ? -(g * x * abs(x)) : Tensor()};
                }},
                Homogeneity::never());
}

// What JSON may say about the layer, each with its default, its range and a line for `describe`.
struct SquashOptions {
  double slope = 1;
  bool learn = true;
  static void fields(auto& f) {
    f("slope", &SquashOptions::slope, "s at the start; values are bounded by 1/s", config::more_than(0.0));
    f("learn", &SquashOptions::learn, "train one s per channel");
  }
};

// squash() with one s per channel of [n,c,h,w] or [n,c].
class Squash : public nn::Layer<Squash> {
 public:
  Squash(const Shape& input, const SquashOptions& options) {
    if (input.rank() < 2) fail("squash: takes [n,c] or [n,c,h,w], got {}", input.str());
    Shape slope{input[1]};
    for (int axis = 2; axis < input.rank(); ++axis) slope.push_back(1);
    if (options.learn)
      add_parameter("slope", full(slope, options.slope), ParameterKind::norm);
    else
      add_buffer("slope", full(slope, options.slope));
    learn_ = options.learn;
  }

 protected:
  // In a bf16 run x is bf16 while parameters stay f32: an op of two number types converts one.
  Tensor forward(const Tensor& x) override { return squash(x, (learn_ ? parameter("slope") : buffer("slope")).to(x.dtype())); }

 private:
  bool learn_;
};

// From here on {"type": "squash", "slope": 2} is a layer in any config.
void register_squash() {
  nn::LayerRegistry::add<SquashOptions>(
      "squash", "x / (1 + s |x|), s per channel",
      [](const SquashOptions& options, const Shape& input) { return std::make_unique<Squash>(input, options); });
}

int main(int argc, char** argv) {
  register_squash();
  if (argc > 1) return cli::run(argc, argv);
  auto f = [](const std::vector<Tensor>& in) { return squash(in[0], in[1]); };
  Tensor x = randn({2, 3, 4, 4}, DType::f64), s = full({3, 1, 1}, 0.7, DType::f64);
  for (const auto& result : {gradcheck(f, {x, s}), gradgradcheck(f, {x, s})}) {
    if (!result) return std::fprintf(stderr, "%s\n", result.message.c_str()), 1;
  }
  std::printf("squash: its gradient, and the gradient of that, agree with central differences\n");
}
