#pragma once

#include <string>

namespace az {

// The machine and the libraries that numbers come from; for a run's environment.json and `azimuth doctor`.
struct BackendInfo {
  std::string processor;                // "AMD EPYC 9B45"
  std::string instruction_sets;         // "avx2 fma avx512f avx512_bf16", those that matter here
  std::string onednn;                   // "2.6.3 (OMP)"
  std::string onednn_isa;               // what oneDNN dispatches to
  std::string openblas;                 // "OpenBLAS 0.3.21 ..."
  std::string openblas_core;            // the kernels it picked
  bool openblas_shares_openmp = false;  // one thread pool with everything else
  std::string compiler;
};
BackendInfo backend_info();

// Whether the processor computes in bf16 (AVX-512 with bf16, or AMX) and oneDNN may use it.
bool has_bf16();

}  // namespace az
