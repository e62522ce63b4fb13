// SPDX-License-Identifier: GPL-2.0-or-later
// Does an accelerator really run guests here? /dev/kvm can open, create a VM and vCPUs, and still
// hang the guest for ever; so something is booted, with a deadline, and the answer is remembered.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "vm/machine.h"

namespace snapbed::vm {

inline constexpr std::chrono::milliseconds kProbeLimit{5000};

struct AccelProbe {
  bool works = false;
  std::string reason;                 // "booted in 0.1 s", "no /dev/kvm", "hung: ..."
  bool remembered = false;            // from the cache
  std::chrono::milliseconds took{0};  // power-on to the end of a test sector that booted
};

// Boots probe_image() and waits for its answer, at most `limit`. Throws when a temporary file
// cannot be made; every other trouble is the answer.
AccelProbe boot_probe(Accel accel, std::chrono::milliseconds limit = kProbeLimit);

// KVM by boot_probe(), and only when it is not slower than TCG: a KVM that is itself emulated was
// seen to boot the sector in 4.5 s, or not at all, where TCG needs 0.2 s. Asked anew unless
// `cache_file` holds the answer for this kernel, QEMU and device. `force` asks anew. An unwritable
// cache costs the next run a probe, nothing else.
AccelProbe probe_kvm(const std::filesystem::path& cache_file, const std::string& qemu_version,
                     bool force);

enum class AccelChoice : std::uint8_t { automatic, kvm, tcg };
// Throws std::runtime_error with the probe's reason when KVM is demanded and does not work.
Accel choose_accel(AccelChoice requested, const AccelProbe& kvm);

}  // namespace snapbed::vm
