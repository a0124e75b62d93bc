#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <set>

#include "core/autograd/autograd.h"
#include "core/autograd/gradcheck.h"
#include "core/autograd/scale_dependence.h"
#include "core/backend/info.h"
#include "core/base/random.h"
#include "core/ops/activations.h"
#include "core/ops/conv.h"
#include "core/ops/elementwise.h"
#include "core/ops/norm.h"
#include "core/safetensors.h"
#include "core/tensor/create.h"
#include "tests/compare.h"
#include "tests/core/op_cases.h"

namespace az::test {

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> all = [] {
    std::vector<OpCase> rows;
    for (auto family : {elementwise_cases, reduce_cases, shape_cases, image_cases, norm_cases}) {
      for (OpCase& row : family()) rows.push_back(std::move(row));
    }
    return rows;
  }();
  return all;
}

namespace {

const std::map<std::string, Tensor>& goldens() {
  static const SafeTensors file = read_safetensors("tests/golden/ops.safetensors");
  return file.tensors;
}

Tensor golden(const std::string& name) {
  auto found = goldens().find(name);
  return found == goldens().end() ? Tensor() : found->second;
}

// What a case starts from, in f64.
struct Start {
  Inputs inputs;
  std::vector<bool> differentiable;
};

Start start_of(const OpCase& row) {
  Start start;
  Philox generator(7);
  for (const Shape& shape : row.traits.random_inputs) {
    // Rounded to f32, so that both number types start from the same values.
    start.inputs.push_back(uniform(shape, {.low = -1, .high = 1}, generator, DType::f64).to(DType::f32).to(DType::f64));
    start.differentiable.push_back(true);
  }
  for (size_t i = 0;; ++i) {
    Tensor input = golden(fmt::format("{}/input{}", row.name, i));
    if (!input.defined()) break;
    start.inputs.push_back(input.clone());
    start.differentiable.push_back(golden(fmt::format("{}/gradient{}", row.name, i)).defined());
  }
  return start;
}

struct Outcome {
  Tensor value;
  std::vector<Tensor> gradients;  // undefined for inputs that have none
};

// Whether a convolution from and to so many channels likes a blocked layout: with no more than SSE4.1, it adds none to fill a
// block.
bool is_blocked(int64_t channels) {
  static const bool fills_blocks = backend_info().onednn_isa != "SSE4.1";
  return fills_blocks || channels % 8 == 0;
}

// The pixels pass unchanged, in the layout that a convolution likes.
Tensor through_identity(const Tensor& x) {
  int64_t channels = x.size(1);
  std::vector<float> eye(size_t(channels * channels));
  for (int64_t i = 0; i < channels; ++i) eye[size_t(i * channels + i)] = 1;
  return conv2d(x, Tensor::of<float>({channels, channels, 1, 1}, eye), {});
}

// Back ends rely on zeros in the channels that a blocked layout adds.
void check_padding(const Tensor& x) {
  if (!x.layout()) return;
  double all = 0, seen = 0;
  visit(x.dtype(), [&](auto zero) {
    const auto* raw = static_cast<const decltype(zero)*>(x.raw());
    for (size_t i = 0; i < x.storage()->bytes() / sizeof zero; ++i) all += std::abs(double(raw[i]));
  });
  for (double value : x.to_vector<double>()) seen += std::abs(value);
  CHECK(all == doctest::Approx(seen).epsilon(1e-12));
}

struct Feeding {
  DType type = DType::f64;
  unsigned blocked = 0;         // bit i: input i comes in a blocked layout,
  bool blocked_result = false;  // and the gradient of the result, too
  bool bf16 = false;  // the row's bf16_inputs and the gradient of the result are rounded to bf16 (under f64), or are bf16
};

Outcome run(const OpCase& row, const Start& start, const Feeding& feeding) {
  Inputs leaves, fed;
  leaves.type = fed.type = feeding.type;
  for (size_t i = 0; i < start.inputs.size(); ++i) {
    Tensor x = start.inputs[i];
    if (feeding.bf16 && is_float(x.dtype()) && row.traits.bf16_inputs >> i & 1) x = x.to(DType::bf16);
    const bool stays = !is_float(x.dtype()) || (x.dtype() == DType::bf16 && feeding.type == DType::f32);
    x = stays ? x : x.to(feeding.type).clone();
    if (start.differentiable[i]) x.set_requires_grad();
    leaves.push_back(x);
    if (feeding.blocked >> i & 1) {
      x = through_identity(x);
      REQUIRE((x.layout() != nullptr) == is_blocked(x.size(1)));
      if (x.requires_grad()) {
        x.register_hook([](const Tensor& g) {
          check_padding(g);
          return Tensor();
        });
      }
    }
    fed.push_back(x);
  }
  Outcome outcome;
  Tensor value = row.function(fed);
  check_padding(value);
  CHECK(value.requires_grad() == std::any_of(leaves.begin(), leaves.end(), [](const Tensor& x) { return x.requires_grad(); }));
  outcome.value = value.detach();
  if (!value.requires_grad()) return outcome;
  if (feeding.blocked_result) value = through_identity(value);
  Tensor upstream = golden(row.name + "/upstream");
  if (!upstream.defined()) {
    Philox generator(8);
    upstream = uniform(value.shape(), {.low = -1, .high = 1}, generator, DType::f64).to(DType::f32);
  }
  if (feeding.bf16) upstream = upstream.to(DType::bf16);
  value.backward(upstream.to(value.dtype()));
  for (const Tensor& leaf : leaves) {
    outcome.gradients.push_back(leaf.grad());
    if (leaf.grad().defined()) CHECK(leaf.grad().layout() == nullptr);
  }
  return outcome;
}

void check_close(const Outcome& found, const Outcome& wanted, double tolerance) {
  CHECK(distance(found.value, wanted.value) <= tolerance);
  REQUIRE(found.gradients.size() == wanted.gradients.size());
  for (size_t i = 0; i < wanted.gradients.size(); ++i) {
    CAPTURE(i);
    REQUIRE(found.gradients[i].defined() == wanted.gradients[i].defined());
    if (wanted.gradients[i].defined()) CHECK(distance(found.gradients[i], wanted.gradients[i]) <= tolerance);
  }
}

// The function of the differentiable inputs alone, as gradcheck wants it.
std::pair<TensorFunction, std::vector<Tensor>> function_of(const OpCase& row, const Start& start) {
  std::vector<Tensor> checked;
  for (size_t i = 0; i < start.inputs.size(); ++i) {
    if (start.differentiable[i]) checked.push_back(start.inputs[i].clone());
  }
  auto function = [&row, start](const std::vector<Tensor>& values) {
    Inputs inputs = start.inputs;
    size_t next = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (start.differentiable[i]) inputs[i] = values[next++];
    }
    return row.function(inputs);
  };
  return {function, checked};
}

// Row r of w by factors[r].
Tensor scaled_rows(const Tensor& w, const std::vector<double>& factors) {
  std::vector<double> values = w.to_vector<double>();
  const size_t length = values.size() / factors.size();
  for (size_t i = 0; i < values.size(); ++i) values[i] *= factors[i / length];
  return Tensor::of(w.shape(), values);
}

// Whether value is what `found` makes of it where factors scale the rows, but for what an eps leaves.
bool is_as_said(const ScaleDependence& found, const Tensor& value, const Tensor& scaled, const std::vector<double>& factors) {
  const std::vector<double> before = value.to_vector<double>(), after = scaled.to_vector<double>();
  std::map<std::pair<int64_t, int64_t>, double> shifts;  // v - a^degree v
  double error = 0, norm = 1e-12;
  for (size_t i = 0; i < before.size(); ++i) {
    const auto row = [i](const RowsOf& rows) { return int64_t(i) / rows.inner % rows.count; };
    const double expected = before[i] * std::pow(factors[size_t(row(found.rows))], found.degree);
    const double shift =
        found.shift ? shifts.try_emplace({row(found.rows), row(*found.shift)}, after[i] - expected).first->second : 0;
    error += std::pow(after[i] - expected - shift, 2);
    norm += expected * expected;
  }
  return std::sqrt(error / norm) < 1e-3;
}

// Calls body for every row, with its name in the messages.
template <class Body> void for_each_case(Body body) {
  for (const OpCase& row : op_cases()) {
    CAPTURE(row.name);
    try {
      body(row, start_of(row));
    } catch (const Error& error) {
      FAIL_CHECK(std::string(error.what()));
    }
  }
}

// Calls check(which of the images are blocked, whether the result is) for each that the row can take.
void each_layout(const OpCase& row, const Outcome& wanted, const std::function<void(unsigned, bool)>& check) {
  const bool image_result = wanted.value.rank() == 4 && row.traits.images > 0;
  for (unsigned blocked = 0; blocked < 1u << row.traits.images; ++blocked) {
    for (bool blocked_result : {false, true}) {
      if (blocked_result && !image_result) continue;
      CAPTURE(blocked);
      CAPTURE(blocked_result);
      check(blocked, blocked_result);
    }
  }
}

}  // namespace

TEST_CASE("ops: every declared op has a case, every case an op, and every golden a case") {
  std::set<std::string> declared{"reshape", "clone"}, covered, names;
  const std::regex declaration(R"(^(?:Tensor|TopK) (\w+)\()");
  std::vector<std::filesystem::path> headers{"core/tensor/create.h", "core/autograd/sums.h"};
  for (const auto& entry : std::filesystem::directory_iterator("core/ops")) {
    if (entry.path().extension() == ".h") headers.push_back(entry.path());
  }
  for (const auto& path : headers) {
    std::ifstream header(path);
    for (std::string line; std::getline(header, line);) {
      std::smatch match;
      if (std::regex_search(line, match, declaration)) declared.insert(match[1]);
    }
  }
  REQUIRE(declared.size() > 60);
  for (const OpCase& row : op_cases()) {
    CAPTURE(row.name);
    covered.insert(row.op);
    CHECK(names.insert(row.name).second);
    CHECK(row.traits.random_inputs.empty() == golden(row.name + "/value").defined());
  }
  for (const std::string& op : declared) CHECK_MESSAGE(covered.contains(op), "no case of ", op);
  for (const std::string& op : covered) CHECK_MESSAGE(declared.contains(op), "a case of ", op, ", which is not declared");
  for (const auto& [key, tensor] : goldens()) {
    std::string name = key.substr(0, key.find('/'));
    CHECK_MESSAGE(names.contains(name), "no case of the golden ", name);
  }
}

TEST_CASE("ops: f64 values and gradients are PyTorch's") {
  for_each_case([](const OpCase& row, const Start& start) {
    Outcome wanted{golden(row.name + "/value"), {}};
    if (!wanted.value.defined()) return;
    for (size_t i = 0; golden(row.name + "/upstream").defined() && i < start.inputs.size(); ++i) {
      wanted.gradients.push_back(golden(fmt::format("{}/gradient{}", row.name, i)));
    }
    check_close(run(row, start, {}), wanted, 1e-11);
  });
}

TEST_CASE("ops: f64 gradients are central differences") {
  for_each_case([](const OpCase& row, const Start& start) {
    auto [function, inputs] = function_of(row, start);
    if (!row.traits.differences || inputs.empty()) return;
    GradcheckResult result = gradcheck(function, inputs, {.samples = 50});
    CHECK_MESSAGE(result.ok, row.name, ": ", result.message);
  });
}

TEST_CASE("ops: gradients can be differentiated again, or refuse by name") {
  for_each_case([](const OpCase& row, const Start& start) {
    auto [function, inputs] = function_of(row, start);
    if (inputs.empty()) return;
    const std::string& op = row.traits.by_kernel;
    if (!op.empty()) {
      std::string message = gradgradcheck(function, inputs, {.samples = 1}).message;
      CAPTURE(message);
      CHECK(message.find("the gradient of " + op + " cannot be differentiated again (create_graph)") != std::string::npos);
    } else if (row.traits.differences) {
      GradcheckResult result = gradgradcheck(function, inputs, {.samples = 20});
      CHECK_MESSAGE(result.ok, row.name, ": ", result.message);
    }
  });
}

TEST_CASE("ops: f32 agrees with f64 in every layout, forward and backward") {
  for_each_case([](const OpCase& row, const Start& start) {
    const Outcome wanted = run(row, start, {});
    each_layout(row, wanted, [&](unsigned blocked, bool blocked_result) {
      check_close(run(row, start, {DType::f32, blocked, blocked_result}), wanted, row.traits.f32_tolerance);
    });
  });
}

TEST_CASE("ops: bf16 agrees with f64 on the same rounded inputs in every layout, forward and backward") {
  if (test::skipped_without_bf16()) {
    Tensor x = zeros({1, 16, 4, 4}, DType::bf16);
    CHECK_THROWS_WITH_AS(conv2d(x, zeros({16, 16, 3, 3}), {}),
                         "conv2d: this processor has no bf16 arithmetic (AVX-512 with bf16, or AMX); use f32", Error);
    return;
  }
  for_each_case([](const OpCase& row, const Start& start) {
    if (!row.traits.bf16_inputs) return;
    const Outcome wanted = run(row, start, {.bf16 = true});
    each_layout(row, wanted, [&](unsigned blocked, bool blocked_result) {
      const Outcome found = run(row, start, {DType::f32, blocked, blocked_result, true});
      if (is_float(wanted.value.dtype())) CHECK(found.value.dtype() == row.traits.bf16_gives);
      check_close(found, wanted, row.traits.bf16_tolerance);
    });
  });
}

TEST_CASE("ops: a NaN in an image is still there after each fused ReLU, in every layout") {
  Tensor x = full({2, 20, 4, 4}, 0.5);
  x.mutable_data<float>()[7] = NAN;
  Tensor other = full({2, 20, 4, 4}, -1), gamma = ones({20}), beta = zeros({20});
  auto has_nan = [](const Tensor& t) {
    auto values = t.to_vector<float>();
    return std::any_of(values.begin(), values.end(), [](float v) { return v != v; });
  };
  for (const Tensor& image : {x, through_identity(x)}) {
    CHECK(has_nan(relu(image)));
    CHECK(has_nan(add_relu(image, other)));
    CHECK(has_nan(add_relu(other, image)));
    CHECK(has_nan(batch_norm(image, {gamma, beta}, {}, {.relu = true})));
    CHECK(has_nan(batch_norm(image, {gamma, beta, zeros({20}), ones({20})}, {.training = false}, {.relu = true})));
    CHECK(has_nan(batch_norm(image, {gamma, beta}, {}, {.residual = other, .relu = true})));
    CHECK(has_nan(batch_norm(other, {gamma, beta}, {}, {.residual = image, .relu = true})));
  }
}

TEST_CASE("ops: each scales with its inputs as it says, as a whole and row by row") {
  int checked = 0;
  for_each_case([&](const OpCase& row, const Start& start) {
    const auto value_of = [&](size_t i, const Tensor& input) {
      Inputs inputs = start.inputs;
      inputs[i] = input;
      seed_random(1);
      return row.function(inputs);
    };
    for (size_t i = 0; i < start.inputs.size(); ++i) {
      if (!start.differentiable[i] || start.inputs[i].numel() == 0) continue;
      const Tensor w = start.inputs[i].clone().set_requires_grad(), value = value_of(i, w);
      for (int64_t rows : {int64_t(1), w.rank() ? w.size(0) : 1}) {
        CAPTURE(i);
        CAPTURE(rows);
        const ScaleDependence found = scale_dependence(value, w, rows);
        CHECK_MESSAGE(found.kind != ScaleDependence::Kind::unknown, found.op, " ", found.reason);
        if (found.kind != ScaleDependence::Kind::scales) continue;
        std::vector<double> factors;
        for (int64_t r = 0; r < rows; ++r) factors.push_back(0.6 + 1.3 * double(r + 1) / double(rows + 1));
        CHECK(is_as_said(found, value, value_of(i, scaled_rows(w, factors)), factors));
        ++checked;
      }
    }
  });
  CHECK(checked > 150);
}

}  // namespace az::test
