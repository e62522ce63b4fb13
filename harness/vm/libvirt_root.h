// SPDX-License-Identifier: GPL-2.0-or-later
// A root directory for libvirt's embedded driver: chosen from a pool, locked against other
// harnesses, swept of what a killed one left behind, and configured.
#pragma once

#include <filesystem>
#include <string>

#include "base/fd.h"
#include "vm/guardian.h"

namespace snapbed::vm {

inline constexpr unsigned kRootLimit = 64;  // harnesses of one user at the same time

// Held until this value goes. Movable.
class LibvirtRoot {
 public:
  // Throws std::runtime_error naming the directory and what is wrong with it. `guardian` may be
  // null.
  static LibvirtRoot take(const std::filesystem::path& cache, Guardian* guardian);
  ~LibvirtRoot();
  LibvirtRoot(LibvirtRoot&&) noexcept = default;
  LibvirtRoot& operator=(LibvirtRoot&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // Where the driver leaves the pid of a running domain's QEMU.
  std::filesystem::path pid_file(const std::string& domain) const;

 private:
  LibvirtRoot(std::filesystem::path path, base::UniqueFd lock);

  std::filesystem::path path_;
  base::UniqueFd lock_;
  Guarded guarded_lock_;
  Guarded guarded_machines_;
  Guarded guarded_run_;
  Guarded guarded_lib_;
};

// The driver's configuration, ROOT/etc/qemu.conf.
std::string qemu_conf();

}  // namespace snapbed::vm
