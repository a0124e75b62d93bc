// azimuth doctor
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include "core/backend/info.h"
#include "core/backend/threads.h"
#include "core/backend/tuning.h"
#include "core/config/json_document.h"
#include "data/catalog.h"
#include "experiments/cli/commands.h"
#include "experiments/files.h"

namespace az::cli {
namespace {

struct Finding {
  std::string subject, state;
  std::string remedy = {};  // empty: ok
};

bool has(const std::string& text, const char* word) { return text.find(word) != std::string::npos; }

// The choices of convolution algorithms that are remembered for this machine.
Finding tuning() {
  const std::string file = tuning_file();
  if (!std::filesystem::exists(file)) return {"algorithms", "none timed yet"};
  try {
    const size_t count = algorithms_from_json(experiments::read_file(file)).size();
    return {"algorithms", fmt::format("{} timed, in {}", count, file)};
  } catch (const Error&) {
    return {"algorithms", file, "damaged: delete it"};
  }
}

std::vector<Finding> examine() {
  const BackendInfo info = backend_info();
  const auto cores = int(std::thread::hardware_concurrency());
  const char* waiting = std::getenv("OMP_WAIT_POLICY");
  std::vector<Finding> findings = {
      {"processor", info.processor},
      {"instruction sets", info.instruction_sets, has(info.instruction_sets, "avx2") ? "" : "without AVX2 training will be slow"},
      {"threads", fmt::format("{} of {} cores", thread_count(), cores),
       thread_count() > cores ? fmt::format("more threads than cores: set train.threads or OMP_NUM_THREADS to {}", cores) : ""},
      {"waiting", waiting ? waiting : "default",
       waiting && has(waiting, "passive") ? "" : "set OMP_WAIT_POLICY=passive: busy waiting slows other programs and this one"},
      {"oneDNN", fmt::format("{}, dispatches to {}", info.onednn, info.onednn_isa)},
      {"OpenBLAS", fmt::format("{}, {} kernels", info.openblas, info.openblas_core),
       info.openblas_shares_openmp ? "" : "not the OpenMP build: install libopenblas-openmp-dev, and build again"},
      {"compiler", info.compiler},
  };
  const auto cache = data::datasets_folder();
  auto existing = cache;
  while (!std::filesystem::exists(existing) && existing.has_parent_path()) existing = existing.parent_path();
  findings.push_back({"cache", cache.string(),
                      ::access(existing.c_str(), W_OK) == 0 ? "" : "cannot write there: set XDG_CACHE_HOME to a folder you own"});
  findings.push_back(tuning());
  for (const data::CatalogEntry& entry : data::catalog()) {
    const bool here = std::filesystem::exists(cache / entry.folder);
    findings.push_back({entry.name, here ? (cache / entry.folder).string() : "not here",
                        here ? "" : "get it with: azimuth data get " + entry.name});
  }
  return findings;
}

void doctor(bool json) {
  config::Value::Array all;
  for (const auto& [subject, state, remedy] : examine()) {
    if (!json)
      fmt::print("{:<17} {:<5} {}{}\n", subject, remedy.empty() ? "ok" : "do", state, remedy.empty() ? "" : "; " + remedy);
    all.emplace_back(config::Value::Object{{"subject", subject}, {"state", state}, {"ok", remedy.empty()}, {"remedy", remedy}});
  }
  if (json) fmt::print("{}\n", config::dump(all, 2));
}

}  // namespace

void add_doctor_command(CLI::App& app, Outcome&) {
  CLI::App* command = app.add_subcommand("doctor", "Examine the machine, the libraries and the data sets");
  CLI::Option* json = command->add_flag("--json")->description("print JSON");
  command->callback([=] { doctor(json->count() > 0); });
}

}  // namespace az::cli
