#include "experiments/progress.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include "core/base/clock.h"
#include "experiments/say.h"

namespace az::experiments {
namespace {

int terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool set_and_not_empty(const char* variable) {
  const char* value = std::getenv(variable);
  return value && *value;
}

std::string score_text(const char* name, const Score& score) {
  return fmt::format("  {} {:.4f} {} % (top-5 {} %)", name, score.loss(), percent(score.accuracy()),
                     percent(score.top5_accuracy()));
}

}  // namespace

std::string duration(double seconds) {
  if (!std::isfinite(seconds)) return "-:--";
  const auto s = int64_t(std::llround(std::max(seconds, 0.0)));
  return s < 3600 ? fmt::format("{}:{:02}", s / 60, s % 60) : fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

std::string epoch_line(const EpochSummary& summary) {
  const auto digits = int(std::to_string(summary.epochs).size());
  std::string line = fmt::format("epoch {:>{}}/{}  lr {:.4g}", summary.epoch, digits, summary.epochs, summary.lr);
  line += score_text("train", summary.train);
  if (summary.validation) line += score_text("validation", *summary.validation);
  if (summary.test) line += score_text("test", *summary.test);
  return line + fmt::format("  {:.0f} images/s  {} left", summary.images_per_second, duration(summary.seconds_left));
}

std::string progress_bar(const Progress::Step& now, int width) {
  const double done = double(now.batch) / double(std::max<int64_t>(now.batches, 1));
  const std::string front = fmt::format("epoch {}/{} [", now.epoch, now.epochs);
  const std::string back = fmt::format("] {:3.0f} %  loss {:.4f}  {:.0f} images/s  {} left", 100 * done, now.loss,
                                       now.images_per_second, duration(now.seconds_left));
  // One column stays free: a full line would wrap on some terminals.
  const int room = width - 1 - int(front.size() + back.size());
  if (room < 4)
    return fmt::format("{}/{} {:.0f} % {:.4f}", now.epoch, now.epochs, 100 * done, now.loss)
        .substr(0, size_t(std::max(width - 1, 0)));
  const int length = std::min(room, 40);
  const int filled = int(done * length);
  std::string bar(size_t(filled), '=');
  if (filled < length) bar += '>';
  bar.resize(size_t(length), ' ');
  return front + bar + back;
}

Progress::Progress() {
  const char* term = std::getenv("TERM");
  terminal_ = ::isatty(STDERR_FILENO) && !(term && std::string_view(term) == "dumb");
  color_ = terminal_ && !set_and_not_empty("NO_COLOR");
}

void Progress::clear() {
  if (drawn_) print_to_stderr("\r\x1b[K");
  drawn_ = false;
}

void Progress::step(const Step& now) {
  if (!terminal_) return;
  const double time = steady_seconds();
  if (time - drawn_at_ < 0.1 && now.batch < now.batches) return;
  drawn_at_ = time;
  const std::string bar = progress_bar(now, terminal_width());
  print_to_stderr(fmt::format("\r{}{}{}\x1b[K", color_ ? "\x1b[36m" : "", bar, color_ ? "\x1b[0m" : ""));
  drawn_ = true;
}

void Progress::epoch(const EpochSummary& summary) { say(epoch_line(summary)); }

void Progress::say(const std::string& line) {
  clear();
  print_to_stderr(line + "\n");
}

}  // namespace az::experiments
