#pragma once

#include <string>

#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"

namespace az {

// How the elements of an [n,c,h,w] lie in memory: as [n, blocks of channels, h, w, channels of a block], the last block filled
// up with zeros. There is one object for each, of any shape, so that pointers tell layouts apart; nullptr stands for row-major.
struct Layout {
  int64_t width;  // channels of a block; 0: all of them, so that channels come last
};

// The layout in blocks of so many channels: 1 (row-major), 4, 8, 16 or 0 (all of them: channels last). Throws for others.
const Layout* blocked_layout(int64_t width);
// The width of its blocks for a tensor of so many channels.
inline int64_t block_of(const Layout* layout, int64_t channels) {
  return !layout ? 1 : layout->width ? layout->width : channels;
}
// Bytes that elements of `shape` take (padding included); SIZE_MAX where that is more than can be counted.
size_t layout_bytes(const Shape& shape, DType type, const Layout* layout);
// Returns the name that oneDNN has for a layout: "abcd" for row-major, "acdb" for channels last, "aBcd16b" for blocks of 16.
std::string name_of(const Layout* layout);

}  // namespace az
