// SPDX-License-Identifier: GPL-2.0-or-later
// The bytes of one disk, in memory, for what has been touched only: a disk of 100 TiB costs what
// was written.
//
// A tree of three levels of 2048 entries over chunks of 64 KiB. An entry is `initial` (nothing
// below was touched), `zeroed` (everything below reads as zero) or a node. So a discard of
// terabytes is a few entries.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

namespace snapbed::recorder {

// What a sector holds that was never written.
struct InitialContent {
  bool seeded = false;    // else zero
  std::uint64_t key = 0;  // of journal::fill_sector
};

// Any thread, as long as nobody touches a sector while another writes or zeroes it: RangeLock sees
// to that. Different sectors may be touched at the same time.
class Store {
 public:
  explicit Store(InitialContent initial);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Ranges are sectors of 512 bytes below 2^40; the span's size gives the count, a multiple of 512.
  // std::bad_alloc when the host has no memory.
  void read(std::uint64_t first, std::span<std::uint8_t> out) const;
  void write(std::uint64_t first, std::span<const std::uint8_t> bytes);
  void zero(std::uint64_t first, std::uint64_t count);

  // Chunks of 64 KiB that hold bytes.
  std::uint64_t chunks() const { return chunks_.load(std::memory_order_relaxed); }

 private:
  static constexpr unsigned kLevelBits = 11;
  static constexpr std::uint64_t kEntries = 1U << kLevelBits;
  static constexpr std::uint64_t kChunkSectors = 128;
  struct Chunk;
  struct Node;
  using Entry = std::atomic<void*>;
  struct Piece;

  const Chunk* find(std::uint64_t chunk, bool& zeroed) const;
  Chunk& ensure(std::uint64_t chunk);
  Node* ensure_node(Entry& entry);
  void zero_chunk_part(std::uint64_t chunk, std::uint64_t first, std::uint64_t count);
  void zero_below(Entry& entry, unsigned level, std::uint64_t base, std::uint64_t first,
                  std::uint64_t end);
  void drop(void* entry, unsigned level);
  void read_initial(std::uint64_t first, std::span<std::uint8_t> out) const;
  void read_chunk(const Chunk& chunk, std::uint64_t base, std::uint64_t first,
                  std::span<std::uint8_t> out) const;

  InitialContent initial_;
  std::atomic<std::uint64_t> chunks_ = 0;
  Entry root_ = nullptr;
};

}  // namespace snapbed::recorder
