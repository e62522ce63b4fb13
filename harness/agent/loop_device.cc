// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/loop_device.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/block_device.h"
#include "agent/snapshots.h"
#include "base/error.h"

namespace snapbed::agent {
namespace {

constexpr auto kNodeLimit = std::chrono::seconds(10);

}  // namespace

LoopDevice::LoopDevice(std::uint64_t bytes) {
  const base::UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control) base::throw_errno("open of /dev/loop-control");
  const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
  if (number < 0) base::throw_errno("LOOP_CTL_GET_FREE");
  path_ = wait_for_device("/dev/loop" + std::to_string(number), base::Deadline::after(kNodeLimit));
  file_ = "/tmp/loop" + std::to_string(number);
  device_.reset(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
  if (!device_) base::throw_errno("open of " + path_);
  attach(bytes);
}

LoopDevice::~LoopDevice() {
  ::ioctl(device_.get(), LOOP_CLR_FD);
  ::unlink(file_.c_str());
}

abi::DeviceId LoopDevice::id() const {
  return to_abi(device_below(path_));
}

// The last opener but us must have gone, or the file goes only with it.
void LoopDevice::detach() {
  if (::ioctl(device_.get(), LOOP_CLR_FD) != 0) base::throw_errno("LOOP_CLR_FD of " + path_);
  device_.reset();
  device_.reset(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
  if (!device_) base::throw_errno("open of " + path_);
}

void LoopDevice::attach(std::uint64_t bytes) {
  const base::UniqueFd file(::open(file_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) base::throw_errno("open of " + file_);
  if (::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) {
    base::throw_errno("ftruncate of " + file_);
  }
  if (::ioctl(device_.get(), LOOP_SET_FD, file.get()) != 0) {
    base::throw_errno("LOOP_SET_FD of " + path_);
  }
}

}  // namespace snapbed::agent
