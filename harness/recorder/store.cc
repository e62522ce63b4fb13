// SPDX-License-Identifier: GPL-2.0-or-later
#include "recorder/store.h"

#include <algorithm>
#include <cstring>

#include "journal/pattern.h"
#include "journal/record.h"

namespace snapbed::recorder {

namespace {

constexpr std::uint64_t kSector = journal::kSectorBytes;

// The entry that says "all of this reads as zero"; its address is no node's and no chunk's.
std::uint8_t zeroed_object;
void* const kZeroed = &zeroed_object;

}  // namespace

// `known` has a bit for every sector whose bytes are in `bytes`; the others hold what the disk
// began with. The bits are atomic because neighbours in one chunk are written at the same time.
struct Store::Chunk {
  std::array<std::atomic<std::uint64_t>, kChunkSectors / 64> known{};
  std::array<std::uint8_t, kChunkSectors * kSector>
      bytes;  // left as it is: untouched pages cost nothing

  Chunk() {}  // NOLINT: not defaulted, which would zero `bytes`

  bool knows(std::uint64_t sector) const {
    return (known[sector / 64].load(std::memory_order_relaxed) >> (sector % 64) & 1) != 0;
  }
  static std::uint64_t mask(std::uint64_t word, std::uint64_t first, std::uint64_t end) {
    const std::uint64_t low = std::max(first, word * 64) - word * 64;
    const std::uint64_t bits = std::min(end, word * 64 + 64) - word * 64 - low;
    return (bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1) << low;
  }
  void learn(std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t word = first / 64; word <= (first + count - 1) / 64; ++word) {
      known[word].fetch_or(mask(word, first, first + count), std::memory_order_relaxed);
    }
  }
  bool knows_all(std::uint64_t first, std::uint64_t count) const {
    for (std::uint64_t word = first / 64; word <= (first + count - 1) / 64; ++word) {
      const std::uint64_t wanted = mask(word, first, first + count);
      if ((known[word].load(std::memory_order_relaxed) & wanted) != wanted) return false;
    }
    return true;
  }
};

struct Store::Node {
  std::array<Entry, kEntries> entries;
  explicit Node(void* fill) {
    for (Entry& entry : entries) entry.store(fill, std::memory_order_relaxed);
  }
};

Store::Store(InitialContent initial) : initial_(initial) {
}

Store::~Store() {
  drop(root_.load(), 3);
}

// Frees what hangs below an entry; level 0 is a chunk, 1 to 3 are nodes.
void Store::drop(void* entry, unsigned level) {
  if (entry == nullptr || entry == kZeroed) return;
  if (level == 0) {
    delete static_cast<Chunk*>(entry);
    chunks_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  auto* node = static_cast<Node*>(entry);
  for (Entry& child : node->entries) drop(child.load(std::memory_order_relaxed), level - 1);
  delete node;
}

// The chunk, or nullptr; then `zeroed` says which of the two empty states it is in.
const Store::Chunk* Store::find(std::uint64_t chunk, bool& zeroed) const {
  const void* entry = root_.load(std::memory_order_acquire);
  for (unsigned level = 3; level > 0 && entry != nullptr && entry != kZeroed; --level) {
    const auto index = (chunk >> (kLevelBits * (level - 1))) & (kEntries - 1);
    entry = static_cast<const Node*>(entry)->entries[index].load(std::memory_order_acquire);
  }
  zeroed = entry == kZeroed;
  return zeroed ? nullptr : static_cast<const Chunk*>(entry);
}

// Two threads may come to make the same node for different sectors: the first one's stays.
Store::Node* Store::ensure_node(Entry& entry) {
  void* seen = entry.load(std::memory_order_acquire);
  while (seen == nullptr || seen == kZeroed) {
    auto fresh = std::make_unique<Node>(seen);
    if (entry.compare_exchange_weak(seen, fresh.get(), std::memory_order_acq_rel)) {
      return fresh.release();
    }
  }
  return static_cast<Node*>(seen);
}

Store::Chunk& Store::ensure(std::uint64_t chunk) {
  Entry* entry = &root_;
  for (unsigned level = 3; level > 0; --level) {
    entry = &ensure_node(*entry)->entries[(chunk >> (kLevelBits * (level - 1))) & (kEntries - 1)];
  }
  void* seen = entry->load(std::memory_order_acquire);
  while (seen == nullptr || seen == kZeroed) {
    auto fresh = std::make_unique<Chunk>();
    if (seen == kZeroed) {
      fresh->bytes.fill(0);
      fresh->learn(0, kChunkSectors);
    }
    if (entry->compare_exchange_weak(seen, fresh.get(), std::memory_order_acq_rel)) {
      chunks_.fetch_add(1, std::memory_order_relaxed);
      return *fresh.release();
    }
  }
  return *static_cast<Chunk*>(seen);
}

void Store::read_initial(std::uint64_t first, std::span<std::uint8_t> out) const {
  if (!initial_.seeded) {
    std::memset(out.data(), 0, out.size());
    return;
  }
  for (std::uint64_t at = 0; at < out.size(); at += kSector) {
    journal::fill_sector(initial_.key, first + at / kSector, out.subspan(at, kSector));
  }
}

void Store::read_chunk(const Chunk& chunk, std::uint64_t base, std::uint64_t first,
                       std::span<std::uint8_t> out) const {
  const std::uint64_t count = out.size() / kSector;
  if (chunk.knows_all(first, count)) {
    std::memcpy(out.data(), chunk.bytes.data() + first * kSector, out.size());
    return;
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto sector = out.subspan(i * kSector, kSector);
    if (chunk.knows(first + i)) {
      std::memcpy(sector.data(), chunk.bytes.data() + (first + i) * kSector, kSector);
    } else {
      read_initial(base + first + i, sector);
    }
  }
}

void Store::read(std::uint64_t first, std::span<std::uint8_t> out) const {
  while (!out.empty()) {
    const std::uint64_t within = first % kChunkSectors;
    const std::uint64_t count = std::min(kChunkSectors - within, out.size() / kSector);
    const auto piece = out.first(count * kSector);
    bool zeroed = false;
    if (const Chunk* chunk = find(first / kChunkSectors, zeroed)) {
      read_chunk(*chunk, first - within, within, piece);
    } else if (zeroed) {
      std::memset(piece.data(), 0, piece.size());
    } else {
      read_initial(first, piece);
    }
    first += count;
    out = out.subspan(piece.size());
  }
}

void Store::write(std::uint64_t first, std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const std::uint64_t within = first % kChunkSectors;
    const std::uint64_t count = std::min(kChunkSectors - within, bytes.size() / kSector);
    Chunk& chunk = ensure(first / kChunkSectors);
    std::memcpy(chunk.bytes.data() + within * kSector, bytes.data(), count * kSector);
    chunk.learn(within, count);
    first += count;
    bytes = bytes.subspan(count * kSector);
  }
}

void Store::zero_chunk_part(std::uint64_t chunk, std::uint64_t first, std::uint64_t count) {
  bool zeroed = false;
  const bool empty = find(chunk, zeroed) == nullptr;
  if (zeroed || (empty && !initial_.seeded)) return;
  Chunk& found = ensure(chunk);
  std::memset(found.bytes.data() + first * kSector, 0, count * kSector);
  found.learn(first, count);
}

// Zeroes the chunks [first, end) below `entry`, which covers the chunks from `base` on. An entry
// that lies wholly inside is replaced and its children are freed: the caller's range lock keeps
// everybody else out of it.
void Store::zero_below(Entry& entry, unsigned level, std::uint64_t base, std::uint64_t first,
                       std::uint64_t end) {
  const std::uint64_t covered = std::uint64_t{1} << (kLevelBits * level);
  if (first <= base && base + covered <= end) {
    drop(entry.exchange(initial_.seeded ? kZeroed : nullptr, std::memory_order_acq_rel), level);
    return;
  }
  void* seen = entry.load(std::memory_order_acquire);
  if (seen == kZeroed || (seen == nullptr && !initial_.seeded)) return;
  Node* node = ensure_node(entry);
  const std::uint64_t each = covered >> kLevelBits;
  const std::uint64_t low = std::max(first, base);
  const std::uint64_t high = std::min(end, base + covered);
  for (std::uint64_t i = (low - base) / each; base + i * each < high; ++i) {
    zero_below(node->entries[i], level - 1, base + i * each, first, end);
  }
}

void Store::zero(std::uint64_t first, std::uint64_t count) {
  const std::uint64_t end = first + count;
  const std::uint64_t whole_first = (first + kChunkSectors - 1) / kChunkSectors;
  const std::uint64_t whole_end = end / kChunkSectors;
  if (count == 0) return;
  if (whole_first > whole_end) {  // inside one chunk
    zero_chunk_part(first / kChunkSectors, first % kChunkSectors, count);
    return;
  }
  if (first % kChunkSectors != 0) {
    zero_chunk_part(first / kChunkSectors, first % kChunkSectors,
                    whole_first * kChunkSectors - first);
  }
  if (whole_first < whole_end) zero_below(root_, 3, 0, whole_first, whole_end);
  if (end % kChunkSectors != 0) zero_chunk_part(whole_end, 0, end % kChunkSectors);
}

}  // namespace snapbed::recorder
