// SPDX-License-Identifier: GPL-2.0-or-later
// A text picture of what lay beside what: rows of intervals over one axis of stamps. The axis is
// not to scale; what has a smaller stamp stands further left, what has the same stands below.
#pragma once

#include <string>
#include <vector>

#include "journal/record.h"

namespace snapbed::model {

// One stroke of a row: glyphs at stamps, joined by `fill`. kNever stands beyond the right end.
struct Stroke {
  struct Point {
    journal::Stamp at = 0;
    char glyph = '|';
  };
  std::vector<Point> points;  // not empty, by stamp
  char fill = '-';
};

struct TimelineRow {
  std::string label;
  std::vector<Stroke> strokes;  // none: a heading
  std::string note;             // to the right of the picture
};

// Lines that end in newlines. Labels are cut to kTimelineLabel characters, the picture is at most
// kTimelineColumns wide; with more stamps than columns neighbours share one.
inline constexpr std::size_t kTimelineLabel = 25;
inline constexpr std::size_t kTimelineColumns = 40;
std::string draw(const std::vector<TimelineRow>& rows);

}  // namespace snapbed::model
