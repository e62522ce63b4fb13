// SPDX-License-Identifier: GPL-2.0-or-later
// Puts whole files on the files disk, one after the other, each from a multiple of 4 KiB on.
#pragma once

#include <cstdint>
#include <mutex>
#include <nlohmann/json.hpp>
#include <span>

#include "agent/aligned_memory.h"
#include "agent/block_device.h"

namespace snapbed::agent {

// Any thread.
class FilesDisk {
 public:
  // Machine `turn` of `machines` that use the disk one after the other: each has an equal part.
  FilesDisk(BlockDevice disk, std::uint64_t turn, std::uint64_t machines);
  // Writes the bytes and returns {"base": byte offset, "bytes": length}. Throws Fatal when the disk
  // is full or fails: what was found would be lost.
  nlohmann::json put(std::span<const std::uint8_t> bytes);
  // Keeps room for `bytes` and returns the byte offset of its begin; write_reserved() puts whole
  // pages of aligned memory there, from any thread but one at a time in one place. Both throw
  // Fatal.
  std::uint64_t reserve(std::uint64_t bytes);
  void write_reserved(std::uint64_t offset, std::span<const std::uint8_t> block);

 private:
  std::uint64_t take_room(std::uint64_t bytes);

  std::mutex mutex_;
  BlockDevice disk_;
  std::uint64_t next_;   // byte offset
  std::uint64_t limit_;  // of the part
  AlignedMemory buffer_;
};

}  // namespace snapbed::agent
