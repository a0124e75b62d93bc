#include <algorithm>
#include <cmath>
#include <ostream>

#include "core/tensor/tensor.h"

namespace az {
namespace {

constexpr int64_t edge = 3, longest = 8;  // an axis longer than `longest` shows `edge` entries at both ends

std::string number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return fmt::format("{:.5g}", value);
}

void print(std::string& out, const Shape& shape, int axis, int64_t offset, const std::function<std::string(int64_t)>& element) {
  if (axis == shape.rank()) {
    out += element(offset);
    return;
  }
  int64_t size = shape[axis], stride = shape.strides()[size_t(axis)];
  bool is_last = axis == shape.rank() - 1;
  std::string between = is_last ? ", " : ",\n" + std::string(size_t(axis + 1), ' ');
  out += '[';
  for (int64_t i = 0; i < size; ++i) {
    if (i) out += between;
    if (size > longest && i == edge) {
      out += "..." + between;
      i = size - edge;
    }
    print(out, shape, axis + 1, offset + i * stride, element);
  }
  out += ']';
}

}  // namespace

std::string str(const Tensor& tensor) {
  if (!tensor.defined()) return "undefined";
  Tensor source = tensor.detach().plain();
  auto text = [&](int64_t i) {
    return visit(source.dtype(), [&](auto zero) {
      using T = decltype(zero);
      T value = source.data<T>()[i];
      if constexpr (std::is_integral_v<T>)
        return std::to_string(value);
      else
        return number(double(value));
    });
  };
  // Once for the widest number shown, once to print.
  size_t width = 0;
  std::string unused, out = describe(tensor) + (tensor.rank() > 1 ? "\n" : " ");
  print(unused, tensor.shape(), 0, 0, [&](int64_t i) { return width = std::max(width, text(i).size()), std::string(); });
  print(out, tensor.shape(), 0, 0, [&](int64_t i) { return fmt::format("{:>{}}", text(i), width); });
  return out;
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) { return out << str(tensor); }

}  // namespace az
