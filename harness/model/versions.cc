// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/versions.h"

#include <algorithm>

#include "journal/pattern.h"

namespace snapbed::model {

using journal::Op;

bool changes_data(Op op) {
  return op == Op::write || op == Op::trim || op == Op::zero;
}

std::uint64_t zero_hash() {
  static const std::uint64_t hash = journal::sector_hash(journal::SectorBytes{});
  return hash;
}

InitialHashes::InitialHashes(std::uint64_t seed, const journal::Disk& disk)
    : seeded_(disk.initial == journal::Initial::seeded), key_(journal::initial_key(seed, disk.id)) {
}

std::uint64_t InitialHashes::at(std::uint64_t sector) const {
  if (!seeded_) return zero_hash();
  const std::uint64_t index = sector / kPageSectors;
  if (last_ == nullptr || last_index_ != index) {
    last_ = &page(index);
    last_index_ = index;
  }
  return (*last_)[sector % kPageSectors];
}

const InitialHashes::Page& InitialHashes::page(std::uint64_t index) const {
  const auto [found, fresh] = pages_.try_emplace(index);
  if (fresh) {
    journal::SectorBytes bytes;
    for (std::uint64_t i = 0; i < kPageSectors; ++i) {
      journal::fill_sector(key_, index * kPageSectors + i, bytes);
      found->second[i] = journal::sector_hash(bytes);
    }
  }
  return found->second;
}

DiskState::Page& DiskState::own(std::uint64_t index) {
  std::shared_ptr<Page>& page = pages_[index];
  if (!page) {
    page = std::make_shared<Page>();
  } else if (page.use_count() > 1) {
    page = std::make_shared<Page>(*page);
  }
  return *page;
}

void DiskState::apply(const journal::Request& request, const journal::Journal& journal) {
  if (!changes_data(request.op) || request.moved == journal::kNever) return;
  const bool write = request.op == Op::write;
  const std::uint64_t end = request.first + request.count;
  for (std::uint64_t at = request.first; at < end;) {
    const std::uint64_t offset = at % kPageSectors;
    const std::uint64_t count = std::min(kPageSectors - offset, end - at);
    Page& page = own(at / kPageSectors);
    std::uint64_t* target = page.hash.data() + offset;
    if (write) {
      std::copy_n(journal.hashes.data() + request.hash_index + (at - request.first), count, target);
    } else {
      std::fill_n(target, count, zero_hash());
    }
    for (std::uint64_t i = offset; i < offset + count; ++i) {
      page.written[i / 64] |= std::uint64_t{1} << (i % 64);
    }
    at += count;
  }
}

std::uint64_t DiskState::at(std::uint64_t sector) const {
  const auto found = pages_.find(sector / kPageSectors);
  const std::uint64_t offset = sector % kPageSectors;
  if (found != pages_.end() && found->second->has(offset)) return found->second->hash[offset];
  return initial_->at(sector);
}

std::uint64_t DiskState::first_difference(std::uint64_t first,
                                          std::span<const std::uint64_t> expected,
                                          std::uint64_t from) const {
  for (std::uint64_t i = from; i < expected.size();) {
    const std::uint64_t sector = first + i;
    const std::uint64_t offset = sector % kPageSectors;
    const std::uint64_t count = std::min<std::uint64_t>(kPageSectors - offset, expected.size() - i);
    const auto found = pages_.find(sector / kPageSectors);
    const Page* page = found == pages_.end() ? nullptr : found->second.get();
    for (std::uint64_t k = 0; k < count; ++k) {
      const bool written = page != nullptr && page->has(offset + k);
      const std::uint64_t hash = written ? page->hash[offset + k] : initial_->at(sector + k);
      if (hash != expected[i + k]) return i + k;
    }
    i += count;
  }
  return expected.size();
}

}  // namespace snapbed::model
