// Time of single ops at the sizes of a ResNet-20 step, batch 128. Compare figures of one run with one another, not across runs.
#include <benchmark/benchmark.h>

#include "core/autograd.h"
#include "core/ops.h"

using namespace az;

namespace {

using Function = std::function<Tensor(const std::vector<Tensor>&)>;

std::vector<Tensor> inputs_of(const std::vector<Shape>& shapes) {
  std::vector<Tensor> inputs;
  for (const Shape& shape : shapes) inputs.push_back(randn(shape));
  return inputs;
}

void forward(benchmark::State& state, const Function& f, const std::vector<Shape>& shapes) {
  NoGrad no_grad;
  auto inputs = inputs_of(shapes);
  for (auto _ : state) benchmark::DoNotOptimize(f(inputs).raw());
}

// The value and the gradients of every input.
void step(benchmark::State& state, const Function& f, const std::vector<Shape>& shapes) {
  auto inputs = inputs_of(shapes);
  for (const Tensor& input : inputs) input.set_requires_grad();
  Tensor upstream = randn(f(inputs).shape());
  for (auto _ : state) {
    f(inputs).backward(upstream);
    for (const Tensor& input : inputs) input.zero_grad();
  }
}

void add_pair(const std::string& name, const Function& f, const std::vector<Shape>& shapes) {
  auto add = [](const std::string& full_name, auto run) {
    benchmark::RegisterBenchmark(full_name.c_str(), run)->UseRealTime()->Unit(benchmark::kMicrosecond);
  };
  add("forward/" + name, [=](benchmark::State& state) { forward(state, f, shapes); });
  add("step/" + name, [=](benchmark::State& state) { step(state, f, shapes); });
}

// Between two 1x1 convolutions, so that an op meets the layout that it has in a network: subtract step/identity.
Function in_network(const Function& f) {
  return [f](const std::vector<Tensor>& in) {
    static const Tensor kernel = randn({16, 16, 1, 1});
    std::vector<Tensor> inputs = in;
    inputs[0] = conv2d(in[0], kernel, {});
    return conv2d(f(inputs), kernel, {});
  };
}

void add_elementwise() {
  const Shape activation{128, 16, 32, 32};
  add_pair("add", [](const auto& in) { return in[0] + in[1]; }, {activation, activation});
  add_pair("add_channel", [](const auto& in) { return in[0] + in[1]; }, {activation, {16, 1, 1}});
  add_pair("mul", [](const auto& in) { return in[0] * in[1]; }, {activation, activation});
  add_pair("relu", [](const auto& in) { return relu(in[0]); }, {activation});
  add_pair("gelu", [](const auto& in) { return gelu(in[0]); }, {activation});
  add_pair("exp", [](const auto& in) { return exp(in[0]); }, {activation});
  add_pair("identity", in_network([](const auto& in) { return in[0]; }), {activation});
  add_pair("relu_in_network", in_network([](const auto& in) { return relu(in[0]); }), {activation});
  add_pair("add_relu_in_network", in_network([](const auto& in) { return add_relu(in[0], in[0]); }), {activation});
}

void add_reductions() {
  add_pair("sum", [](const auto& in) { return sum(in[0]); }, {{128, 16, 32, 32}});
  add_pair("sum_rows", [](const auto& in) { return sum(in[0], {{1}}); }, {{2048, 1024}});
  add_pair("sum_columns", [](const auto& in) { return sum(in[0], {{0}}); }, {{2048, 1024}});
  add_pair("softmax", [](const auto& in) { return softmax(in[0]); }, {{128, 1000}});
  add_pair("cross_entropy", [](const auto& in) { return cross_entropy(in[0], zeros({128}, DType::i64)); }, {{128, 10}});
  add_pair("layer_norm", [](const auto& in) { return layer_norm(in[0], in[1], in[2]); }, {{2048, 1024}, {1024}, {1024}});
}

void add_products() {
  auto product = [](const auto& in) { return matmul(in[0], in[1]); };
  add_pair("matmul/1024", product, {{1024, 1024}, {1024, 1024}});
  add_pair("matmul/64x128x128", product, {{64, 128, 128}, {64, 128, 128}});
  add_pair("linear", [](const auto& in) { return linear(in[0], in[1], in[2]); }, {{128, 64}, {10, 64}, {10}});
  add_pair("transpose", [](const auto& in) { return transpose(in[0]); }, {{2048, 1024}});
}

void add_layers() {
  struct Layer {
    int64_t in, out, side, stride;
  };
  for (const Layer& l :
       {Layer{3, 16, 32, 1}, {16, 16, 32, 1}, {16, 32, 32, 2}, {32, 32, 16, 1}, {32, 64, 16, 2}, {64, 64, 8, 1}}) {
    Conv2dParams params{.stride = l.stride, .padding = 1};
    std::string name = fmt::format("conv2d/{}x{}x{}to{}", l.in, l.side, l.side, l.out);
    add_pair(name, [params](const auto& in) { return conv2d(in[0], in[1], {}, params); },
             {{128, l.in, l.side, l.side}, {l.out, l.in, 3, 3}});
  }
  for (int64_t channels : {16, 32, 64}) {
    int64_t side = 512 / channels;
    auto norm = [](const auto& in) { return batch_norm_relu(in[0], in[1], in[2], {}, {}, {}); };
    add_pair(fmt::format("batch_norm_relu/{}x{}x{}", channels, side, side), norm,
             {{128, channels, side, side}, {channels}, {channels}});
  }
  add_pair("global_avg_pool", [](const auto& in) { return global_avg_pool(in[0]); }, {{128, 64, 8, 8}});
}

const bool added = (add_elementwise(), add_reductions(), add_products(), add_layers(), true);

}  // namespace
