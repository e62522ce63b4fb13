// SPDX-License-Identifier: GPL-2.0-or-later
// What the recording server is told: one JSON document (docs/journal-format.md shows it). Values
// only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "journal/record.h"

namespace snapbed::recorder {

// A rule's own limits: QEMU keeps 16 requests of a disk in flight, so more than 12 held would
// starve it.
inline constexpr std::uint32_t kHeldPerDiskLimit = 12;
inline constexpr std::uint32_t kHoldMillisecondsLimit = 600'000;

enum class Action : std::uint8_t { hold, delay, reorder, fail, tear, disconnect };
enum class HoldWhat : std::uint8_t { data, reply };
// What becomes of a write that a disconnect catches before its data moved. Its reply never comes.
enum class Fate : std::uint8_t { seeded, lost, torn, moved };

// Requests of a disk that touch [first, first + count); count 0 is the whole disk, ops 0 any
// operation.
struct RequestFilter {
  std::uint16_t disk = 0;
  std::uint8_t ops = 0;  // bit (1 << Op)
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

// A mark of the agent; kind 0 is none, op empty any step, cycle 0 any cycle.
struct MarkFilter {
  std::uint16_t kind = 0;
  std::string op;
  std::string label;  // empty: with any or none
  std::uint32_t cycle = 0;
};

// What ends a hold or a disconnect; whatever comes first.
struct Release {
  bool by_match = false;
  RequestFilter match;
  // Besides: the match must touch an aligned block of this many bytes that the held request
  // touches; 0: no matter.
  std::uint64_t same_chunk_bytes = 0;
  bool at_begin = false;  // at the arrival of the match; else when it has ended
  MarkFilter mark;
  std::uint32_t count = 0;      // so many later requests have arrived at the held request's disk
  std::uint32_t time_ms = 200;  // 0, of a disconnect: for good
};

struct Rule {
  Action action = Action::hold;
  RequestFilter match;
  std::uint32_t occurrence = 0;  // only the n-th match since the rule was armed; 0: every one
  double probability = 1;
  MarkFilter after;  // armed from the start when kind is 0; every such mark arms anew
  MarkFilter until;
  HoldWhat what = HoldWhat::data;
  Release release;
  std::uint32_t delay_ms = 0;
  std::uint32_t window = 0;   // of a reorder: so many requests are let go in another order
  std::uint64_t sectors = 0;  // of a tear: only the first so many move; 0: the seed says which
  Fate fate = Fate::seeded;   // of a disconnect
  std::int32_t error = 5;     // positive errno of `fail`; EIO is what reaches a virtio guest anyway
};

struct DiskConfig {
  journal::Disk disk;
  std::filesystem::path content;  // plan disks: a file with the disk's first bytes
  std::uint32_t logical_block = 512;
  bool discard = true;  // false: trim is not offered to clients
};

struct Config {
  std::uint64_t seed = 0;
  std::filesystem::path dir;  // exists; takes the journal and files.img
  std::string plan;           // the plan's text, for the journal
  std::vector<DiskConfig> disks;
  std::vector<Rule> rules;
  bool volatile_disks = false;  // a cut of the power loses what was not flushed
  int control_fd = -1;          // connected unix stream socket; -1: marks are answered at once
  std::uint64_t journal_limit_bytes = std::uint64_t{8} << 30;
};

// Throws std::runtime_error with one line that names the key and what is wrong with it. Unknown
// keys are errors.
Config parse_config(const std::string& text);
// Reads the file, and the plan file it names. Throws as above, or std::system_error.
Config load_config(const std::filesystem::path& path);

}  // namespace snapbed::recorder
