// SPDX-License-Identifier: GPL-2.0-or-later
// Writes the journal of one run. Many threads append; records gather in buffers and reach the
// segment files as checksummed blocks when a buffer is full or on flush().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "journal/record.h"

namespace snapbed::journal {

struct WriterOptions {
  std::filesystem::path dir;  // exists; must not hold a journal yet
  std::uint64_t seed = 0;
  std::string plan;
  std::vector<Disk> disks;
  // Preallocated at a time, so that a full host disk shows early and not in the middle of a block.
  std::uint64_t segment_bytes = 16U << 20;
  std::uint64_t limit_bytes = std::uint64_t{8} << 30;  // the journal never grows past this
  // Told once, in one line, of the first error; called with no lock of the caller's, from any
  // thread.
  std::function<void(const std::string&)> on_error;
};

// All methods may be called from any thread. Nothing throws after construction: the first failed
// write makes the writer fail for good (error() tells), and all later records are dropped, so that
// what is on disk stays a prefix of the truth.
class Writer {
 public:
  // Creates the first segment and writes the run record. Throws std::system_error (full disk,
  // missing directory, a journal that is already there) or std::runtime_error (more disks or plan
  // than the format holds).
  explicit Writer(WriterOptions options);
  // Does not flush: a journal without close() reads back as cut short.
  ~Writer();

  // A request. With end == kNever it is one in flight, to be appended again when it ends. `hashes`
  // has count entries or none; `payload` has count * 512 bytes or none (marks). Calls with
  // different `lane` values seldom wait for each other.
  void append(const Request& request, std::span<const std::uint64_t> hashes,
              std::span<const std::uint8_t> payload, std::size_t lane);
  void append(const RuleAction& action);
  void append(const PowerCut& cut);

  // When it returns, all records appended before the call can be read. False when the writer has
  // failed.
  bool flush();
  // Flushes, writes the end record and gives the unused space back; later records are dropped.
  bool close();

  std::string error() const;  // empty while all is well
  std::uint64_t bytes_written() const { return total_.load(std::memory_order_relaxed); }

 private:
  struct Lane {
    std::mutex mutex;
    std::vector<std::uint8_t> buffer;  // starts with room for the block header
  };
  static constexpr std::size_t kLanes = 8;

  void write_run_record();
  void append_locked(Lane& lane, std::span<const std::span<const std::uint8_t>> parts);
  // Writes the lane's buffer as one block; the lane's mutex is held.
  void write_block(Lane& lane);
  bool write_block_locked(std::vector<std::uint8_t>& block);
  bool place(std::uint64_t bytes);
  bool open_segment(std::uint64_t least_bytes);
  bool finish_segment();
  bool fail(const std::string& what);

  WriterOptions options_;
  std::uint64_t run_ = 0;
  std::array<Lane, kLanes> lanes_;
  std::atomic<bool> stopped_ = false;  // failed or closed: drop what comes
  std::atomic<std::uint64_t> total_ = 0;

  mutable std::mutex file_mutex_;  // guards what follows; taken after a lane's mutex
  base::UniqueFd file_;
  std::uint32_t segment_ = 0;
  std::uint64_t offset_ = 0;    // next byte in the segment
  std::uint64_t capacity_ = 0;  // bytes preallocated in it
  std::uint64_t finished_ = 0;  // bytes in the segments before it
  std::uint64_t number_ = 0;    // of the next block
  std::string error_;
};

}  // namespace snapbed::journal
