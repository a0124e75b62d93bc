// The limit: what a ResNet step costs if it is nothing but oneDNN primitives, each in its own best layout.
//
//   OMP_WAIT_POLICY=passive OMP_NUM_THREADS=2 onednn_limit resnet20|resnet18 hot|cold [BATCH]
//
// Training: of each layer, convolution forward, backward data and backward weights, and batch norm with ReLU forward and
// backward. Evaluation: of each layer, convolution with bias and ReLU. Left out: residual adds, pooling, the classifier, the
// loss, the optimizer, data. hot: every operand still in the cache, a bound that nobody passes without fusing more. cold:
// activations rotate through 96 MiB of buffers each, more than most caches hold; a real step lies between the two. Each time is
// the median of 8 runs. The table goes to stderr, to stdout one line of JSON: images a second, null where oneDNN has no such
// kernels on this processor.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <dnnl.hpp>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

using dnnl::algorithm;
using dnnl::memory;
using dnnl::prop_kind;
using Type = memory::data_type;
using Arguments = std::unordered_map<int, memory>;

constexpr double missing = 1e30;  // milliseconds of a kernel that oneDNN does not have

const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
dnnl::stream queue(cpu);

struct Layer {
  int64_t in, out, size, kernel, stride, count;
};
const std::vector<Layer> resnet20 = {{3, 16, 32, 3, 1, 1},  {16, 16, 32, 3, 1, 6}, {16, 32, 32, 3, 2, 1}, {16, 32, 32, 1, 2, 1},
                                     {32, 32, 16, 3, 1, 5}, {32, 64, 16, 3, 2, 1}, {32, 64, 16, 1, 2, 1}, {64, 64, 8, 3, 1, 5}};
const std::vector<Layer> resnet18 = {{3, 64, 32, 3, 1, 1},    {64, 64, 32, 3, 1, 4},   {64, 128, 32, 3, 2, 1},
                                     {64, 128, 32, 1, 2, 1},  {128, 128, 16, 3, 1, 3}, {128, 256, 16, 3, 2, 1},
                                     {128, 256, 16, 1, 2, 1}, {256, 256, 8, 3, 1, 3},  {256, 512, 8, 3, 2, 1},
                                     {512, 512, 4, 3, 1, 3},  {256, 512, 8, 1, 2, 1}};

// Numbers of about 0.01, whether they are read as f32 or as bf16.
void fill(void* data, size_t bytes) {
  auto* halves = static_cast<uint16_t*>(data);
  for (size_t i = 0; i < bytes / 2; ++i) halves[i] = uint16_t((i % 3 ? 0x3c20 : 0xbc20) + i % 17);
}

memory filled(const memory::desc& desc) {
  memory m(desc, cpu);
  fill(m.get_data_handle(), desc.get_size());
  return m;
}

// Places for an activation, taken in turn: one when hot, else as many as fill 96 MiB of the operand's own. What is read is
// never written, so that numbers stay as they were filled in.
enum class Operand { read, read_too, written };
class Rotating {
 public:
  Rotating(const memory::desc& desc, Operand operand, bool hot) {
    static std::array<std::vector<std::byte>, 3> arenas;
    std::vector<std::byte>& arena = arenas[size_t(operand)];
    const size_t size = (desc.get_size() + page - 1) / page * page,
                 count = hot ? 1 : std::max<size_t>(2, (size_t(96) << 20) / size);
    if (arena.size() < size * count + page) {
      arena = std::vector<std::byte>(size * count + page);
      fill(arena.data(), arena.size());
    }
    const size_t start = page - reinterpret_cast<uintptr_t>(arena.data()) % page;
    for (size_t i = 0; i < count; ++i) places_.push_back(memory(desc, cpu, arena.data() + start + i * size));
  }
  const memory& next() { return places_[turn_++ % places_.size()]; }

 private:
  static constexpr size_t page = 4096;
  std::vector<memory> places_;
  size_t turn_ = 0;
};

// Milliseconds of a primitive; its arguments are asked for anew in each run.
double median_ms(const dnnl::primitive& primitive, const std::function<Arguments()>& arguments) {
  std::vector<double> ms;
  for (int i = 0; i < 10; ++i) {
    const Arguments given = arguments();
    const auto start = std::chrono::steady_clock::now();
    primitive.execute(queue, given);
    queue.wait();
    if (i >= 2) ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(ms.begin(), ms.begin() + int(ms.size() / 2), ms.end());
  return ms[ms.size() / 2];
}

double or_missing(const std::function<double()>& time) try { return time(); } catch (const dnnl::error&) {
  return missing;
}

// One layer at one batch size and number type.
class Problem {
 public:
  Problem(const Layer& layer, int64_t batch, Type type, bool hot) : hot_(hot), first_(layer.in == 3), out_(layer.out) {
    const int64_t size = layer.size / layer.stride, pad = layer.kernel / 2;
    x_ = {{batch, layer.in, layer.size, layer.size}, type, memory::format_tag::any};
    w_ = {{layer.out, layer.in, layer.kernel, layer.kernel}, type, memory::format_tag::any};
    y_ = {{batch, layer.out, size, size}, type, memory::format_tag::any};
    stride_ = {layer.stride, layer.stride};
    padding_ = {pad, pad};
  }

  double forward(algorithm algo) const {
    return or_missing([&] {
      const auto pd = forward_desc(prop_kind::forward_training, algo);
      Rotating x(pd.src_desc(), Operand::read, hot_), y(pd.dst_desc(), Operand::written, hot_);
      const memory w = filled(pd.weights_desc());
      return median_ms(dnnl::convolution_forward(pd), [&] {
        return Arguments{{DNNL_ARG_SRC, x.next()}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y.next()}};
      });
    });
  }
  double backward_data(algorithm algo) const {
    if (first_) return 0;
    return or_missing([&] {
      const dnnl::convolution_backward_data::primitive_desc pd({algo, x_, w_, y_, stride_, padding_, padding_}, cpu, hint());
      Rotating dx(pd.diff_src_desc(), Operand::written, hot_), dy(pd.diff_dst_desc(), Operand::read, hot_);
      const memory w = filled(pd.weights_desc());
      return median_ms(dnnl::convolution_backward_data(pd), [&] {
        return Arguments{{DNNL_ARG_DIFF_SRC, dx.next()}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DIFF_DST, dy.next()}};
      });
    });
  }
  double backward_weights(algorithm algo) const {
    return or_missing([&] {
      const dnnl::convolution_backward_weights::primitive_desc pd({algo, x_, w_, y_, stride_, padding_, padding_}, cpu, hint());
      Rotating x(pd.src_desc(), Operand::read, hot_), dy(pd.diff_dst_desc(), Operand::read_too, hot_);
      const memory dw = filled(pd.diff_weights_desc());
      return median_ms(dnnl::convolution_backward_weights(pd), [&] {
        return Arguments{{DNNL_ARG_SRC, x.next()}, {DNNL_ARG_DIFF_WEIGHTS, dw}, {DNNL_ARG_DIFF_DST, dy.next()}};
      });
    });
  }
  // Convolution, bias and ReLU in one: a layer of a network whose batch norm is folded.
  double inference(algorithm algo) const {
    return or_missing([&] {
      dnnl::post_ops relu;
      relu.append_eltwise(1, algorithm::eltwise_relu, 0, 0);
      dnnl::primitive_attr attributes;
      attributes.set_post_ops(relu);
      const memory::desc b({out_}, Type::f32, memory::format_tag::x);
      const dnnl::convolution_forward::primitive_desc pd(
          {prop_kind::forward_inference, algo, x_, w_, b, y_, stride_, padding_, padding_}, attributes, cpu);
      Rotating x(pd.src_desc(), Operand::read, hot_), y(pd.dst_desc(), Operand::written, hot_);
      const memory w = filled(pd.weights_desc()), bias = filled(b);
      return median_ms(dnnl::convolution_forward(pd), [&] {
        return Arguments{{DNNL_ARG_SRC, x.next()}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_BIAS, bias}, {DNNL_ARG_DST, y.next()}};
      });
    });
  }
  // Batch norm with ReLU on the convolution's result, forward and backward.
  double norm() const {
    return or_missing([&] {
      const auto desc = forward_desc(prop_kind::forward_training, algorithm::convolution_direct).dst_desc();
      const auto flags = dnnl::normalization_flags::use_scale_shift | dnnl::normalization_flags::fuse_norm_relu;
      const dnnl::batch_normalization_forward::primitive_desc fpd({prop_kind::forward_training, desc, 1e-5f, flags}, cpu);
      const dnnl::batch_normalization_backward::primitive_desc bpd({prop_kind::backward, desc, desc, 1e-5f, flags}, cpu, fpd);
      Rotating x(desc, Operand::read, hot_), dy(desc, Operand::read_too, hot_), result(desc, Operand::written, hot_);
      const memory scale_shift = filled(fpd.weights_desc()), gradient = filled(bpd.diff_weights_desc()),
                   mean = filled(fpd.mean_desc()), variance = filled(fpd.variance_desc()), mask = filled(fpd.workspace_desc());
      const Arguments both = {{DNNL_ARG_SCALE_SHIFT, scale_shift},
                              {DNNL_ARG_MEAN, mean},
                              {DNNL_ARG_VARIANCE, variance},
                              {DNNL_ARG_WORKSPACE, mask}};
      const auto with = [&](Arguments more) {
        more.insert(both.begin(), both.end());
        return more;
      };
      return median_ms(dnnl::batch_normalization_forward(fpd),
                       [&] {
                         return with({{DNNL_ARG_SRC, x.next()}, {DNNL_ARG_DST, result.next()}});
                       }) +
             median_ms(dnnl::batch_normalization_backward(bpd), [&] {
               return with({{DNNL_ARG_SRC, x.next()},
                            {DNNL_ARG_DIFF_DST, dy.next()},
                            {DNNL_ARG_DIFF_SRC, result.next()},
                            {DNNL_ARG_DIFF_SCALE_SHIFT, gradient}});
             });
    });
  }

 private:
  dnnl::convolution_forward::primitive_desc forward_desc(prop_kind kind, algorithm algo) const {
    return {{kind, algo, x_, w_, y_, stride_, padding_, padding_}, cpu};
  }
  dnnl::convolution_forward::primitive_desc hint() const {
    return forward_desc(prop_kind::forward_training, algorithm::convolution_direct);
  }

  memory::desc x_, w_, y_;
  memory::dims stride_, padding_;
  bool hot_, first_;
  int64_t out_;
};

// Milliseconds of a layer, or of a network.
struct Times {
  double training = 0, evaluation = 0;
  void add(const Times& layer, double count) {
    training += count * layer.training;
    evaluation += count * layer.evaluation;
  }
};

// The faster of the algorithms given, in each direction.
Times layer_times(const Problem& p, const std::vector<algorithm>& algorithms) {
  double forward = missing, data = missing, weights = missing, inference = missing;
  for (algorithm algo : algorithms) {
    forward = std::min(forward, p.forward(algo));
    data = std::min(data, p.backward_data(algo));
    weights = std::min(weights, p.backward_weights(algo));
    inference = std::min(inference, p.inference(algo));
  }
  const double norm = p.norm();
  std::fprintf(stderr, " ");
  for (double ms : {forward, data, weights, norm, inference})
    std::fprintf(stderr, " %s", ms < missing ? std::to_string(ms).substr(0, 6).c_str() : "     -");
  return {forward + data + weights + norm, inference};
}

}  // namespace

int main(int argc, char** argv) {
  const std::string net = argc > 1 ? argv[1] : "", caches = argc > 2 ? argv[2] : "";
  const int64_t batch = argc > 3 ? std::atoll(argv[3]) : 128;
  if ((net != "resnet20" && net != "resnet18") || (caches != "hot" && caches != "cold") || batch < 1) {
    std::fprintf(stderr, "usage: onednn_limit resnet20|resnet18 hot|cold [BATCH]\n");
    return 2;
  }
  Times f32, bf16;
  std::fprintf(stderr, "ms of each in f32, then bf16: forward, backward data, backward weights, norm, inference\n");
  for (const Layer& layer : net == "resnet18" ? resnet18 : resnet20) {
    std::fprintf(stderr, "%3d->%3d %2dx%2d kernel %d stride %d x%d", int(layer.in), int(layer.out), int(layer.size),
                 int(layer.size), int(layer.kernel), int(layer.stride), int(layer.count));
    const bool hot = caches == "hot";
    f32.add(layer_times({layer, batch, Type::f32, hot}, {algorithm::convolution_direct, algorithm::convolution_winograd}),
            double(layer.count));
    bf16.add(layer_times({layer, batch, Type::bf16, hot}, {algorithm::convolution_direct}), double(layer.count));
    std::fprintf(stderr, "\n");
  }
  const auto rate = [&](double ms) { return ms >= missing ? "null" : std::to_string(1e3 * double(batch) / ms); };
  std::printf(
      R"({"net": "%s", "caches": "%s", "batch": %d, "training": {"f32": %s, "bf16": %s}, "evaluation": {"f32": %s, "bf16": %s}})"
      "\n",
      net.c_str(), caches.c_str(), int(batch), rate(f32.training).c_str(), rate(bf16.training).c_str(),
      rate(f32.evaluation).c_str(), rate(bf16.evaluation).c_str());
}
