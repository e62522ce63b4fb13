// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/partition.h"

#include <fcntl.h>
#include <linux/blkpg.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <filesystem>

#include "base/error.h"

namespace snapbed::agent {
namespace {

constexpr auto kNodeLimit = std::chrono::seconds(10);

int change(const std::string& disk, int op, int number, std::uint64_t first, std::uint64_t count) {
  const base::UniqueFd fd(::open(disk.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno;
  blkpg_partition partition{};
  partition.start = static_cast<long long>(first * kSectorBytes);
  partition.length = static_cast<long long>(count * kSectorBytes);
  partition.pno = number;
  blkpg_ioctl_arg argument{op, 0, sizeof partition, &partition};
  return ::ioctl(fd.get(), BLKPG, &argument) == 0 ? 0 : errno;
}

// "vdg1" for "/dev/snapbed/data0"
std::string node_of(const std::string& disk, int number) {
  const std::string name = std::filesystem::canonical(disk).filename();
  const bool digit = name.back() >= '0' && name.back() <= '9';
  return "/dev/" + name + (digit ? "p" : "") + std::to_string(number);
}

}  // namespace

Partition::Partition(const Subject& disk, int number, std::uint64_t first, std::uint64_t count)
    : disk_(disk.path), number_(number) {
  if (const int error = change(disk_, BLKPG_ADD_PARTITION, number, first, count); error != 0) {
    base::throw_errno("BLKPG_ADD_PARTITION of " + disk_, error);
  }
  subject_ = subject_at(wait_for_device(node_of(disk_, number), base::Deadline::after(kNodeLimit)));
}

Partition::~Partition() {
  if (there_) remove();
}

int Partition::remove() {
  const int error = change(disk_, BLKPG_DEL_PARTITION, number_, 0, 0);
  if (error == 0) there_ = false;
  return error;
}

}  // namespace snapbed::agent
