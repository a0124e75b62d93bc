#include <doctest/doctest.h>

#include <cmath>
#include <sstream>

#include "core/tensor/create.h"

using namespace az;

TEST_CASE("print: shape, number type and elements, columns aligned") {
  CHECK(str(full({}, 2.5)) == "f32 [] 2.5");
  CHECK(str(arange({.end = 3}, DType::i64)) == "i64 [3] [0, 1, 2]");
  CHECK(str(zeros({2, 0})) == "f32 [2,0]\n[[],\n []]");
  CHECK(str(Tensor::of<float>({2, 2}, {1, -20, 0.5f, 3})) == "f32 [2,2]\n[[  1, -20],\n [0.5,   3]]");
  CHECK(str(arange({.end = 4}, DType::u8).reshape({2, 1, 2})) == "u8 [2,1,2]\n[[[0, 1]],\n [[2, 3]]]");
  CHECK(str(Tensor()) == "undefined");
}

TEST_CASE("print: the middle of a long axis is left out") {
  CHECK(str(arange({.end = 8})) == "f32 [8] [0, 1, 2, 3, 4, 5, 6, 7]");
  CHECK(str(arange({.end = 1000})) == "f32 [1000] [  0,   1,   2, ..., 997, 998, 999]");
  CHECK(str(arange({.end = 9}, DType::f64).reshape({9, 1})) == "f64 [9,1]\n[[0],\n [1],\n [2],\n ...,\n [6],\n [7],\n [8]]");
}

TEST_CASE("print: numbers of every kind") {
  CHECK(str(Tensor::of<double>({4}, {NAN, INFINITY, -INFINITY, 1. / 3})) == "f64 [4] [    nan,     inf,    -inf, 0.33333]");
  CHECK(str(full({2}, 1e-30, DType::bf16)) == "bf16 [2] [9.984e-31, 9.984e-31]");
  std::ostringstream out;
  out << Tensor::of<uint8_t>({2}, {0, 255});
  CHECK(out.str() == "u8 [2] [  0, 255]");
}
