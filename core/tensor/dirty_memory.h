#pragma once

namespace az {

// While one lives, the bytes of new storages are 0xff, in every floating type NaN: who reads what nobody wrote gives itself
// away.
struct DirtyMemory {
  DirtyMemory();
  ~DirtyMemory();
  DirtyMemory(const DirtyMemory&) = delete;
  DirtyMemory& operator=(const DirtyMemory&) = delete;
};

}  // namespace az
