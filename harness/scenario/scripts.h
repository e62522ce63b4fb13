// SPDX-License-Identifier: GPL-2.0-or-later
// Short scripts, exhaustively: every sequence of up to three operations of one actor, and every
// pair of two-operation sequences of two actors side by side, on one small disk each; sixteen of
// them side by side make a cycle of a scenario. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace snapbed::scenario {

enum class Act : std::uint8_t {
  write_inside,
  write_across,
  discard,
  zero,
  flush,
  take,
  destroy,
  append,
  read_image,
  write_image,
  mark_dirty,
  read_map,
};
inline constexpr std::size_t kActs = 12;

// How the disk stands when the script begins.
enum class Start : std::uint8_t {
  tracked,  // a snapshot was created and has storage, nothing is taken
  held,     // it was taken
};

struct Script {
  Start start = Start::tracked;
  std::vector<std::vector<Act>> actors;  // one of 1..3 acts, or two of two
};

// All of them, always in the same order. Actors that would only change names are there once. From
// `tracked` scripts without a take are left out: nothing would be there to be judged.
const std::vector<Script>& all_scripts();

// "held | take write-inside | discard flush".
std::string to_string(const Script& script);

struct Geometry {
  std::string name;
  std::uint32_t tracking_shift = 0;  // log2 of a map's block in bytes
  std::uint32_t chunk_shift = 0;     // log2 of a chunk in bytes
};
const std::vector<Geometry>& geometries();

inline constexpr std::size_t kScriptsPerCycle = 16;

// A scenario file that runs these scripts (indexes into all_scripts()), kScriptsPerCycle a cycle,
// script i of a cycle on disk "d<i>". Throws std::out_of_range for an index that is none.
std::string scripts_toml(const Geometry& geometry, std::span<const std::size_t> scripts);

// What a step of two actors may return: computed by letting a model of one disk's snapshots take
// every interleaving. For tests.
struct Call {
  std::string op;        // create, append, take, collect_images, copy_image, ... as in plan.h
  std::string snapshot;  // its name, where the call has one
};
std::vector<std::vector<std::vector<int>>> possible_results(
    Start start, const std::vector<std::vector<Call>>& actors);

}  // namespace snapbed::scenario
