// SPDX-License-Identifier: GPL-2.0-or-later
// Machines of libvirt: by default of its embedded driver, which needs no daemon and keeps all its
// files under a root directory of ours; or of any other libvirt by URI.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/deadline.h"
#include "vm/guardian.h"
#include "vm/machine.h"

namespace snapbed::vm {

// Where roots of the embedded driver live: ${XDG_CACHE_HOME:-~/.cache}/snapbed/libvirt.
std::filesystem::path libvirt_cache();

class LibvirtConnection;

// The one connection of this process, and the thread that runs libvirt's event loop. libvirt allows
// one embedded driver per process: make one of these, early, and keep it to the end. A connection
// may be made again after the first one has gone only for a URI, not for the embedded driver.
class LibvirtHost {
 public:
  // Takes the first root directory no other harness holds (root0, root1...), clears up what a
  // killed one left there, and opens the embedded driver: 0.01 s and, for a fresh root, 4 s when
  // the first VM starts. Throws std::runtime_error with libvirt's words. `guardian` may be null and
  // outlives this.
  static LibvirtHost embedded(const std::filesystem::path& cache, Guardian* guardian);
  // "qemu:///system", "qemu+ssh://..."; sockets and images must be reachable there under their
  // names.
  static LibvirtHost connect(const std::string& uri);

  ~LibvirtHost();
  LibvirtHost(LibvirtHost&&) noexcept;
  LibvirtHost& operator=(LibvirtHost&&) = delete;

  // The machine keeps the connection alive. Validates the configuration (std::invalid_argument).
  std::unique_ptr<Machine> machine(const MachineConfig& config) const;
  // "9.0.0"
  std::string version() const;
  // Empty when the driver is not embedded.
  std::filesystem::path root() const;

 private:
  explicit LibvirtHost(std::shared_ptr<LibvirtConnection> connection);
  std::shared_ptr<LibvirtConnection> connection_;
};

}  // namespace snapbed::vm
