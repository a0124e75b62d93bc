#include "data/synthetic.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/base/threads.h"

namespace az::data {
namespace {

constexpr int side = 32, outlines = 5, textures = 2, classes = outlines * textures;
using Colour = std::array<double, 3>;

struct Point {
  double x, y;
};

double length(double x, double y) { return std::sqrt(x * x + y * y); }

double box_distance(Point p, double half_width, double half_height) {
  double dx = std::abs(p.x) - half_width, dy = std::abs(p.y) - half_height;
  return length(std::max(dx, 0.0), std::max(dy, 0.0)) + std::min(std::max(dx, dy), 0.0);
}

// Signed distance from p to the outline, in pixels, negative inside; the outlines cover similar areas for one radius.
double distance(int outline, Point p, double radius) {
  switch (outline) {
    case 0: return length(p.x, p.y) - radius;
    case 1: return box_distance(p, 0.9 * radius, 0.9 * radius);
    case 2: {  // the farthest of three edges, each 0.72 radius from the centre
      double slant = std::numbers::sqrt3 / 2 * std::abs(p.x) - p.y / 2;
      return std::max(slant, p.y) - 0.72 * radius;
    }
    case 3: return std::abs(length(p.x, p.y) - 0.85 * radius) - 0.33 * radius;
    default: return std::min(box_distance(p, 1.2 * radius, 0.42 * radius), box_distance(p, 0.42 * radius, 1.2 * radius));
  }
}

struct Turn {
  explicit Turn(double angle) : cos(std::cos(angle)), sin(std::sin(angle)) {}
  Point operator()(Point p) const { return {cos * p.x + sin * p.y, cos * p.y - sin * p.x}; }
  double cos, sin;
};

// About normal, mean 0 and variance 1: the sum of four random bytes, a quarter of the cost of Philox::normal.
double noise(Philox& random) {
  uint32_t bits = random.next_u32();
  int sum = int(bits >> 24) + int(bits >> 16 & 255) + int(bits >> 8 & 255) + int(bits & 255);
  return (sum - 510) / 147.8;
}

Colour random_colour(Philox& random) { return {random.uniform(), random.uniform(), random.uniform()}; }

double difference(const Colour& a, const Colour& b) { return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]); }

// A colour at least `apart` from both others.
Colour contrasting(const Colour& a, const Colour& b, double apart, Philox& random) {
  for (;;) {
    Colour colour = random_colour(random);
    if (difference(colour, a) >= apart && difference(colour, b) >= apart) return colour;
  }
}

// A wave of the given period turned into soft-edged bands: -1 to 1.
double band(double position, double period) {
  return std::clamp(2.5 * std::sin(2 * std::numbers::pi * position / period), -1.0, 1.0);
}

void draw(int label, Philox& random, uint8_t* image) {
  double radius = random.uniform(9, 13);
  Turn turn(random.uniform(0, 2 * std::numbers::pi)), grain(random.uniform(0, std::numbers::pi));
  Point centre = {random.uniform(radius, side - radius), random.uniform(radius, side - radius)};
  double period = random.uniform(4, 6);
  Point phase = {random.uniform(0, period), random.uniform(0, period)};
  Colour ground = random_colour(random), far_ground = ground;
  for (double& part : far_ground) part = std::clamp(part + random.uniform(-0.3, 0.3), 0.0, 1.0);
  Colour first = contrasting(ground, far_ground, 0.5, random), second = contrasting(first, ground, 0.7, random);
  Turn slope(random.uniform(0, 2 * std::numbers::pi));
  double roughness = random.uniform(0.01, 0.06);

  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      Point p = {x + 0.5 - centre.x, y + 0.5 - centre.y};
      double cover = std::clamp(0.5 - distance(label % outlines, turn(p), radius), 0.0, 1.0), wave = 0;
      if (cover > 0) {
        Point q = grain(p);
        wave = band(q.x + phase.x, period);
        if (label / outlines == 1) wave *= band(q.y + phase.y, period);
      }
      double mix = (wave + 1) / 2, along = slope({x - side / 2.0, y - side / 2.0}).x / (1.5 * side) + 0.5;
      for (size_t channel = 0; channel < 3; ++channel) {
        double object = first[channel] + mix * (second[channel] - first[channel]);
        double behind = ground[channel] + along * (far_ground[channel] - ground[channel]);
        double value = behind + cover * (object - behind) + roughness * noise(random);
        image[(int(channel) * side + y) * side + x] = uint8_t(255 * std::clamp(value, 0.0, 1.0) + 0.5);
      }
    }
  }
}

}  // namespace

Shapes::Shapes(const ShapesOptions& options)
    : Dataset([&] {
        if (options.count < 0) fail("shapes: {} images", options.count);
        int64_t count = options.count ? options.count : options.train ? 10000 : 2000;
        DatasetContent content{
            .image_shape = {3, side, side}, .pixels = {}, .labels = {}, .class_count = classes, .class_names = {}};
        for (const char* texture : {"striped ", "checked "}) {
          for (const char* outline : {"disc", "square", "triangle", "ring", "cross"}) {
            content.class_names.push_back(std::string(texture) + outline);
          }
        }
        content.pixels.resize(size_t(count * content.image_shape.numel()));
        content.labels.resize(size_t(count));
        parallel_for(count, 64, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            Philox random(options.seed, options.train ? 0 : 1, uint64_t(i));
            content.labels[size_t(i)] = i % classes;
            draw(int(i % classes), random, content.pixels.data() + i * content.image_shape.numel());
          }
        });
        return content;
      }()) {}

}  // namespace az::data
