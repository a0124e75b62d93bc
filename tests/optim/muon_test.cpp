// Muon beside a model in f64, one scalar at a time, as in its author's code; and what Newton-Schulz does to singular values.
#include "optim/muon.h"

#include <numeric>

#include "core/backend/blas.h"
#include "core/base/threads.h"
#include "core/config/json_document.h"
#include "optim/newton_schulz.h"
#include "optim/sgd.h"
#include "tests/compare.h"
#include "tests/optim/model.h"

using namespace az;
using namespace az::optim;
using model::Vector;
using test::error_of;

namespace {

struct Matrix {
  size_t rows, columns;
  Vector values;
  double& at(size_t i, size_t j) { return values[i * columns + j]; }
  double at(size_t i, size_t j) const { return values[i * columns + j]; }
};

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix c{a.rows, b.columns, Vector(a.rows * b.columns)};
  for (size_t i = 0; i < a.rows; ++i)
    for (size_t j = 0; j < b.columns; ++j)
      for (size_t k = 0; k < a.columns; ++k) c.at(i, j) += a.at(i, k) * b.at(k, j);
  return c;
}

Matrix transposed(const Matrix& a) {
  Matrix t{a.columns, a.rows, Vector(a.values.size())};
  for (size_t i = 0; i < a.rows; ++i)
    for (size_t j = 0; j < a.columns; ++j) t.at(j, i) = a.at(i, j);
  return t;
}

// zeropower_via_newtonschulz5 of github.com/KellerJordan/Muon.
Matrix zeropower(const Matrix& g, int64_t steps, const Vector& abc) {
  Matrix x = g.rows > g.columns ? transposed(g) : g;
  const double norm = model::norm(x.values, 0, x.values.size()) + 1e-7;
  for (double& value : x.values) value /= norm;
  for (int64_t step = 0; step < steps; ++step) {
    const Matrix a = product(x, transposed(x)), aa = product(a, a);
    Matrix b = a;
    for (size_t i = 0; i < b.values.size(); ++i) b.values[i] = abc[1] * a.values[i] + abc[2] * aa.values[i];
    const Matrix bx = product(b, x);
    for (size_t i = 0; i < x.values.size(); ++i) x.values[i] = abc[0] * x.values[i] + bx.values[i];
  }
  return g.rows > g.columns ? transposed(x) : x;
}

void muon_rule(const MuonOptions& o, model::Weight& w, const Vector& g) {
  Matrix u{w.rows(), w.length(), Vector(w.size())};
  for (size_t i = 0; i < w.size(); ++i) {
    w.momentum[i] = o.momentum * w.momentum[i] + g[i];
    u.values[i] = o.nesterov ? g[i] + o.momentum * w.momentum[i] : w.momentum[i];
  }
  const Matrix update = zeropower(u, o.ns_steps, o.ns_coefficients);
  const double norm = model::norm(w.p, 0, w.size());
  const double scale = std::sqrt(std::max(1.0, double(w.rows()) / double(w.length())));
  for (size_t i = 0; i < w.size(); ++i) {
    if (o.normalize) w.p[i] *= std::sqrt(double(w.rows())) / norm;
    w.p[i] *= 1 - o.lr * o.weight_decay;
    w.p[i] -= o.lr * scale * update.values[i];
  }
}

// NaN where one of them is.
double larger(double a, double b) { return std::isnan(b) || b > a ? b : a; }

// The largest relative distance of weights and momenta from the model's over 12 steps.
template <class T> double worst(const MuonOptions& options) {
  model::Random random{std::mt19937_64(7)};
  std::vector<model::Weight> weights;
  std::vector<Parameter> parameters;
  for (const Shape& shape :
       {Shape{5, 6}, Shape{4, 3, 3, 3}, Shape{2, 130}, Shape{20, 3, 2}, Shape{7, 7}, Shape{1, 9}, Shape{6, 1}}) {
    Vector p(size_t(shape.numel()));
    for (double& x : p) x = double(T(2 * random()));
    weights.push_back({.name = "w" + shape.str(), .shape = shape, .p = p, .momentum = Vector(p.size())});
    parameters.push_back({weights.back().name, model::tensor<T>(shape, p).set_requires_grad()});
  }
  Muon muon(parameters, options);
  double largest = 0;
  for (int step = 0; step < 12; ++step) {
    for (size_t i = 0; i < weights.size(); ++i) {
      Vector g(weights[i].size());
      for (double& x : g) x = double(T(random()));
      parameters[i].tensor.set_grad(model::tensor<T>(weights[i].shape, g));
      muon_rule(options, weights[i], g);
    }
    muon.step();
    for (size_t i = 0; i < weights.size(); ++i) {
      const Vector momentum = muon.state().at("momentum/" + weights[i].name).to_vector<double>();
      largest = larger(largest, model::distance(parameters[i].tensor.to_vector<double>(), weights[i].p));
      largest = larger(largest, model::distance(momentum, weights[i].momentum));
    }
  }
  return largest;
}

Matrix random_matrix(size_t rows, size_t columns, int seed) {
  model::Random random{std::mt19937_64(uint64_t(seed))};
  Matrix m{rows, columns, Vector(rows * columns)};
  for (double& x : m.values) x = random();
  return m;
}

Matrix orthogonalized(const Matrix& m, const NewtonSchulz& by) {
  const Tensor x = model::tensor<double>({int64_t(m.rows), int64_t(m.columns)}, m.values);
  return {m.rows, m.columns, orthogonalized(x, by).to_vector<double>()};
}

// Ascending.
Vector singular_values(const Matrix& m) {
  const Matrix square = m.rows < m.columns ? product(m, transposed(m)) : product(transposed(m), m);
  Vector values = eigh(int64_t(square.rows), square.values).values;
  for (double& x : values) x = std::sqrt(std::max(0.0, x));
  return values;
}

const NewtonSchulz jordan{5, {3.4445, -4.775, 2.0315}};
// The Taylor series of 1 / sqrt(1 - x), to x^2: it converges to 1 from every singular value in (0, 1].
const NewtonSchulz converging{30, {1.875, -1.25, 0.375}};

}  // namespace

TEST_CASE("Muon follows the f64 model over its options") {
  for (double other : {0.0, 1.0}) {  // or a weight that is lost would agree with the model
    CHECK(std::isnan(larger(other, NAN)));
    CHECK(std::isnan(larger(NAN, other)));
  }
  for (double momentum : {0.0, 0.6, 0.95})
    for (bool nesterov : {false, true})
      for (double weight_decay : {0.0, 0.1})
        for (bool normalize : {false, true})
          for (const NewtonSchulz& by : {jordan, NewtonSchulz{2, {3.4576, -4.7391, 2.0843}}}) {
            const MuonOptions o{.lr = 0.1,
                                .momentum = momentum,
                                .nesterov = nesterov,
                                .ns_steps = by.steps,
                                .ns_coefficients = by.coefficients,
                                .weight_decay = weight_decay,
                                .normalize = normalize};
            INFO(config::dump(config::to_value(o)));
            CHECK(worst<double>(o) < 1e-12);
            CHECK(worst<float>(o) < 1e-5);
          }
}

TEST_CASE("What Newton-Schulz gives has singular values near 1, and the matrix's own singular vectors") {
  for (const auto& [rows, columns] : {std::pair{12, 12}, {8, 40}, {40, 8}, {1, 30}, {64, 65}}) {
    CAPTURE(rows);
    CAPTURE(columns);
    const Matrix m = random_matrix(size_t(rows), size_t(columns), rows);
    const Vector before = singular_values(m);
    // The author's article: the coefficients take [0.01, 1] into about [0.7, 1.2].
    const Vector values = singular_values(orthogonalized(m, jordan));
    const double norm = std::sqrt(std::inner_product(before.begin(), before.end(), before.begin(), 0.0));
    for (size_t i = 0; i < values.size(); ++i) {
      // The polynomial does not keep their order: all have to be large enough at first.
      if (before[0] > 0.01 * norm) CHECK(values[i] > 0.67);
      CHECK(values[i] < 1.22);
    }
    // With coefficients that converge it is U V^T: orthogonal, and the m^T of it symmetric and positive.
    const Matrix o = orthogonalized(m, converging);
    const Matrix gram = rows < columns ? product(o, transposed(o)) : product(transposed(o), o);
    for (size_t i = 0; i < gram.rows; ++i)
      for (size_t j = 0; j < gram.columns; ++j) CHECK(std::abs(gram.at(i, j) - (i == j)) < 1e-6);
    const Matrix inner = rows < columns ? product(o, transposed(m)) : product(transposed(o), m);
    double trace = 0;
    for (size_t i = 0; i < inner.rows; ++i) {
      trace += inner.at(i, i);
      for (size_t j = 0; j < i; ++j) CHECK(std::abs(inner.at(i, j) - inner.at(j, i)) < 1e-6);
    }
    CHECK(trace == doctest::Approx(std::accumulate(before.begin(), before.end(), 0.0)));
  }
  const Matrix zeros{3, 5, Vector(15)};
  CHECK(orthogonalized(zeros, jordan).values == zeros.values);
  CHECK(orthogonalized(Tensor::empty({0, 5}), jordan).numel() == 0);
}

TEST_CASE("A step of Muon does not depend on the scale of its gradients, and is as of the transpose where that is wide") {
  const auto stepped = [](const Matrix& gradient) {
    const Shape shape{int64_t(gradient.rows), int64_t(gradient.columns)};
    const Tensor w = model::tensor<double>(shape, Vector(gradient.values.size())).set_requires_grad();
    w.set_grad(model::tensor<double>(shape, gradient.values));
    Muon({{"w", w}}, {.lr = 1}).step();
    return Matrix{gradient.rows, gradient.columns, w.to_vector<double>()};
  };
  const Matrix tall = random_matrix(20, 5, 1);
  Matrix larger = tall, half = stepped(transposed(tall));
  for (double& x : larger.values) x *= 1000;
  for (double& x : half.values) x *= 2;  // sqrt(20 / 5)
  CHECK(model::distance(stepped(larger).values, stepped(tall).values) < 1e-6);
  CHECK(model::distance(stepped(tall).values, transposed(half).values) < 1e-12);
}

TEST_CASE("No effective rate is given where a gradient is so small that eps counts beside it") {
  struct Watch : StepObserver {
    UpdateInfo info;
    void after(const Parameter&, const Tensor&, const UpdateInfo& what) override { info = what; }
  } watch;
  const Tensor w = model::tensor<double>({2, 2}, Vector(4, 1)).set_requires_grad();
  for (const auto& [size, known] : {std::pair{1e-4, true}, {1e-6, false}, {0.0, false}}) {
    w.set_grad(model::tensor<double>({2, 2}, {size, 0, 0, size}));
    Muon({{"w", w}}, {.lr = 0.1}).step(&watch);
    CHECK(std::isnan(watch.info.effective.rate) != known);
    CHECK(std::isnan(watch.info.effective.norm_power) != known);
  }
}

TEST_CASE("normalize takes a weight to the norm sqrt(output channels) before its step, and leaves zeros") {
  for (double size : {1e-3, 1.0, 1e3}) {
    Vector start = random_matrix(4, 18, 3).values;
    for (double& x : start) x *= size;
    const Tensor w = model::tensor<float>({4, 2, 3, 3}, start).set_requires_grad();
    w.set_grad(model::tensor<float>({4, 2, 3, 3}, Vector(72)));  // no step but for that
    Muon muon({{"w", w}}, {.lr = 0.1, .normalize = true});
    muon.step();
    const Vector values = w.to_vector<double>();
    CHECK(model::norm(values, 0, 72) == doctest::Approx(2).epsilon(1e-6));
    CHECK(values[5] / values[0] == doctest::Approx(start[5] / start[0]).epsilon(1e-6));
  }
  // At a rate of 0 it stays as it is.
  const Vector start = random_matrix(2, 3, 3).values;
  for (bool by_factor : {false, true}) {
    const Tensor w = model::tensor<double>({2, 3}, start).set_requires_grad(), v = w.detach().clone().set_requires_grad();
    const std::vector<GroupOptions> stays{{.pattern = "w", .lr_factor = 0}};
    Muon muon({{"w", w}, {"v", v}}, {.lr = 0.1, .normalize = true, .groups = by_factor ? stays : std::vector<GroupOptions>{}});
    if (!by_factor) muon.set_lr(0);
    w.set_grad(model::tensor<double>({2, 3}, Vector(6, 1))), v.set_grad(w.grad());
    muon.step();
    CHECK(w.to_vector<double>() == start);
    CHECK((v.to_vector<double>() == start) != by_factor);
  }
  const Tensor zeros = model::tensor<float>({2, 2}, Vector(4)).set_requires_grad();
  zeros.set_grad(model::tensor<float>({2, 2}, Vector(4)));
  Muon({{"w", zeros}}, {.lr = 0.1, .normalize = true}).step();
  CHECK(zeros.to_vector<double>() == Vector(4));
}

TEST_CASE("A parameter that is no matrix is refused unless it is frozen or another's, and so is a norm that is held twice") {
  const auto leaf = [](const Shape& shape) { return Tensor::empty(shape).fill_(1).set_requires_grad(); };
  const auto refusal = [&](const MuonOptions& options) {
    const std::vector<Parameter> list{{"conv.weight", leaf({4, 2, 3, 3})}, {"norm.bias", leaf({4})}, {"scale", leaf({})}};
    const std::string text = error_of([&] { Muon(list, options); });
    for (const Parameter& parameter : list) CHECK((text == "no error" || parameter.tensor.requires_grad()));
    return text;
  };
  const GroupOptions first{.dims = 1, .optimizer = SgdOptions{.lr = 0.1}}, second{.dims = 0, .frozen = true};
  const std::string remedy =
      ", and muon moves matrices; name another optimizer for it in groups, as in {{\"dims\": {}, "
      "\"optimizer\": {{\"type\": \"sgd\", \"lr\": 0.1}}}}, or freeze it";
  CHECK(refusal({.lr = 0.1, .groups = {second}}) ==
        "muon: \"norm.bias\" has 1 dimension" + fmt::format(fmt::runtime(remedy), 1));
  CHECK(refusal({.lr = 0.1, .groups = {first}}) == "muon: \"scale\" has 0 dimensions" + fmt::format(fmt::runtime(remedy), 0));
  CHECK(refusal({.lr = 0.1, .groups = {first, second}}) == "no error");
  CHECK(refusal({.lr = 0.1, .normalize = true, .groups = {first, second, {.dims = 4, .trust_ratio = 0.1}}}) ==
        "muon: \"conv.weight\" has its norm set by normalize and by the trust_ratio of a group; leave one of them out");
  CHECK(refusal({.lr = 0.1, .normalize = true, .groups = {first, second, {.dims = 4, .renormalize_every = 2}}}) ==
        "muon: \"conv.weight\" has its norm set by normalize and by renormalize_every of a group; leave one of them out");
  CHECK(refusal({.lr = 0.1, .normalize = true, .groups = {first, second, {.dims = 1, .trust_ratio = 0.1}}}) == "no error");
  CHECK(refusal({.lr = 0.1, .ns_steps = 101}) == "muon.ns_steps: must be at most 100, got 101");
  CHECK(refusal({.lr = 0.1, .ns_coefficients = {1, 2}}) == "muon.ns_coefficients: must have 3 elements, got 2");
  CHECK(refusal({.lr = 0.1, .ns_steps = 0}) == "muon.ns_steps: must be at least 1, got 0");
  CHECK(refusal({}) == "muon.lr: must be more than 0, got 0.0");
}

TEST_CASE("A matrix that is no weight is refused, with what selects it") {
  const auto refusal = [](const ParameterKind& kind, std::vector<GroupOptions> groups = {}) {
    const auto leaf = [](const Shape& shape) { return Tensor::empty(shape).fill_(1).set_requires_grad(); };
    const std::vector<Parameter> list{{"conv.weight_g", leaf({4, 1, 1, 1}), kind}, {"conv.weight_v", leaf({4, 2, 3, 3})}};
    return error_of([&] { Muon(list, {.lr = 0.1, .groups = groups}); });
  };
  const std::string remedy =
      "\", and muon moves weights; name another optimizer for it in groups, as in {{\"kind\": \"{}\", "
      "\"optimizer\": {{\"type\": \"sgd\", \"lr\": 0.1}}}}, or freeze it";
  CHECK(refusal(ParameterKind::norm) ==
        "muon: \"conv.weight_g\" is of kind \"norm" + fmt::format(fmt::runtime(remedy), "norm"));
  CHECK(refusal(ParameterKind::bias) ==
        "muon: \"conv.weight_g\" is of kind \"bias" + fmt::format(fmt::runtime(remedy), "bias"));
  CHECK(refusal(ParameterKind::weight) == "no error");
  CHECK(refusal(ParameterKind::norm, {{.kind = "norm", .optimizer = SgdOptions{.lr = 0.1}}}) == "no error");
  CHECK(refusal(ParameterKind::norm, {{.kind = "norm", .frozen = true}}) == "no error");
}

TEST_CASE("A parameter that needs no gradient may be no matrix until it is thawed: its first update is refused, before any") {
  const std::string sentence = error_of([] { Muon({{"bias", Tensor::empty({4}).set_requires_grad()}}, {.lr = 0.1}); });
  CHECK(sentence.starts_with("muon: \"bias\" has 1 dimension, and "));
  for (bool by_group : {false, true}) {
    const Tensor w = model::tensor<float>({2, 2}, Vector(4, 1)).set_requires_grad();
    const Tensor bias = Tensor::empty({4}).fill_(1).set_requires_grad(by_group);
    const std::vector<GroupOptions> frozen{{.pattern = "bias", .frozen = true}};
    Muon muon({{"w", w}, {"bias", bias}}, {.lr = 0.1, .groups = by_group ? frozen : std::vector<GroupOptions>{}});
    w.set_grad(model::tensor<float>({2, 2}, Vector(4, 1)));
    muon.step();
    const Vector moved = w.to_vector<double>();
    CHECK(moved != Vector(4, 1));
    bias.set_requires_grad(true).set_grad(model::tensor<float>({4}, Vector(4, 1)));
    CHECK(error_of([&] { muon.step(); }) == sentence);
    CHECK(w.to_vector<double>() == moved);
    CHECK(bias.to_vector<double>() == Vector(4, 1));
  }
  // Within a group's optimizer, too.
  const Tensor w = model::tensor<float>({2, 2}, Vector(4, 1)).set_requires_grad();
  const Tensor bias = Tensor::empty({4}).fill_(1);
  Sgd sgd({{"v", w.detach().clone().set_requires_grad()}, {"w", w}, {"bias", bias}},
          {.lr = 0.1, .groups = {{.pattern = "[wb]*", .optimizer = MuonOptions{.lr = 0.1}}}});
  bias.set_requires_grad(true).set_grad(model::tensor<float>({4}, Vector(4, 1)));
  CHECK(error_of([&] { sgd.step(); }) == sentence);
}

// Its products are oneDNN's, which on some processors add up by the number of threads.
TEST_CASE("Muon's steps are the same each time, and on any number of threads up to rounding") {
  const int before = thread_count();
  for (const Shape& shape : {Shape{64, 24, 3, 3}, Shape{64, 64, 3, 3}, Shape{150, 40}}) {
    CAPTURE(shape.str());
    std::vector<std::vector<float>> results;
    for (int threads : {1, 2, 2, 3}) {
      set_thread_count(threads);
      model::Random random{std::mt19937_64(5)};
      Vector values(size_t(shape.numel()));
      for (double& x : values) x = random();
      const Tensor w = model::tensor<float>(shape, values).set_requires_grad();
      Muon muon({{"w", w}}, {.lr = 0.1});
      for (int step = 0; step < 2; ++step) {
        for (double& x : values) x = random();
        w.set_grad(model::tensor<float>(shape, values));
        muon.step();
      }
      results.push_back(w.to_vector<float>());
    }
    CHECK(results[1] == results[2]);
    for (const auto& result : results) {
      CHECK(model::distance(Vector(result.begin(), result.end()), Vector(results[0].begin(), results[0].end())) < 1e-5);
    }
  }
  set_thread_count(before);
}

TEST_CASE("Coefficients that take singular values beyond all bounds, or all of them to 0, are odd") {
  const auto said = [](double a, double b, double c) {
    const auto odd =
        Muon({{"w", Tensor::empty({2, 2}).set_requires_grad()}}, {.lr = 0.1, .ns_coefficients = {a, b, c}}).examine();
    return odd.empty() ? "" : odd.at(0);
  };
  const std::string instead = " in 5 steps; such as 3.4445, -4.775 and 2.0315 take all near 1";
  CHECK(said(0, 0, 0) == "ns_coefficients: take every singular value to 0" + instead);
  CHECK(said(1e30, 0, 0) == "ns_coefficients: take a singular value of 0.01 beyond the largest number" + instead);
  CHECK(said(2, 2, 2).starts_with("ns_coefficients: take a singular value of "));
  CHECK(said(1.875, -1.25, 0.375) == "");
  CHECK(said(3, -3.2, 1.2) == "");
}
