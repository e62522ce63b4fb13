// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace snapbed::model {

using journal::Stamp;

namespace {

// Where each stamp that occurs stands: evenly spread, in order.
class Axis {
 public:
  explicit Axis(const std::vector<TimelineRow>& rows) {
    std::set<Stamp> seen;
    for (const TimelineRow& row : rows) {
      for (const Stroke& stroke : row.strokes) {
        for (const Stroke::Point& point : stroke.points) seen.insert(point.at);
      }
    }
    stamps_.assign(seen.begin(), seen.end());
  }

  std::size_t column(Stamp stamp) const {
    const auto found = std::lower_bound(stamps_.begin(), stamps_.end(), stamp);
    const auto rank = static_cast<std::size_t>(found - stamps_.begin());
    if (stamps_.size() < 2) return 0;
    // Few stamps are not torn apart: four columns each are enough to see the strokes.
    constexpr std::size_t kWidest = 4;
    const std::size_t width = std::min(kTimelineColumns - 1, (stamps_.size() - 1) * kWidest);
    return rank * width / (stamps_.size() - 1);
  }

 private:
  std::vector<Stamp> stamps_;
};

void put(std::string& line, const Stroke& stroke, const Axis& axis) {
  const std::size_t first = axis.column(stroke.points.front().at);
  const std::size_t last = axis.column(stroke.points.back().at);
  for (std::size_t i = first; i <= last; ++i) line[i] = stroke.fill;
  for (const Stroke::Point& point : stroke.points) line[axis.column(point.at)] = point.glyph;
}

}  // namespace

std::string draw(const std::vector<TimelineRow>& rows) {
  const Axis axis(rows);
  std::string out;
  for (const TimelineRow& row : rows) {
    std::string line(kTimelineColumns, ' ');
    for (const Stroke& stroke : row.strokes) put(line, stroke, axis);
    std::string text =
        fmt::format("{:<{}.{}} {}  {}", row.label, kTimelineLabel, kTimelineLabel, line, row.note);
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  }
  return out;
}

}  // namespace snapbed::model
