// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/experiments.h"

#include <algorithm>
#include <array>
#include <set>
#include <stdexcept>

#include "base/random.h"

namespace snapbed::bench {
namespace {

constexpr std::array kSystems = {System::bare, System::tracked, System::blksnap,
                                 System::dm4,  System::dm64,    System::dm4_kept};

Phase write(std::string row, std::uint32_t depth, std::uint32_t writers, std::uint64_t operations) {
  Phase phase;
  phase.row = std::move(row);
  phase.depth = depth;
  phase.writers = writers;
  phase.operations = operations;
  phase.counted_operations = 4000;
  return phase;
}

// The whole image, 256 KiB at a time.
Phase read_image(std::string row, std::uint32_t depth) {
  Phase phase;
  phase.row = std::move(row);
  phase.write = false;
  phase.image = true;
  phase.pattern = Pattern::sequential;
  phase.block_bytes = 256 << 10;
  phase.depth = depth;
  phase.counted_operations = 512;
  return phase;
}

Phase first_touch() {
  Phase phase;
  phase.row = "first-touch";
  phase.pattern = Pattern::one_of_64;
  phase.counted_operations = 4000;
  return phase;
}

// 1 MiB written, 1 MiB not.
Phase overwrite_half() {
  Phase phase;
  phase.pattern = Pattern::even_runs;
  phase.block_bytes = 1 << 20;
  phase.depth = 4;
  return phase;
}

std::vector<Experiment> make_experiments() {
  using enum System;
  const std::vector<System> snapshots = {bare, blksnap, dm4, dm64};
  return {
      {"write",
       "origin",
       {bare, tracked},
       {write("write-1x1", 1, 1, 4000), write("write-1x32", 32, 1, 8000),
        write("write-2x1", 1, 2, 8000), write("write-2x32", 32, 2, 16000)}},
      {"first-touch", "wide", {bare, blksnap, dm4, dm64, dm4_kept}, {first_touch()}},
      {"mixed",
       "origin",
       snapshots,
       {write("mixed", 32, 1, 20000), write("rewrite", 32, 1, 20000),
        read_image("read-random", 32)}},
      {"rewrite-depth-1",
       "origin",
       {bare, blksnap},
       {write("", 32, 1, 4000), write("rewrite-1x1", 1, 1, 4000)}},
      {"read-clean",
       "origin",
       snapshots,
       {read_image("read-clean", 32), read_image("read-clean-1", 1)}},
      {"read-half",
       "origin",
       snapshots,
       {overwrite_half(), read_image("read-half", 32), read_image("read-half-1", 1)}},
  };
}

std::vector<std::uint64_t> blocks(const Phase& phase, std::uint64_t device_bytes,
                                  std::uint32_t round, std::uint64_t operations) {
  const std::uint64_t all = device_bytes / phase.block_bytes;
  base::Random random(phase.seed * 1'000'003 + round);
  std::vector<std::uint64_t> list;
  switch (phase.pattern) {
    case Pattern::random:
      while (list.size() < operations) list.push_back(random.below(all));
      break;
    case Pattern::one_of_64:
      for (std::uint64_t block = 0; block < all; block += 64) list.push_back(block);
      random.shuffle(list);
      break;
    case Pattern::sequential:
      for (std::uint64_t block = 0; block < all; ++block) list.push_back(block);
      break;
    case Pattern::even_runs:
      for (std::uint64_t block = 0; block < all; block += 2) list.push_back(block);
      break;
  }
  if (operations > 0 && list.size() > operations) list.resize(operations);
  return list;
}

}  // namespace

const char* to_string(System system) {
  switch (system) {
    case System::bare:
      return "bare";
    case System::tracked:
      return "tracked";
    case System::blksnap:
      return "blksnap";
    case System::dm4:
      return "dm-snapshot-4k";
    case System::dm64:
      return "dm-snapshot-64k";
    case System::dm4_kept:
      return "dm-snapshot-4k-P";
  }
  return "?";
}

System system_from(const std::string& text) {
  for (const System system : kSystems)
    if (text == to_string(system)) return system;
  throw std::runtime_error("no system is called '" + text + "'");
}

const std::vector<Experiment>& experiments() {
  static const std::vector<Experiment> all = make_experiments();
  return all;
}

std::string wrong_names(const std::string& only) {
  std::string known = kMemoryName;
  std::set<std::string> names = {kMemoryName};
  for (const Experiment& experiment : experiments()) {
    names.insert(experiment.name);
    known += ", " + experiment.name;
  }
  std::size_t begin = 0;
  while (begin <= only.size()) {
    const std::size_t end = std::min(only.find(',', begin), only.size());
    const std::string name = only.substr(begin, end - begin);
    if (!names.contains(name))
      return "no experiment is called '" + name + "'; expected names between commas of " + known;
    begin = end + 1;
  }
  return "";
}

std::vector<std::vector<std::uint64_t>> offsets(const Phase& phase, std::uint64_t device_bytes,
                                                std::uint32_t round, bool counted,
                                                std::uint32_t divide) {
  std::uint64_t operations =
      counted && phase.counted_operations > 0 ? phase.counted_operations : phase.operations;
  // What only prepares is not shortened: what it prepares for may look at all of it.
  if (divide > 1 && !phase.row.empty()) {
    if (operations == 0) operations = blocks(phase, device_bytes, round, 0).size();
    operations = std::max<std::uint64_t>(operations / divide, 1);
  }
  std::vector<std::vector<std::uint64_t>> dealt(phase.writers);
  std::size_t next = 0;
  for (const std::uint64_t block : blocks(phase, device_bytes, round, operations))
    dealt[next++ % phase.writers].push_back(block * phase.block_bytes);
  return dealt;
}

std::vector<System> rotated(std::vector<System> systems, std::uint32_t round) {
  std::rotate(systems.begin(), systems.begin() + round % systems.size(), systems.end());
  return systems;
}

}  // namespace snapbed::bench
