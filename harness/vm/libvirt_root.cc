// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm/libvirt_root.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>

#include <chrono>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "base/deadline.h"
#include "base/error.h"
#include "base/file.h"

namespace snapbed::vm {
namespace {

namespace fs = std::filesystem;

// Every socket the driver makes below its root must fit: lib/qemu/domain-N-NAME/monitor.sock.
constexpr std::size_t kRootPathLimit = 50;

fs::path capabilities(const fs::path& root) {
  return root / "cache" / "qemu" / "capabilities";
}

base::UniqueFd lock_of(const fs::path& root) {
  const std::string path = root.string() + ".lock";
  base::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) base::throw_errno("opening " + path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) base::throw_errno("locking " + path);
  return {};
}

// QEMU's capabilities take libvirt 4 s to find out: a new root inherits them from an older one.
// libvirt checks them against the QEMU binary's date itself.
void inherit_capabilities(const fs::path& cache, const fs::path& root) {
  if (fs::exists(capabilities(root))) return;
  for (unsigned number = 0; number < kRootLimit; ++number) {
    const auto other = capabilities(cache / ("root" + std::to_string(number)));
    if (other == capabilities(root) || !fs::exists(other)) continue;
    std::error_code busy;  // it may be in use and change meanwhile: then libvirt finds out anew
    fs::create_directories(capabilities(root), busy);
    fs::copy(other, capabilities(root), fs::copy_options::recursive, busy);
    return;
  }
}

// Whoever holds the lock is alone here: QEMUs of this root belong to a harness that was killed
// together with its guardian.
void sweep(const fs::path& root) {
  const auto end = base::Deadline::after(std::chrono::seconds(10));
  base::wait_until("left-over VMs of " + root.string() + " to die", end, [&] {
    const auto left = find_processes("qemu-", root.string() + "/");
    for (const pid_t pid : left) ::kill(pid, SIGKILL);
    return left.empty();
  });
  for (const char* folder : {"run", "lib"}) {
    std::error_code error;
    fs::remove_all(root / folder, error);
    if (error)
      throw std::runtime_error("cannot clear " + (root / folder).string() + ": " + error.message());
  }
}

void require_short(const fs::path& root) {
  if (root.string().size() <= kRootPathLimit) return;
  throw std::runtime_error("libvirt's root " + root.string() + " has " +
                           std::to_string(root.string().size()) + " bytes; at most " +
                           std::to_string(kRootPathLimit) +
                           " leave room for its socket names: set XDG_CACHE_HOME");
}

}  // namespace

std::string qemu_conf() {
  return "user = \"root\"\n"
         "group = \"root\"\n"
         "dynamic_ownership = 0\n"
         "remember_owner = 0\n"
         "security_driver = \"none\"\n"
         "cgroup_controllers = [ ]\n"
         "namespaces = [ ]\n"
         "stdio_handler = \"file\"\n";
}

LibvirtRoot::LibvirtRoot(fs::path path, base::UniqueFd lock)
    : path_(std::move(path)), lock_(std::move(lock)) {
}

LibvirtRoot LibvirtRoot::take(const fs::path& cache, Guardian* guardian) {
  fs::create_directories(cache);
  for (unsigned number = 0; number < kRootLimit; ++number) {
    const fs::path path = cache / ("root" + std::to_string(number));
    require_short(path);
    base::UniqueFd lock = lock_of(path);
    if (!lock) continue;
    LibvirtRoot root(path, std::move(lock));
    if (guardian != nullptr) {
      root.guarded_lock_ = guardian->held_open(root.lock_.get());
      root.guarded_machines_ = guardian->matching("qemu-", path.string() + "/");
      root.guarded_run_ = guardian->directory(path / "run");
      root.guarded_lib_ = guardian->directory(path / "lib");
    }
    sweep(path);
    inherit_capabilities(cache, path);
    fs::create_directories(path / "etc");
    base::write_file(path / "etc" / "qemu.conf", qemu_conf());
    return root;
  }
  throw std::runtime_error("all " + std::to_string(kRootLimit) + " libvirt roots under " +
                           cache.string() + " are held by other harnesses");
}

LibvirtRoot::~LibvirtRoot() {
  // The guardian has a copy of the descriptor: unlocking frees the root for all copies at once.
  if (lock_) ::flock(lock_.get(), LOCK_UN);
}

fs::path LibvirtRoot::pid_file(const std::string& domain) const {
  return path_ / "run" / "qemu" / (domain + ".pid");
}

}  // namespace snapbed::vm
