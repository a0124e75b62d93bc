#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace az {

enum class DType : uint8_t { f32, f64, bf16, i64, u8 };

// bfloat16: the upper half of an IEEE f32, rounded to nearest even. For storage; compute in f32.
struct bf16 {
  uint16_t bits = 0;
  bf16() = default;
  bf16(float x) {
    uint32_t u = std::bit_cast<uint32_t>(x);
    bits = x != x ? uint16_t((u >> 16) | 0x40) : uint16_t((u + 0x7fff + ((u >> 16) & 1)) >> 16);
  }
  operator float() const { return std::bit_cast<float>(uint32_t(bits) << 16); }
};

template <class T> struct DTypeOf;
template <> struct DTypeOf<float> { static constexpr DType value = DType::f32; };
template <> struct DTypeOf<double> { static constexpr DType value = DType::f64; };
template <> struct DTypeOf<bf16> { static constexpr DType value = DType::bf16; };
template <> struct DTypeOf<int64_t> { static constexpr DType value = DType::i64; };
template <> struct DTypeOf<uint8_t> { static constexpr DType value = DType::u8; };
template <class T> constexpr DType dtype_of = DTypeOf<T>::value;

constexpr size_t size_of(DType type) {
  switch (type) {
    case DType::f32: return 4;
    case DType::f64: return 8;
    case DType::bf16: return 2;
    case DType::i64: return 8;
    case DType::u8: return 1;
  }
  return 0;
}

// "f32", "f64", "bf16", "i64", "u8"
constexpr const char* name_of(DType type) {
  switch (type) {
    case DType::f32: return "f32";
    case DType::f64: return "f64";
    case DType::bf16: return "bf16";
    case DType::i64: return "i64";
    case DType::u8: return "u8";
  }
  return "?";
}

constexpr bool is_float(DType type) { return type == DType::f32 || type == DType::f64 || type == DType::bf16; }

// Calls f with a value of the C++ type behind `type`: visit(t, [&](auto zero) { using T = decltype(zero); ... }).
template <class F> decltype(auto) visit(DType type, F&& f) {
  switch (type) {
    case DType::f64: return f(double{});
    case DType::bf16: return f(bf16{});
    case DType::i64: return f(int64_t{});
    case DType::u8: return f(uint8_t{});
    default: return f(float{});
  }
}

// Numbers are computed in this type: itself, but float for bf16.
template <class T> struct ComputeOf { using type = T; };
template <> struct ComputeOf<bf16> { using type = float; };
template <class T> using Compute = typename ComputeOf<T>::type;

// The next wider type: differences of close numbers keep their digits in it, and squares do not overflow.
template <class T> struct WiderOf { using type = double; };
template <> struct WiderOf<double> { using type = long double; };
template <class T> using Wider = typename WiderOf<T>::type;

// Calls f with a value of the C++ type behind a floating type.
template <class F> decltype(auto) visit_float(DType type, F&& f) {
  switch (type) {
    case DType::f64: return f(double{});
    case DType::bf16: return f(bf16{});
    default: return f(float{});
  }
}

}  // namespace az
