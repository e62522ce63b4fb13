// SPDX-License-Identifier: GPL-2.0-or-later
// A loop device over a sparse file in /tmp; both go with it.
#pragma once

#include <cstdint>
#include <string>

#include "agent/blksnap_abi.h"
#include "base/fd.h"

namespace snapbed::agent {

// Throws std::system_error. One thread at a time.
class LoopDevice {
 public:
  explicit LoopDevice(std::uint64_t bytes);
  ~LoopDevice();
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;

  const std::string& path() const { return path_; }
  abi::DeviceId id() const;

  void detach();  // the device stays, without a file
  void attach(std::uint64_t bytes);

 private:
  std::string path_;
  std::string file_;
  base::UniqueFd device_;
};

}  // namespace snapbed::agent
