// SPDX-License-Identifier: GPL-2.0-or-later
// Reads a journal back: whole, or bit by bit while the server still writes it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "journal/record.h"

namespace snapbed::journal {

// Everything up to the end or the first damage. Damage never throws: `complete` is false and
// `trouble` says in one line what was found where. Throws std::runtime_error when there is no
// readable header and run record.
Journal read_journal(const std::filesystem::path& dir);

// Follows a journal that grows. Not thread safe; the writer may be another process.
class JournalReader {
 public:
  explicit JournalReader(std::filesystem::path dir);

  // Adds to `journal` what was written since the last call; always pass the same one, default
  // constructed at first. Requests and marks stay in the order of begin. A request that was in
  // flight at a flush is there with end == kNever and gets its moved, end and hash_index by a later
  // poll; after the server has flushed, every request that began before the flush is there. While
  // the end has not been read, `complete` is false and `trouble` says where reading stopped and
  // why. Throws as read_journal, and then leaves `journal` alone.
  void poll(Journal& journal);

 private:
  bool open_segment();
  bool next_segment();
  bool next_block();
  bool advance();
  bool read_at(std::uint64_t offset, void* to, std::size_t bytes);
  bool stop(const std::string& why);
  void apply_block(Journal& journal);
  bool apply_run(Journal& journal, const std::uint8_t* record, std::uint32_t bytes);
  bool apply_request(Journal& journal, const std::uint8_t* record, std::uint32_t bytes);
  bool apply_rule(Journal& journal, const std::uint8_t* record, std::uint32_t bytes);
  bool apply_power(Journal& journal, const std::uint8_t* record, std::uint32_t bytes);
  void put_marks(Journal& journal, const Request& request, const std::uint8_t* payload);
  void settle(Journal& journal);

  std::filesystem::path dir_;
  base::UniqueFd file_;
  std::uint32_t segment_ = 0;
  std::uint64_t run_ = 0;
  std::uint64_t offset_ = 0;
  std::uint64_t number_ = 0;  // of the next block
  std::vector<std::uint8_t> block_;
  bool at_end_ = false;   // the last look found no block at all, rather than a bad one
  bool damaged_ = false;  // a checksummed block makes no sense: nothing after it is trusted
  bool ended_ = false;
  std::string stopped_;
  std::size_t sorted_ = 0;  // requests before this index are in order, without doubles
  std::unordered_map<Stamp, std::size_t> open_;  // begin -> index of requests not ended
};

}  // namespace snapbed::journal
