// SPDX-License-Identifier: GPL-2.0-or-later
// What a disk holds at an instant, as the hash of every sector. States are copied at every TAKE, so
// pages are shared until one of the owners writes; a sector never written costs nothing. Values;
// one thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "journal/record.h"

namespace snapbed::model {

// True for write, trim and zero: what makes a new version of a sector.
bool changes_data(journal::Op op);
// Hash of 512 zero bytes: what trim and zero leave behind.
std::uint64_t zero_hash();

// Hashes of what a disk held before its first write; computed once per 64 sectors asked for.
class InitialHashes {
 public:
  InitialHashes(std::uint64_t seed, const journal::Disk& disk);
  std::uint64_t at(std::uint64_t sector) const;

 private:
  static constexpr std::uint64_t kPageSectors = 64;
  using Page = std::array<std::uint64_t, kPageSectors>;
  const Page& page(std::uint64_t index) const;

  bool seeded_;
  std::uint64_t key_;
  mutable std::map<std::uint64_t, Page> pages_;
  mutable const Page* last_ = nullptr;
  mutable std::uint64_t last_index_ = 0;
};

class DiskState {
 public:
  explicit DiskState(std::shared_ptr<const InitialHashes> initial) : initial_(std::move(initial)) {}
  // Applies a request that moved; anything but write, trim and zero changes nothing.
  void apply(const journal::Request& request, const journal::Journal& journal);
  std::uint64_t at(std::uint64_t sector) const;
  // Offset of the first sector from `from` on at which the range [first, first + expected.size())
  // differs from `expected`, or expected.size() when none does.
  std::uint64_t first_difference(std::uint64_t first, std::span<const std::uint64_t> expected,
                                 std::uint64_t from) const;
  const InitialHashes& initial() const { return *initial_; }

 private:
  static constexpr std::uint64_t kPageSectors = 512;
  struct Page {
    std::array<std::uint64_t, kPageSectors> hash;
    std::array<std::uint64_t, kPageSectors / 64> written{};
    bool has(std::uint64_t offset) const { return (written[offset / 64] >> (offset % 64)) & 1; }
  };
  Page& own(std::uint64_t index);

  std::shared_ptr<const InitialHashes> initial_;
  std::map<std::uint64_t, std::shared_ptr<Page>> pages_;
};

}  // namespace snapbed::model
