#include "experiments/machine.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "core/backend/info.h"
#include "core/backend/startup.h"
#include "core/base/ascii.h"
#include "core/base/control_groups.h"
#include "core/base/cores.h"
#include "core/base/threads.h"
#include "core/tensor/storage.h"

namespace az::experiments {
namespace {

bool has(const std::string& text, const char* word) { return text.find(word) != std::string::npos; }

Finding cache() {
  const double mib = double(::sysconf(_SC_LEVEL3_CACHE_SIZE)) / (1 << 20);
  return {"L3 cache", mib > 0 ? fmt::format("{:.0f} MiB", mib) : "unknown"};
}

Finding memory() {
  const double limit = double(memory_limit());
  const bool whole = limit >= double(::sysconf(_SC_PHYS_PAGES)) * double(::sysconf(_SC_PAGESIZE));
  const char* origin = granted_memory() <= limit ? " (control group)" : whole ? "" : " (ulimit)";
  return {"memory", fmt::format("{:.1f} GiB{}", limit / (1 << 30), origin)};
}

Finding threads() {
  const Cores available = cores();
  const int count = thread_count(), fitting = available.threads();
  const std::string origin = thread_count_origin();
  Finding finding{"threads", fmt::format("{} ({})", count, origin)};
  if (count > fitting) {
    finding.slower = fmt::format("{} threads ({}) take turns on {} core{}", count, origin, fitting, fitting == 1 ? "" : "s");
    finding.remedy = fmt::format("set it to {}, or leave it unset", fitting);
  } else if (count > available.granted) {
    finding.slower = fmt::format("training stands still part of the time ({})", origin);
  } else if (count == 1) {
    finding.slower = fmt::format("one thread does all the work ({})", origin);
  }
  return finding;
}

// The variables are those that OpenMP saw as it was loaded, unless the program changed them since: nothing of ours does.
Finding waiting() {
  const char* policy = std::getenv("OMP_WAIT_POLICY");
  const char* count = std::getenv("GOMP_SPINCOUNT");
  if (count) return {"waiting", fmt::format("GOMP_SPINCOUNT={}", count)};
  if (policy && to_lower(std::string(policy)) == "passive") return {"waiting", fmt::format("OMP_WAIT_POLICY={}", policy)};
  return {"waiting", policy ? fmt::format("OMP_WAIT_POLICY={}", policy) : "as OpenMP does by default",
          "a second busy program costs several milliseconds at each barrier",
          "unset OMP_WAIT_POLICY and set GOMP_SPINCOUNT=10000"};
}

Finding onednn(const BackendInfo& info) {
  Finding finding{"oneDNN", fmt::format("{}, dispatches to {}", info.onednn, info.onednn_isa)};
  if (has(info.onednn_isa, "AVX2")) {
    finding.slower = "without AVX-512, convolutions take about twice as long";
  } else if (info.onednn_isa == "AVX" || info.onednn_isa == "SSE4.1") {
    finding.slower = fmt::format("with no more than {}, convolutions take several times as long as with AVX2", info.onednn_isa);
  }
  if (!finding.slower.empty() && std::getenv("ONEDNN_MAX_CPU_ISA")) finding.remedy = "unset ONEDNN_MAX_CPU_ISA";
  return finding;
}

Finding bf16(const BackendInfo& info) {
  if (has_bf16()) return {"bf16", has(info.onednn_isa, "AMX") ? "native, by AMX and AVX-512" : "native, by AVX-512"};
  return {"bf16", "not native: train.precision bf16 runs in f32"};
}

Finding openblas(const BackendInfo& info) {
  const char* given = std::getenv("OPENBLAS_CORETYPE");
  const std::string by = given ? fmt::format(" (OPENBLAS_CORETYPE={})", given) : "";
  Finding finding{"OpenBLAS", fmt::format("{}, {} kernels{}", info.openblas, info.openblas_core, by)};
  for (const StartupVariable& variable : startup_variables()) {
    if (variable.name != "OPENBLAS_CORETYPE") continue;
    finding.slower = "these kernels use half of the processor's vectors or less, which slows down products in f64";
    finding.remedy = fmt::format("set {}={}", variable.name, variable.value);
  }
  return finding;
}

Finding pool(const BackendInfo& info) {
  if (info.openblas_shares_openmp) return {"thread pool", "one, OpenMP's, for oneDNN, OpenBLAS and our loops"};
  return {"thread pool", "OpenBLAS has one of its own", "two pools of threads contend for the cores",
          "install libopenblas-openmp-dev, and build again"};
}

}  // namespace

std::vector<Finding> examine_machine() {
  const BackendInfo info = backend_info();
  return {{"processor", info.processor},
          {"instruction sets", info.instruction_sets},
          bf16(info),
          cache(),
          memory(),
          threads(),
          pool(info),
          waiting(),
          onednn(info),
          openblas(info),
          {"compiler", info.compiler}};
}

}  // namespace az::experiments
