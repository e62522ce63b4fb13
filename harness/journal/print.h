// SPDX-License-Identifier: GPL-2.0-or-later
// A journal for people: one line per request, mark and rule action, in the order of their begin
// stamps.
#pragma once

#include <functional>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "journal/record.h"

namespace snapbed::journal {

// Puts the raw 512 bytes of a mark into words on one line; an empty function prints their hash.
using MarkText = std::function<std::string(std::span<const std::uint8_t>)>;

// One line of the print, and the stamp it is sorted by.
struct Line {
  Stamp begin = 0;
  std::string text;
};
// The lines of marks, rule actions, and requests of data, storage and scratch disks next to a
// stamp: at most `before` that begin up to it and `after` that begin later.
struct Around {
  std::size_t before = 0;
  std::size_t after = 0;
};
std::vector<Line> lines_around(const Journal& journal, Stamp stamp, Around around,
                               const MarkText& mark_text = {});

void print(const Journal& journal, std::ostream& out, const MarkText& mark_text = {});

}  // namespace snapbed::journal
