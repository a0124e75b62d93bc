#include "experiments/flame.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

namespace az::experiments {
namespace {

constexpr std::array colors = {"#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#76b7b2", "#edc948", "#9c755f"};
constexpr double width = 1200, margin = 10, row = 20, letter = 6.7;  // pixels

// The code point at text[i], and i moved past it; the replacement character for a byte that is not UTF-8.
uint32_t next_code_point(const std::string& text, size_t& i) {
  constexpr uint32_t replacement = 0xfffd;
  const auto byte = [&](size_t at) { return at < text.size() ? uint8_t(text[at]) : uint8_t(0); };
  const uint8_t first = byte(i++);
  const int more = first < 0x80                    ? 0
                   : first >= 0xc2 && first < 0xe0 ? 1
                   : first >= 0xe0 && first < 0xf0 ? 2
                   : first >= 0xf0 && first < 0xf5 ? 3
                                                   : -1;
  if (more < 0) return replacement;
  uint32_t code = more ? first & (0x3f >> more) : first;
  for (int k = 0; k < more; ++k) {
    if ((byte(i + size_t(k)) & 0xc0) != 0x80) return replacement;
    code = code << 6 | (byte(i + size_t(k)) & 0x3f);
  }
  i += size_t(more);
  return code;
}

// Text as XML holds it: markup and everything beyond ASCII as references; what XML 1.0 cannot say as the replacement character.
std::string xml(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    uint32_t code = next_code_point(text, i);
    if (code < 0x20 || (code >= 0xd800 && code < 0xe000) || (code & 0xfffe) == 0xfffe || code > 0x10ffff) code = 0xfffd;
    const bool harmless = code < 0x7f && code != '<' && code != '>' && code != '&' && code != '"' && code != '\'';
    result += harmless ? std::string(1, char(code)) : fmt::format("&#{};", code);
  }
  return result;
}

// A box of the picture: the whole step, a phase, a module or, without children, an op.
struct Frame {
  std::string label, place;
  std::string color;
  double ms = 0;
  std::vector<Frame> inside = {};

  Frame& at(const std::string& name, const std::string& name_place, const std::string& fill) {
    for (Frame& frame : inside) {
      if (frame.label == name && frame.color == fill) return frame;
    }
    return inside.emplace_back(Frame{name, name_place, fill});
  }
  size_t depth() const {
    size_t deepest = 0;
    for (const Frame& frame : inside) deepest = std::max(deepest, frame.depth());
    return deepest + 1;
  }
};

const char* tint(Phase phase) {
  switch (phase) {
    case Phase::data: return "#e4dcf1";
    case Phase::forward: return "#d6e6f5";
    case Phase::backward: return "#fbe1cc";
    case Phase::optimizer: return "#d8eed6";
    case Phase::other: break;
  }
  return "#e8e8e8";
}

struct Op {
  std::string name;
  double ms = 0;
  std::string color = {};
};

// The ops by the time they take, each with a colour while there are any.
std::vector<Op> ops_of(const BenchReport& report) {
  std::vector<Op> ops;
  for (const BenchReport::Part& part : report.parts) {
    auto found = std::find_if(ops.begin(), ops.end(), [&](const Op& op) { return op.name == part.op; });
    if (found == ops.end()) found = ops.insert(ops.end(), {part.op});
    found->ms += part.ms;
  }
  std::stable_sort(ops.begin(), ops.end(), [](const Op& a, const Op& b) { return a.ms > b.ms; });
  for (size_t i = 0; i < ops.size(); ++i) ops[i].color = i < colors.size() ? colors[i] : "#bab0ac";
  return ops;
}

Frame frames_of(const BenchReport& report, const std::vector<Op>& ops) {
  Frame step{"step", "", "#cccccc"};
  for (const BenchReport::Part& part : report.parts) {
    const std::string phase = name_of(part.phase);
    std::vector<Frame*> path = {&step, &step.at(phase, phase, tint(part.phase))};
    for (size_t begin = 0; begin < part.scope.size();) {
      const size_t end = std::min(part.scope.find('.', begin), part.scope.size());
      path.push_back(
          &path.back()->at(part.scope.substr(begin, end - begin), phase + ", " + part.scope.substr(0, end), tint(part.phase)));
      begin = end + 1;
    }
    const auto op = std::find_if(ops.begin(), ops.end(), [&](const Op& o) { return o.name == part.op; });
    path.push_back(
        &path.back()->at(part.op, phase + ", " + (part.scope.empty() ? "" : part.scope + ": ") + part.op, op->color));
    for (Frame* frame : path) frame->ms += part.ms;
  }
  return step;
}

std::string shortened(const std::string& label, double pixels) {
  const auto room = size_t(std::max(0.0, (pixels - 4) / letter));
  if (label.size() <= room) return label;
  return room < 4 ? "" : label.substr(0, room - 2) + "..";
}

void draw(const Frame& frame, double x, double y, double total, std::string& svg) {
  const double pixels = (width - 2 * margin) * frame.ms / total;
  if (pixels < 0.1) return;
  const std::string figures = fmt::format("{:.3f} ms, {:.1f} %", frame.ms, 100 * frame.ms / total);
  svg += fmt::format(R"(<g><title>{}: {}</title><rect x="{:.2f}" y="{}" width="{:.2f}" height="{}" fill="{}"/>)",
                     xml(frame.place.empty() ? frame.label : frame.place), figures, x, y, std::max(0.1, pixels - 0.5), row - 1,
                     frame.color);
  const std::string label = shortened(frame.label, pixels), longer = frame.label + " " + figures;
  const std::string shown = shortened(longer, pixels) == longer ? longer : label;
  if (!shown.empty()) svg += fmt::format(R"(<text x="{:.2f}" y="{}">{}</text>)", x + 3, y + 14, xml(shown));
  svg += "</g>\n";
  for (const Frame& inner : frame.inside) {
    draw(inner, x, y + row, total, svg);
    x += (width - 2 * margin) * inner.ms / total;
  }
}

// The ops that have a colour of their own, and the others together.
std::vector<Op> legend_of(std::vector<Op> ops) {
  while (ops.size() > colors.size() + 1) {
    ops[ops.size() - 2] = {"others", ops[ops.size() - 2].ms + ops.back().ms, ops.back().color};
    ops.pop_back();
  }
  return ops;
}

}  // namespace

std::string flame_svg(const BenchReport& report) {
  constexpr size_t columns = 4;
  constexpr double top = 34, column = (width - 2 * margin) / columns;
  const std::vector<Op> ops = ops_of(report), legend = legend_of(ops);
  const Frame step = frames_of(report, ops);
  const double below = top + row * double(step.depth()) + 12;
  const double height = below + row * double((legend.size() + columns - 1) / columns) + margin;
  const std::string title =
      fmt::format("{}: {} step of {} images, {}, {} thread{}", report.name, report.evaluation ? "an evaluation" : "a training",
                  report.images_per_step, report.precision, report.threads, report.threads == 1 ? "" : "s");
  std::string svg = fmt::format(R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}">
{4}
<style>text{{font:11px monospace}}.title{{font-size:14px}}g:hover>rect{{stroke:#000}}</style>
<rect width="{0}" height="{1}" fill="#fff"/>
<text class="title" x="{2}" y="22">{3}</text>
)",
                                width, height, margin, xml(title), flame_mark);
  draw(step, margin, top, step.ms, svg);
  for (size_t i = 0; i < legend.size(); ++i) {
    const Op& op = legend[i];
    const double x = margin + double(i % columns) * column, y = below + row * double(i / columns);
    svg += fmt::format(R"(<rect x="{}" y="{}" width="12" height="12" fill="{}"/>)", x, y, op.color);
    svg += fmt::format("<text x=\"{}\" y=\"{}\">{} {:.2f} ms, {:.1f} %</text>\n", x + 17, y + 10, xml(op.name), op.ms,
                       100 * op.ms / step.ms);
  }
  return svg + "</svg>\n";
}

}  // namespace az::experiments
