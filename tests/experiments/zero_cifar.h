#pragma once

#include <filesystem>
#include <fstream>

// A CIFAR-10 folder of the right sizes, all zeros.
inline void write_zero_cifar(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  for (const char* name :
       {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"}) {
    std::ofstream(folder / name, std::ios::binary).close();
    std::filesystem::resize_file(folder / name, 30'730'000);
  }
}
