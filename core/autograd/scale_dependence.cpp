#include "core/autograd/scale_dependence.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "core/autograd/homogeneity.h"
#include "core/autograd/node.h"

namespace az {

const Homogeneity& Homogeneity::never() {
  static const Homogeneity word{Says::never};
  return word;
}
const Homogeneity& Homogeneity::same() {
  static const Homogeneity word{Says::terms, {{}}, true, true};
  return word;
}
const Homogeneity& Homogeneity::each() {
  static const Homogeneity word{Says::terms, {{}}};
  return word;
}
const Homogeneity& Homogeneity::sum() {
  static const Homogeneity word{Says::terms, {{.term = 0}, {.term = 1}}, true};
  return word;
}
const Homogeneity& Homogeneity::choice() {
  static const Homogeneity word{Says::terms, {{.term = 0}, {.term = 1}}};
  return word;
}
const Homogeneity& Homogeneity::product() {
  static const Homogeneity word{Says::terms, {{}, {}}};
  return word;
}
const Homogeneity& Homogeneity::quotient() {
  static const Homogeneity word{Says::terms, {{}, {.power = -1}}};
  return word;
}
Homogeneity Homogeneity::plus(double b) {
  Homogeneity word = same();
  word.offset = !is_guard(b);
  return word;
}

namespace {

using Kind = ScaleDependence::Kind;

// Returns where the rows lie in the result, or nothing where their elements are mixed. Rows have to fill a part of one axis, or
// elements to keep their order.
std::optional<RowsOf> moved(const RowsOf& rows, const Homogeneity& says, const Homogeneity::Input& role, const Shape& from,
                            const Shape& to) {
  if (rows.count == 1) return RowsOf{};
  if (says.in_order || (role.axes.empty() && from == to)) return rows;
  const auto strides = from.strides(), strides_to = to.strides();
  for (int axis = 0; axis < from.rank(); ++axis) {
    const int64_t stride = strides[size_t(axis)], span = stride * from[axis];
    if (rows.inner % stride != 0 || span % (rows.inner * rows.count) != 0) continue;
    const int target = role.axes.empty() ? axis + to.rank() - from.rank() : role.axes[size_t(axis)];
    if (target < 0 || to[target] != from[axis]) return {};
    return RowsOf{rows.inner / stride * strides_to[size_t(target)], rows.count};
  }
  return {};
}

// The slices of the result in which an input that is broadcast to it is the same; nothing unless it varies along one axis or
// none.
std::optional<RowsOf> slices_of_equals(const Homogeneity::Input& role, const Shape& from, const Shape& to) {
  std::optional<RowsOf> slices = RowsOf{};
  for (int axis = 0; axis < from.rank(); ++axis) {
    if (from[axis] == 1) continue;
    const int target = role.axes.empty() ? axis + to.rank() - from.rank() : role.axes[size_t(axis)];
    if (slices->count > 1 || target < 0) return {};
    slices = RowsOf{to.strides()[size_t(target)], from[axis]};
  }
  return slices;
}

// One summand of an op's result.
struct Term {
  double degree = 0;
  RowsOf rows = {};
  std::optional<RowsOf> shift = {};
  std::optional<RowsOf> equals = {};  // the slices in which the whole term is the same
  int factors = 0;
};

// Slices finer than either, where one is finer than the other.
bool merge(std::optional<RowsOf>& into, const RowsOf& more) {
  if (!into || into->count == 1)
    into = more;
  else if (more.count > 1 && !(*into == more))
    return false;
  return true;
}

// The dependence of one op's result, given those of its inputs.
class Rule {
 public:
  Rule(const Node& node, const std::vector<ScaleDependence>& inputs) : node_(node), says_(node.homogeneity), inputs_(inputs) {}

  ScaleDependence result() const {
    for (Kind kind : {Kind::broken, Kind::unknown}) {
      for (const ScaleDependence& input : inputs_) {
        if (input.kind == kind) return input;
      }
    }
    if (std::all_of(inputs_.begin(), inputs_.end(), [](const auto& input) { return input.invariant(); }))
      return *std::find_if(inputs_.begin(), inputs_.end(), [](const auto& input) { return input.kind == Kind::scales; });
    if (says_.says == Homogeneity::Says::never) return ended(Kind::broken, "does not scale with its input");
    if (says_.says == Homogeneity::Says::nothing || says_.inputs.size() < inputs_.size())
      return ended(Kind::unknown, "does not say how it scales with its input");
    std::map<int, Term> terms;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (!node_.inputs[i].defined) continue;
      if (const char* reason = multiply(terms[says_.inputs[i].term], i)) return ended(Kind::broken, reason);
    }
    if (says_.offset) terms[-1].equals = RowsOf{};
    return sum(terms);
  }

 private:
  ScaleDependence ended(Kind kind, const char* reason) const {
    return {.kind = kind, .op = node_.name, .scope = node_.scope, .reason = reason};
  }

  // Takes input i into its term, or says what is in the way.
  const char* multiply(Term& term, size_t i) const {
    const ScaleDependence& input = inputs_[i];
    const Homogeneity::Input& role = says_.inputs[i];
    const Shape& from = node_.inputs[i].shape;
    const auto at = [&](const RowsOf& rows) { return moved(rows, says_, role, from, node_.shape); };
    ++term.factors;
    term.equals = term.factors == 1 && role.power == 1 ? slices_of_equals(role, from, node_.shape) : std::nullopt;
    if (role.power == 0) {
      if (input.degree != 0 && !at(input.rows)) return "normalises several of its channels together";
      if (input.shift && !at(*input.shift)) return "normalises, along with it, a shift that does not scale";
      return nullptr;
    }
    if (input.degree != 0) {
      const auto rows = at(input.rows);
      if (!rows) return "mixes its channels";
      if (term.degree != 0 && !(term.rows == *rows)) return "multiplies different channels";
      term.rows = *rows;
      term.degree += role.power * input.degree;
    }
    if (input.shift) {
      term.shift = carried(i);
      if (!term.shift) return "comes after a shift that does not scale with it";
    }
    return nullptr;
  }

  // The slices of the result in which the shift of input i is the same, if the op is linear: as its elements move, and where it
  // has other factors, element by element and in slices in which they are the same.
  std::optional<RowsOf> carried(size_t i) const {
    const Homogeneity::Input& role = says_.inputs[i];
    auto shift = moved(*inputs_[i].shift, says_, role, node_.inputs[i].shape, node_.shape);
    if (!says_.linear || !shift) return {};
    const bool mixed = std::any_of(role.axes.begin(), role.axes.end(), [](int target) { return target < 0; });
    for (size_t other = 0; other < inputs_.size(); ++other) {
      if (other == i || !node_.inputs[other].defined || says_.inputs[other].term != role.term) continue;
      const auto equals = slices_of_equals(says_.inputs[other], node_.inputs[other].shape, node_.shape);
      if (mixed || !equals || !merge(shift, *equals)) return {};
    }
    return shift;
  }

  ScaleDependence sum(const std::map<int, Term>& terms) const {
    const char* const added = "adds what does not scale with it";
    // `main` is the term by which all that varies within a slice scales; the rest is a shift.
    const Term* main = nullptr;
    for (const auto& [number, term] : terms) {
      if (!main || (main->equals && !term.equals) || (main->degree == 0 && term.degree != 0 && main->equals)) main = &term;
    }
    ScaleDependence result{.kind = Kind::scales, .degree = main->degree, .rows = main->rows};
    for (const auto& [number, term] : terms) {
      if (term.shift && !merge(result.shift, *term.shift)) return ended(Kind::broken, added);
      const bool alike = std::abs(term.degree - main->degree) < 1e-9 && (main->degree == 0 || term.rows == main->rows);
      if (alike) continue;
      if (!says_.linear || !term.equals || !merge(result.shift, *term.equals)) return ended(Kind::broken, added);
    }
    if (std::abs(result.degree) < 1e-9) result.degree = 0, result.rows = {};
    if (result.invariant()) result.op = node_.name, result.scope = node_.scope;
    return result;
  }

  const Node& node_;
  const Homogeneity& says_;
  const std::vector<ScaleDependence>& inputs_;
};

}  // namespace

ScaleDependence scale_dependence(const Tensor& output, const Tensor& w, int64_t rows) {
  if (!output.defined() || !w.defined()) fail("scale_dependence: a tensor is undefined; give it a value first");
  if (rows < 1 || w.numel() % rows) fail("scale_dependence: {} does not divide into {} rows", describe(w), rows);
  const ScaleDependence whole{.kind = Kind::scales, .degree = 1, .rows = {w.numel() / rows, rows}};
  if (output.same(w)) return whole;
  if (!output.impl()->node) return {};
  auto nodes = reachable(output.impl()->node);
  std::sort(nodes.begin(), nodes.end(), [](const auto& a, const auto& b) { return a->sequence < b->sequence; });
  std::unordered_map<const Node*, ScaleDependence> known;  // of those that w leads to
  for (const auto& node : nodes) {
    std::vector<ScaleDependence> inputs;
    for (const Node::Edge& edge : node->inputs) {
      const auto found = known.find(edge.node.get());
      inputs.push_back(edge.leaf && edge.leaf == w.impl() ? whole : found == known.end() ? ScaleDependence{} : found->second);
    }
    const bool reached =
        std::any_of(inputs.begin(), inputs.end(), [](const auto& input) { return input.kind != Kind::absent; });
    if (reached) known[node.get()] = Rule(*node, inputs).result();
  }
  const auto found = known.find(output.impl()->node.get());
  return found == known.end() ? ScaleDependence{} : found->second;
}

}  // namespace az
