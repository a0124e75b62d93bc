// Time of single ops at the sizes of ResNet-20 steps of 128 images and ResNet-18 steps of 32. Compare figures of one run with
// one another, not across runs.
#include <benchmark/benchmark.h>

#include "core/autograd/autograd.h"
#include "core/ops.h"

using namespace az;

namespace {

using Function = std::function<Tensor(const std::vector<Tensor>&)>;

std::vector<Tensor> inputs_of(const std::vector<Shape>& shapes, DType type) {
  std::vector<Tensor> inputs;
  for (const Shape& shape : shapes) inputs.push_back(randn(shape).to(inputs.empty() ? type : DType::f32));
  return inputs;
}

void forward(benchmark::State& state, const Function& f, const std::vector<Tensor>& inputs) {
  NoGrad no_grad;
  for (auto _ : state) benchmark::DoNotOptimize(f(inputs).raw());
}

// The value and the gradients of every input.
void step(benchmark::State& state, const Function& f, const std::vector<Tensor>& inputs) {
  for (const Tensor& input : inputs) input.set_requires_grad();
  const Tensor value = f(inputs), upstream = randn(value.shape()).to(value.dtype());
  for (auto _ : state) {
    f(inputs).backward(upstream);
    for (const Tensor& input : inputs) input.zero_grad();
  }
}

// What the processor or an op cannot do is reported as an error, and the next one follows.
void add_pair(const std::string& name, const Function& f, const std::vector<Shape>& shapes, DType type = DType::f32) {
  const auto add = [=](const std::string& full_name, auto run) {
    const auto benchmark = [=](benchmark::State& state) {
      try {
        run(state, f, inputs_of(shapes, type));
      } catch (const Error& error) {
        state.SkipWithError(error.what());
      }
    };
    benchmark::RegisterBenchmark(full_name.c_str(), benchmark)->UseRealTime()->Unit(benchmark::kMicrosecond);
  };
  add("forward/" + name, forward);
  add("step/" + name, step);
}

// Of an image: in f32, and in bf16 with the other inputs in f32.
void add_image_op(const std::string& name, const Function& f, const std::vector<Shape>& shapes) {
  add_pair(name, f, shapes);
  add_pair(name + "/bf16", f, shapes, DType::bf16);
}

// Between two 1x1 convolutions, so that an op meets the layout that it has in a network: subtract identity_in_network.
Function in_network(int64_t channels, const Function& f) {
  return [f, kernel = randn({channels, channels, 1, 1})](const std::vector<Tensor>& in) {
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
  add_pair("clamp", [](const auto& in) { return clamp(in[0], {.min = 0, .max = 6}); }, {activation});
  add_pair("sigmoid", [](const auto& in) { return sigmoid(in[0]); }, {activation});
  add_pair("silu", [](const auto& in) { return silu(in[0]); }, {activation});
  add_pair("gelu", [](const auto& in) { return gelu(in[0]); }, {activation});
  add_pair("exp", [](const auto& in) { return exp(in[0]); }, {activation});
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

void add_convolutions() {
  struct Layer {
    int64_t images, in, out, side, kernel, stride;
  };
  for (const Layer& l : {Layer{128, 3, 16, 32, 3, 1},
                         {128, 16, 16, 32, 3, 1},
                         {128, 16, 32, 32, 3, 2},
                         {128, 16, 32, 32, 1, 2},
                         {128, 32, 32, 16, 3, 1},
                         {128, 32, 64, 16, 3, 2},
                         {128, 64, 64, 8, 3, 1},
                         {32, 64, 64, 32, 3, 1},
                         {32, 128, 128, 16, 3, 1},
                         {32, 256, 256, 8, 3, 1},
                         {32, 512, 512, 4, 3, 1}}) {
    const Conv2dParams params{.stride = l.stride, .padding = l.kernel / 2};
    const std::string name = fmt::format("conv2d/{}x{}x{}to{}k{}s{}", l.in, l.side, l.side, l.out, l.kernel, l.stride);
    add_image_op(name, [params](const auto& in) { return conv2d(in[0], in[1], {}, params); },
                 {{l.images, l.in, l.side, l.side}, {l.out, l.in, l.kernel, l.kernel}});
  }
}

// Each channel has a window of its own.
void add_depthwise() {
  struct Layer {
    int64_t kernel, stride, dilation;
  };
  constexpr int64_t channels = 64;
  for (const Layer& l : {Layer{3, 1, 1}, {3, 2, 1}, {3, 1, 2}, {5, 1, 1}}) {
    const Conv2dParams params{
        .stride = l.stride, .padding = l.kernel / 2 * l.dilation, .dilation = l.dilation, .groups = channels};
    add_image_op(fmt::format("depthwise/64x32x32k{}s{}d{}", l.kernel, l.stride, l.dilation),
                 [params](const auto& in) { return conv2d(in[0], in[1], {}, params); },
                 {{128, channels, 32, 32}, {channels, 1, l.kernel, l.kernel}});
  }
}

void add_in_network() {
  for (int64_t channels : {16, 32, 64}) {
    const int64_t side = 512 / channels;
    const Shape image{128, channels, side, side};
    const std::string size = fmt::format("_in_network/{}x{}x{}", channels, side, side);
    const auto add = [&](const std::string& name, const Function& f, const std::vector<Shape>& more = {}) {
      std::vector<Shape> shapes{image};
      shapes.insert(shapes.end(), more.begin(), more.end());
      add_image_op(name + size, in_network(channels, f), shapes);
    };
    add("identity", [](const auto& in) { return in[0]; });
    add("relu", [](const auto& in) { return relu(in[0]); });
    add("batch_norm", [](const auto& in) { return batch_norm(in[0], {in[1], in[2]}); }, {{channels}, {channels}});
    add("batch_norm_relu",
        [](const auto& in) {
          return batch_norm(in[0], {in[1], in[2]}, {}, {.relu = true});
        },
        {{channels}, {channels}});
    add("add_relu", [](const auto& in) { return add_relu(in[0], in[0]); });
    add("max_pool2d", [](const auto& in) { return max_pool2d(in[0], {.kernel = 3, .stride = 2, .padding = 1}); });
    add("subsample_pad", [=](const auto& in) { return subsample_pad(in[0], {.stride = 2, .channels = channels}); });
  }
  add_image_op("global_avg_pool", [](const auto& in) { return global_avg_pool(in[0]); }, {{128, 64, 8, 8}});
}

const bool added =
    (add_elementwise(), add_reductions(), add_products(), add_convolutions(), add_depthwise(), add_in_network(), true);

}  // namespace
