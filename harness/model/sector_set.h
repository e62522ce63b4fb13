// SPDX-License-Identifier: GPL-2.0-or-later
// A set of sectors that costs what was put in: 4096 sectors to a page of bits, pages made on
// demand, so that a hundred-terabyte disk with ten writes takes ten pages. Not thread safe; a
// value.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <unordered_map>

namespace snapbed::model {

class SectorSet {
 public:
  void add(std::uint64_t first, std::uint64_t count) {
    each_word(first, count, [&](std::uint64_t page, std::size_t word, std::uint64_t mask) {
      touch(page)[word] |= mask;
    });
  }
  void remove(std::uint64_t first, std::uint64_t count) {
    each_word(first, count, [&](std::uint64_t page, std::size_t word, std::uint64_t mask) {
      if (Page* bits = find(page)) (*bits)[word] &= ~mask;
    });
  }
  bool any(std::uint64_t first, std::uint64_t count) const {
    bool hit = false;
    each_word(first, count, [&](std::uint64_t page, std::size_t word, std::uint64_t mask) {
      const Page* bits = find(page);
      hit = hit || (bits != nullptr && ((*bits)[word] & mask) != 0);
    });
    return hit;
  }
  bool all(std::uint64_t first, std::uint64_t count) const {
    bool full = true;
    each_word(first, count, [&](std::uint64_t page, std::size_t word, std::uint64_t mask) {
      const Page* bits = find(page);
      full = full && bits != nullptr && ((*bits)[word] & mask) == mask;
    });
    return full;
  }
  bool contains(std::uint64_t sector) const { return any(sector, 1); }
  bool empty() const {
    return std::all_of(pages_.begin(), pages_.end(), [](const auto& page) {
      return std::all_of(page.second.begin(), page.second.end(),
                         [](auto bits) { return bits == 0; });
    });
  }
  std::uint64_t size() const {
    std::uint64_t total = 0;
    for (const auto& [page, bits] : pages_) {
      for (std::uint64_t word : bits) total += static_cast<std::uint64_t>(std::popcount(word));
    }
    return total;
  }
  // Calls visit(sector) for every member, in no particular order.
  template <typename Visit>
  void each(Visit visit) const {
    for (const auto& [page, bits] : pages_) {
      for (std::size_t word = 0; word < kWords; ++word) {
        for (std::uint64_t rest = bits[word]; rest != 0; rest &= rest - 1) {
          visit(page * kPageSectors + word * 64 + static_cast<unsigned>(std::countr_zero(rest)));
        }
      }
    }
  }

 private:
  static constexpr std::uint64_t kPageSectors = 4096;
  static constexpr std::size_t kWords = kPageSectors / 64;
  using Page = std::array<std::uint64_t, kWords>;

  template <typename Visit>
  static void each_word(std::uint64_t first, std::uint64_t count, Visit visit) {
    const std::uint64_t end = first + count;
    for (std::uint64_t at = first; at < end;) {
      const std::uint64_t bit = at % 64;
      const std::uint64_t take = std::min<std::uint64_t>(64 - bit, end - at);
      const std::uint64_t mask = (take == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << take) - 1)
                                 << bit;
      visit(at / kPageSectors, static_cast<std::size_t>(at % kPageSectors / 64), mask);
      at += take;
    }
  }
  Page& touch(std::uint64_t page) { return pages_.try_emplace(page, Page{}).first->second; }
  Page* find(std::uint64_t page) {
    const auto found = pages_.find(page);
    return found == pages_.end() ? nullptr : &found->second;
  }
  const Page* find(std::uint64_t page) const {
    const auto found = pages_.find(page);
    return found == pages_.end() ? nullptr : &found->second;
  }

  std::unordered_map<std::uint64_t, Page> pages_;
};

}  // namespace snapbed::model
