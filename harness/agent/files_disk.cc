// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/files_disk.h"

#include <algorithm>
#include <string>

#include "agent/fatal.h"
#include "base/error.h"

namespace snapbed::agent {
namespace {

constexpr std::uint64_t kAlignment = 4096;
constexpr std::size_t kBufferBytes = 256 << 10;

std::uint64_t aligned(std::uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::uint64_t part_bytes(const BlockDevice& disk, std::uint64_t machines) {
  return disk.sectors() * kSectorBytes / machines / kAlignment * kAlignment;
}

}  // namespace

FilesDisk::FilesDisk(BlockDevice disk, std::uint64_t turn, std::uint64_t machines)
    : disk_(std::move(disk)),
      next_(part_bytes(disk_, machines) * turn),
      limit_(next_ + part_bytes(disk_, machines)),
      buffer_(kBufferBytes) {
}

std::uint64_t FilesDisk::take_room(std::uint64_t bytes) {
  const std::uint64_t base = next_;
  if (base + aligned(bytes) > limit_) {
    throw Fatal("files disk of " + std::to_string(disk_.sectors() * kSectorBytes) +
                " bytes: no room for " + std::to_string(bytes) + " at " + std::to_string(base));
  }
  next_ = base + aligned(bytes);
  return base;
}

std::uint64_t FilesDisk::reserve(std::uint64_t bytes) {
  const std::scoped_lock lock(mutex_);
  return take_room(bytes);
}

void FilesDisk::write_reserved(std::uint64_t offset, std::span<const std::uint8_t> block) {
  if (const int error = write_at(disk_.fd(), block, offset); error != 0) {
    throw Fatal("write of " + std::to_string(block.size()) + " bytes at " + std::to_string(offset) +
                " of the files disk: " + snapbed::base::errno_text(error));
  }
}

nlohmann::json FilesDisk::put(std::span<const std::uint8_t> bytes) {
  const std::scoped_lock lock(mutex_);
  const std::uint64_t base = take_room(bytes.size());
  for (std::size_t done = 0; done < bytes.size(); done += kBufferBytes) {
    const auto part = bytes.subspan(done, std::min(kBufferBytes, bytes.size() - done));
    const auto out = buffer_.span().first(aligned(part.size()));
    std::fill(std::copy(part.begin(), part.end(), out.begin()), out.end(), std::uint8_t{0});
    write_reserved(base + done, out);
  }
  return {{"base", base}, {"bytes", bytes.size()}};
}

}  // namespace snapbed::agent
