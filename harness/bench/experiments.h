// SPDX-License-Identifier: GPL-2.0-or-later
// What is measured: experiments, each a list of phases that every one of its systems goes through
// in every round, in an order that rotates. Values only; the guest carries them out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace snapbed::bench {

// What stands between the load and the disk.
enum class System : std::uint8_t {
  bare,      // nothing: the module is loaded, the device not tracked
  tracked,   // change tracking, no snapshot
  blksnap,   // a snapshot is held
  dm4,       // dm-snapshot, chunks of 4 KiB, not persistent
  dm64,      // dm-snapshot, chunks of 64 KiB, not persistent
  dm4_kept,  // dm-snapshot, chunks of 4 KiB, persistent
};
const char* to_string(System system);
// Throws std::runtime_error naming the text.
System system_from(const std::string& text);

enum class Pattern : std::uint8_t {
  random,      // any block, also twice
  one_of_64,   // the first block of every 64, each once, shuffled
  sequential,  // from the beginning on
  even_runs,   // every other block, from the beginning on
};

struct Phase {
  std::string row;  // the name of what is measured; empty: done, not measured
  bool write = true;
  Pattern pattern = Pattern::random;
  std::uint32_t block_bytes = 4096;
  std::uint32_t depth = 32;
  std::uint32_t writers = 1;             // threads; the blocks are dealt out among them
  std::uint64_t operations = 0;          // 0: as many as the pattern has on the device
  std::uint64_t counted_operations = 0;  // where instructions are counted; 0: as above
  std::uint64_t seed = 1;  // phases with one seed and pattern touch the same blocks in one order
  bool image = false;      // reads the snapshot's image, and where there is none the device
};

struct Experiment {
  std::string name;
  std::string disk;  // "origin" or "wide"
  std::vector<System> systems;
  std::vector<Phase> phases;
  bool counted = true;  // also where instructions are counted
};

inline constexpr std::uint64_t kOriginBytes = std::uint64_t{512} << 20;  // all of it written before
inline constexpr std::uint64_t kWideBytes = std::uint64_t{8} << 30;      // sparse
inline constexpr std::uint64_t kHugeBytes = std::uint64_t{16} << 40;     // sparse
inline constexpr std::uint64_t kStoreBytes = std::uint64_t{3} << 30;     // storage, COW device
inline constexpr std::uint32_t kUnitBytes = 256 << 10;  // new to every system: its largest chunk

const std::vector<Experiment>& experiments();

// What may be asked for besides the experiments: the memory a snapshot takes.
inline constexpr const char* kMemoryName = "memory";

// `only` is names of experiments, or kMemoryName, between commas. One line that says what is wrong
// with it; empty: nothing. Pure.
std::string wrong_names(const std::string& only);

// Blocks of the phase as byte offsets, one list per writer. `divide` (>= 1) makes it so many times
// shorter. Pure.
std::vector<std::vector<std::uint64_t>> offsets(const Phase& phase, std::uint64_t device_bytes,
                                                std::uint32_t round, bool counted,
                                                std::uint32_t divide);

// `systems` turned left by `round`: nobody is always first.
std::vector<System> rotated(std::vector<System> systems, std::uint32_t round);

}  // namespace snapbed::bench
