// SPDX-License-Identifier: GPL-2.0-or-later
// What this host can do for the testbed, found by trying, with reasons: a value, and its printer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "vm/accel_probe.h"
#include "vm/guardian.h"

namespace snapbed::vm {

struct DoctorOptions {
  std::filesystem::path cache;   // ${XDG_CACHE_HOME:-~/.cache}/snapbed
  std::filesystem::path output;  // where runs are written; its disk's free space is looked at
  std::filesystem::path plugin;  // the recording server's plugin
  bool force = false;            // boot the KVM probe again
  bool open_libvirt = true;      // once per process: false when a LibvirtHost exists already
};

// One thing looked at. Bad: nothing can run; limited: runs are slower or see less.
struct Finding {
  enum class State : std::uint8_t { good, limited, bad };
  std::string name;
  State state = State::good;
  std::string text;    // what was found, with numbers
  std::string remedy;  // what to do about it; empty when good
};

struct Diagnosis {
  std::vector<Finding> findings;
  AccelProbe kvm;
  bool libvirt = false;  // the embedded driver opens

  // Nothing is bad: a run can start.
  bool healthy() const;
};

// Takes up to kProbeLimit when KVM has to be asked, else well under a second. Throws only on a host
// where not even /proc can be read. `guardian` may be null.
Diagnosis diagnose(const DoctorOptions& options, Guardian* guardian);
void print(const Diagnosis& diagnosis, std::ostream& out);

// The version QEMU gives itself, e.g. "7.2.22"; nullopt when it is not installed.
std::optional<std::string> qemu_version();
// ${XDG_CACHE_HOME:-~/.cache}/snapbed/kvm-probe.json, for probe_kvm().
std::filesystem::path kvm_cache_file(const std::filesystem::path& cache);

}  // namespace snapbed::vm
