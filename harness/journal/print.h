// SPDX-License-Identifier: GPL-2.0-or-later
// A journal for people: one line per request, mark and rule action, in the order of their begin
// stamps.
#pragma once

#include <functional>
#include <iosfwd>
#include <span>
#include <string>

#include "journal/record.h"

namespace snapbed::journal {

// Puts the raw 512 bytes of a mark into words on one line; an empty function prints their hash.
using MarkText = std::function<std::string(std::span<const std::uint8_t>)>;

void print(const Journal& journal, std::ostream& out, const MarkText& mark_text = {});

}  // namespace snapbed::journal
