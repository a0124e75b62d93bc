#include <doctest/doctest.h>

#include <algorithm>

#include "core/autograd/autograd.h"
#include "core/backend/onednn/detail.h"
#include "core/backend/reorder.h"
#include "core/base/random.h"
#include "core/ops.h"
#include "tests/compare.h"

// Which ops take a blocked layout as it lies and pass it on, and which make a row-major copy first.
namespace az::test {
namespace {

using Op = std::function<Tensor(const Tensor&)>;
enum PassesOn { always, unpadded, never };  // unpadded: where no channels fill up a block
struct Case {
  std::string name;
  PassesOn passes_on;
  Op op;
};

const Shape shape{2, 20, 4, 4};  // 20 channels: blocks of 8 and 16 are padded

Tensor values(DType type) {
  Philox generator(5);
  return uniform(shape, {.low = 0.25, .high = 1}, generator).to(type);
}

const std::vector<Case> cases = {
    {"relu", always, [](const Tensor& x) { return relu(x); }},
    {"leaky_relu", always, [](const Tensor& x) { return leaky_relu(x); }},
    {"silu", always, [](const Tensor& x) { return silu(x); }},
    {"gelu", always, [](const Tensor& x) { return gelu(x); }},
    {"tanh", always, [](const Tensor& x) { return tanh(x); }},
    {"sin", always, [](const Tensor& x) { return sin(x); }},
    {"sqrt", always, [](const Tensor& x) { return sqrt(x); }},
    {"abs", always, [](const Tensor& x) { return abs(x); }},
    {"neg", always, [](const Tensor& x) { return neg(x); }},
    {"mul by a number", always, [](const Tensor& x) { return x * 3; }},
    {"add", always, [](const Tensor& x) { return x + x; }},
    {"sub", always, [](const Tensor& x) { return x - x * 2; }},
    {"mul", always, [](const Tensor& x) { return x * x; }},
    {"maximum", always, [](const Tensor& x) { return maximum(x, x * 2); }},
    {"minimum", always, [](const Tensor& x) { return minimum(x, x * 2); }},
    {"clone", always, [](const Tensor& x) { return x.clone(); }},
    {"batch_norm", always,
     [](const Tensor& x) {
       return batch_norm(x, {ones({20}), ones({20})});
     }},
    {"exp", unpadded, [](const Tensor& x) { return exp(x); }},
    {"log", unpadded, [](const Tensor& x) { return log(x); }},
    {"cos", unpadded, [](const Tensor& x) { return cos(x); }},
    {"sigmoid", unpadded, [](const Tensor& x) { return sigmoid(x); }},
    {"pow", unpadded, [](const Tensor& x) { return pow(x, 0); }},
    {"clamp about 0", always, [](const Tensor& x) { return clamp(x, {.min = 0, .max = 0.5}); }},
    {"clamp", unpadded, [](const Tensor& x) { return clamp(x, {.min = 0.5}); }},
    {"add a number", unpadded, [](const Tensor& x) { return x + 1; }},
    {"mul by infinity", unpadded, [](const Tensor& x) { return x * INFINITY; }},
    {"div", never, [](const Tensor& x) { return x / x; }},
    {"atan2", never, [](const Tensor& x) { return atan2(x, x.plain() * 2); }},
    {"add of unlike layouts", never, [](const Tensor& x) { return x + x.plain(); }},
    {"add with broadcasting", never,
     [](const Tensor& x) {
       return x + ones({20, 1, 1}, x.dtype());
     }},
    {"where", never, [](const Tensor& x) { return where(less(x, x * 2), x, x * 3); }},
    {"softmax", never, [](const Tensor& x) { return softmax(x, 1); }},
    {"sum", never, [](const Tensor& x) { return sum(x, {{1}}); }},
    {"permute", never,
     [](const Tensor& x) {
       return permute(x, {1, 0, 2, 3});
     }},
    {"slice", never, [](const Tensor& x) { return slice(x, {.axis = 1, .begin = 3}); }},
    {"concat", never,
     [](const Tensor& x) {
       return concat({x, x}, 1);
     }},
    {"reshape", never,
     [](const Tensor& x) {
       return x.reshape({2, -1});
     }},
    {"to", never, [](const Tensor& x) { return x.to(DType::f64); }},
};

// Of all that a tensor holds, padding included.
int64_t nonzeros_held(const Tensor& x) {
  return visit(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* held = static_cast<const T*>(x.raw());
    return std::count_if(held, held + x.storage()->bytes() / sizeof(T), [](T v) { return v != T(0); });
  });
}

}  // namespace

TEST_CASE("layouts: what an op passes on is the layout of its argument, with the same values and padding that is 0") {
  for (int64_t block : {4, 8, 16, 0}) {
    const Layout* layout = blocked_layout(block);
    Tensor plain = values(DType::f32), lain = reorder(plain, layout);
    for (const Case& c : cases) {
      CAPTURE(block);
      CAPTURE(c.name);
      Tensor y = c.op(lain), wanted = c.op(plain);
      CHECK(wanted.layout() == nullptr);
      const bool is_padded = block == 8 || block == 16;
      CHECK(y.layout() == (c.passes_on == always || (c.passes_on == unpadded && !is_padded) ? layout : nullptr));
      CHECK(y.shape() == wanted.shape());
      CHECK((distance(y, wanted) <= 1e-6 || sum(equal(y, wanted)).item() == double(y.numel())));
      CHECK(nonzeros_held(y) == nonzeros_held(wanted));
    }
  }
}

TEST_CASE("layouts: gradients pass a bend in the layout of what was bent, in whichever they arrive") {
  const Layout* layout = blocked_layout(16);
  Tensor x = reorder(values(DType::f32) - 0.5, layout).set_requires_grad();
  const Tensor blocked = reorder(values(DType::f32), layout);
  for (const Op& op : {Op([](const Tensor& t) { return relu(t); }), Op([](const Tensor& t) { return leaky_relu(t, 0.5); }),
                       Op([](const Tensor& t) { return clamp(t, {.min = 0, .max = 6}); }),
                       Op([](const Tensor& t) { return silu(t); }), Op([](const Tensor& t) { return gelu(t); })}) {
    const Layout* seen = nullptr;
    Tensor watched = record("watched", x.detach(), {x}, saved(), ByOps{[&](const Back& k) {
                              seen = k.g.layout();
                              return Grads{k.g};
                            }});
    Tensor z = op(watched);
    for (const Tensor& upstream : {blocked, blocked.plain()}) {
      seen = nullptr;
      grad(z, {x}, {.gradient = upstream, .retain_graph = true});
      CHECK(seen == layout);
    }
  }
}

TEST_CASE("layouts: each takes the bytes of oneDNN's descriptor, by which it is found again") {
  for (const int64_t width : {1, 4, 8, 16, 0}) {
    for (const int64_t channels : {1, 3, 4, 8, 16, 20}) {
      CAPTURE(width);
      CAPTURE(channels);
      const Shape image{2, channels, 3, 5};
      const auto desc = onednn::desc_of(image, DType::f32, blocked_layout(width));
      CHECK(layout_bytes(image, DType::f32, blocked_layout(width)) == desc.get_size());
      const auto found = onednn::layout_of(desc);
      REQUIRE(found.has_value());
      CHECK(onednn::desc_of(image, DType::f32, *found) == desc);
    }
  }
  const dnnl::memory::desc foreign({2, 8, 3, 5}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::chwn);
  CHECK(!onednn::layout_of(foreign).has_value());
  CHECK(layout_bytes({int64_t(1) << 60, 1, 1, 1}, DType::u8, blocked_layout(16)) == SIZE_MAX);
  CHECK_THROWS_WITH(blocked_layout(32), "layout: there is none in blocks of 32 channels");
}

TEST_CASE("layouts: what grad() and hooks hand out is row-major, leaf or not") {
  Philox generator(6);
  Tensor x = uniform({2, 16, 8, 8}, {.low = -1, .high = 1}, generator).set_requires_grad();
  const Layout* layout = blocked_layout(16);
  // As a convolution's gradient lies on processors with vectors of sixteen.
  auto through_blocked = [&](const Tensor& t) {
    return record("blocked", t.detach(), {t}, saved(),
                  ByOps{[layout](const Back& k) { return Grads{reorder(k.g.plain(), layout)}; }});
  };
  Tensor y = x * 2, z = through_blocked(y);
  std::vector<const Layout*> seen;
  const Tensor::Hook watch = [&](const Tensor& gradient) {
    seen.push_back(gradient.layout());
    gradient.data<float>();
    return Tensor();
  };
  x.register_hook(watch);
  y.register_hook(watch);
  Tensor upstream = ones(x.shape());
  auto found = grad(z, {y, x}, {.gradient = upstream, .retain_graph = true});
  for (const Tensor& each : found) CHECK(each.data<float>() != nullptr);
  z.backward(upstream);
  CHECK(seen == std::vector<const Layout*>(4, nullptr));
  CHECK(x.grad().to_vector<float>() == std::vector<float>(size_t(x.numel()), 2.f));
  // What a hook puts in a leaf's place, too.
  x.zero_grad();
  x.register_hook([&](const Tensor& gradient) { return reorder(gradient, layout); });
  (x * 3).backward(upstream);
  CHECK(x.grad().data<float>()[0] == 3);
}

TEST_CASE("a gradient goes on in the layout that it came in where a hook looks at it, or grad() is asked for it") {
  const Tensor x = ones({2, 16, 3, 3}).set_requires_grad();
  const Layout* layout = blocked_layout(16);
  std::vector<const Layout*> came;
  const auto op = [&](const Tensor& t) {
    return record("op", t.detach(), {t}, saved(), ByKernel{[&](const Back& k) {
                    came.push_back(k.g.layout());
                    return Grads{reorder(k.g.plain(), layout)};
                  }});
  };
  const Tensor y = op(x), z = op(y), upstream = ones(x.shape());
  y.register_hook([](const Tensor&) { return Tensor(); });
  z.backward(upstream, {.retain_graph = true});
  grad(z, {y, x}, {.gradient = upstream, .retain_graph = true});
  CHECK(came == std::vector<const Layout*>{nullptr, layout, nullptr, layout});
  y.register_hook([](const Tensor& gradient) { return gradient * 2; });
  z.backward(upstream);
  CHECK(came.back() == nullptr);
  CHECK(x.grad().to_vector<float>() == std::vector<float>(size_t(x.numel()), 3.f));
}

}  // namespace az::test
