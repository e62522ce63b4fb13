// SPDX-License-Identifier: GPL-2.0-or-later
// What is still there of a module after it was unloaded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace snapbed::agent {

// Where a loaded module's code lies, from /proc/modules; {0, 0} when it is not loaded.
struct ModulePlace {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
};
ModulePlace module_place(const std::string& modules, const std::string& name);  // pure
ModulePlace loaded_place(const std::string& name);

struct Leftovers {
  std::uint64_t looked = 0;        // places looked at
  std::vector<std::string> found;  // in words
};
// Looks for slab caches, threads, nodes and entries of /sys and /proc that bear the module's name,
// and for each disk of `disks` whether anybody has it open. Waits a little for what goes by itself.
Leftovers leftovers(const std::string& module, const std::vector<std::string>& disks);

// Bytes that the kernel uses and that /proc/meminfo, of which `text` is, names no use for: pages
// that drivers have allocated as such. Some of it is free again and kept aside by the processors.
// Throws std::runtime_error when the text does not tell. Pure.
std::uint64_t unnamed_memory(const std::string& text);

// Bytes of the objects in use of the slab caches that a module without caches of its own allocates
// from: kmalloc's, and those of bios and their vectors. `text` is /proc/slabinfo, which counts
// objects as in use that a processor keeps aside. Pure.
std::uint64_t object_memory(const std::string& text);

// Memory that can be told to be in use by nobody else, in bytes.
struct UsedMemory {
  std::uint64_t pages = 0;    // unnamed_memory()
  std::uint64_t objects = 0;  // object_memory()
};
UsedMemory used_memory();  // of this machine, now

// By how much it has grown, and what of that is a leak.
struct MemoryGrowth {
  UsedMemory bytes;                // nothing where it has shrunk
  std::vector<std::string> found;  // in words
};
// Waits a little for what is given back by itself. `disks_in_memory`: brd or zram have disks, whose
// pages have no name either. A kernel with KASAN keeps objects for a while that were given back and
// counts them as in use; there they are no leak.
MemoryGrowth memory_growth(const UsedMemory& before, bool disks_in_memory);

// Memory that nobody points to, allocated by code at `place` or on behalf of filters.
struct LostMemory {
  std::uint64_t scans = 0;         // 0: the kernel has no kmemleak
  std::uint64_t foreign = 0;       // objects of others
  std::vector<std::string> found;  // in words
};
LostMemory lost_memory(const ModulePlace& place);
// The part of it that reads kmemleak's text. Pure.
void read_kmemleak(const std::string& text, const ModulePlace& place, LostMemory& lost);

}  // namespace snapbed::agent
