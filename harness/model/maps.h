// SPDX-License-Identifier: GPL-2.0-or-later
// A change map as it was read and as the history allows it: for every block the least byte that it
// must hold and the greatest that it may hold.
#pragma once

#include <optional>
#include <vector>

#include "model/facts.h"
#include "model/writers.h"

namespace snapbed::model {

struct Geometry {
  std::uint64_t blk_size = 0;  // bytes
  std::uint64_t blk_count = 0;
  std::uint64_t capacity = 0;  // bytes
};
// By the formulas of docs/interface.md from the module's parameters.
Geometry map_geometry(const plan::Plan& plan, std::uint64_t sectors);

struct MapBounds {
  std::vector<std::uint8_t> must;  // least byte
  std::vector<std::uint8_t> may;   // greatest byte
};
// For the map of snapshot `index` as it was read in `read`.
MapBounds map_bounds(const Facts& facts, std::size_t index, const MapRead& read,
                     const Geometry& geometry, const std::vector<Writer>& writers);

// The bytes of a map read. Throws BrokenRecord when the files disk does not hold them.
std::vector<std::uint8_t> map_bytes(const Facts& facts, const MapRead& read);

}  // namespace snapbed::model
