// SPDX-License-Identifier: GPL-2.0-or-later
// Block devices of the guest: opened for direct I/O, with their sizes, and the links
// /dev/snapbed/<serial> under which the disks of the VM are found.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>

#include "base/deadline.h"
#include "base/fd.h"

namespace snapbed::agent {

inline constexpr std::uint64_t kSectorBytes = 512;
inline constexpr const char* kLinkFolder = "/dev/snapbed";

// All bytes or a positive errno; 0 is success. Offsets in bytes. A read past the end is EIO.
int read_at(int fd, std::span<std::uint8_t> bytes, std::uint64_t offset);
int write_at(int fd, std::span<const std::uint8_t> bytes, std::uint64_t offset);

// A device open with O_DIRECT. Throws std::system_error naming the path when it cannot be opened.
class BlockDevice {
 public:
  explicit BlockDevice(const std::string& path, int flags);

  int fd() const { return fd_.get(); }
  dev_t id() const { return id_; }
  std::uint64_t sectors() const { return sectors_; }
  std::uint64_t logical_sectors() const { return logical_sectors_; }  // of a logical block
  base::UniqueFd release() { return std::move(fd_); }

 private:
  base::UniqueFd fd_;
  dev_t id_ = 0;
  std::uint64_t sectors_ = 0;
  std::uint64_t logical_sectors_ = 1;
};

// Makes /dev/snapbed/<serial> for every disk that has a serial, over older links, and removes
// links whose disk is gone. Returns how many there are.
std::size_t refresh_links();

// `path`, once it is there: a path in /dev/snapbed is looked for anew until the deadline, because a
// disk may just be plugged in. Throws base::TimedOut naming the path.
std::string wait_for_device(const std::string& path, const base::Deadline& deadline);

// st_rdev of a block device, or the device that holds a file or folder. Throws std::system_error.
dev_t device_below(const std::string& path);

}  // namespace snapbed::agent
