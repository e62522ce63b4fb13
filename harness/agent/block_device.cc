// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/block_device.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace snapbed::agent {
namespace fs = std::filesystem;

namespace {

std::string first_line(const fs::path& file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

void link_to(const fs::path& link, const fs::path& target) {
  std::error_code error;
  if (fs::read_symlink(link, error) == target) return;
  fs::remove(link);
  fs::create_symlink(target, link);
}

void remove_dead_links() {
  for (const auto& entry : fs::directory_iterator(kLinkFolder)) {
    std::error_code error;
    if (!fs::exists(entry.path(), error)) fs::remove(entry.path());
  }
}

}  // namespace

int read_at(int fd, std::span<std::uint8_t> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t done = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return errno;
    if (done == 0) return EIO;
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
  return 0;
}

int write_at(int fd, std::span<const std::uint8_t> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t done = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return errno;
    if (done == 0) return EIO;
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
  return 0;
}

BlockDevice::BlockDevice(const std::string& path, int flags)
    : fd_(::open(path.c_str(), flags | O_DIRECT | O_CLOEXEC)) {
  if (!fd_) base::throw_errno("open of " + path + " for direct I/O");
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) base::throw_errno("fstat of " + path);
  if (!S_ISBLK(status.st_mode)) base::throw_errno("use of " + path + " as a block device", ENOTBLK);
  id_ = status.st_rdev;
  std::uint64_t bytes = 0;
  if (::ioctl(fd_.get(), BLKGETSIZE64, &bytes) != 0) base::throw_errno("BLKGETSIZE64 of " + path);
  int logical = 0;
  if (::ioctl(fd_.get(), BLKSSZGET, &logical) != 0) base::throw_errno("BLKSSZGET of " + path);
  sectors_ = bytes / kSectorBytes;
  logical_sectors_ = static_cast<std::uint64_t>(logical) / kSectorBytes;
}

std::size_t refresh_links() {
  fs::create_directories(kLinkFolder);
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator("/sys/block")) {
    const std::string serial = first_line(entry.path() / "serial");
    if (serial.empty() || serial.find('/') != std::string::npos) continue;
    link_to(fs::path(kLinkFolder) / serial, "/dev/" + entry.path().filename().string());
    ++count;
  }
  remove_dead_links();
  return count;
}

std::string wait_for_device(const std::string& path, const base::Deadline& deadline) {
  base::wait_until("device " + path + " to appear", deadline, [&path] {
    std::error_code error;
    if (fs::exists(path, error)) return true;
    if (path.starts_with(std::string(kLinkFolder) + "/")) refresh_links();
    return fs::exists(path, error);
  });
  return path;
}

dev_t device_below(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) base::throw_errno("stat of " + path);
  return S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev;
}

}  // namespace snapbed::agent
