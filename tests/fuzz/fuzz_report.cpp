#include <cstdint>
#include <cstdlib>
#include <fstream>

#include "core/config/json_document.h"
#include "experiments/report/report.h"
#include "tests/data/temporary_folder.h"

namespace {

// A new file each time: ext4 writes one that is emptied and filled again to the disk as it is closed, which took most of the
// time.
void write(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::remove(path);
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace

// Of a run with any bytes in its files there is a report, and the data in it is JSON that does not end the element around it:
// config.json, lesson.json, measurements.json, environment.json and invariance.json are a line each, metrics.jsonl is the rest.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TemporaryFolder temporary;
  const std::filesystem::path& folder = temporary.path;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (const char* name : {"config.json", "lesson.json", "measurements.json", "environment.json", "invariance.json"}) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    write(folder / name, rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  write(folder / "metrics.jsonl", rest);
  const std::string page = az::experiments::report_html({folder.string()});
  const std::string start = R"(<script type="application/json" id="data">)";
  const size_t from = page.find(start) + start.size(), to = page.find('<', from);
  if (page.compare(to, 9, "</script>") != 0) std::abort();
  az::config::parse_text(page.substr(from, to - from), "data");
  return 0;
}
