// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/overlay.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "agent/fatal.h"
#include "base/error.h"
#include "base/file.h"

namespace snapbed::agent {
namespace {

constexpr const char* kName = "snapbed-check";
constexpr const char* kStoreFile = "/tmp/snapbed-check.store";
constexpr const char* kTableFile = "/tmp/snapbed-check.table";
// More than the log of any file system a scenario makes; memory is used only where written.
constexpr off_t kStoreBytes = off_t{256} << 20;
constexpr int kLoopAttempts = 16;  // another user may take the free number between two calls

// An empty sparse file that vanishes with its last user.
base::UniqueFd make_store_file() {
  base::UniqueFd file(::open(kStoreFile, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) base::throw_errno(std::string("open of ") + kStoreFile);
  if (::ftruncate(file.get(), kStoreBytes) != 0) base::throw_errno("ftruncate of the store");
  ::unlink(kStoreFile);
  return file;
}

base::UniqueFd attach_loop(int file, std::string& path) {
  const base::UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control) base::throw_errno("open of /dev/loop-control");
  for (int attempt = 0; attempt < kLoopAttempts; ++attempt) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) base::throw_errno("LOOP_CTL_GET_FREE");
    path = "/dev/loop" + std::to_string(number);
    base::UniqueFd loop(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!loop) base::throw_errno("open of " + path);
    loop_config config{};
    config.fd = static_cast<__u32>(file);
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (::ioctl(loop.get(), LOOP_CONFIGURE, &config) == 0) return loop;
    if (errno != EBUSY) base::throw_errno("LOOP_CONFIGURE of " + path);
  }
  throw Fatal("no free loop device in " + std::to_string(kLoopAttempts) + " attempts");
}

}  // namespace

Overlay::Overlay(const std::string& image, std::uint64_t sectors, RunProgram run)
    : run_(std::move(run)) {
  const base::UniqueFd file = make_store_file();
  std::string loop;
  store_ = attach_loop(file.get(), loop);
  base::write_file(kTableFile,
                   "0 " + std::to_string(sectors) + " snapshot " + image + " " + loop + " N 8\n");
  if (const int code = run_({"dmsetup", "create", kName, kTableFile}); code != 0) {
    throw Fatal("dmsetup create of the overlay over " + image + ": exit code " +
                std::to_string(code));
  }
}

Overlay::~Overlay() {
  if (run_({"dmsetup", "remove", "--retry", kName}) != 0) {
    std::fprintf(stderr, "snapbed-agent: the overlay %s could not be removed\n", kName);
  }
}

std::string Overlay::path() const {
  return std::string("/dev/mapper/") + kName;
}

}  // namespace snapbed::agent
