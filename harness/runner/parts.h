// SPDX-License-Identifier: GPL-2.0-or-later
// The files a run is made of: kernel, module, root image and server plugin; where they are looked
// for, and what they are.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>

namespace snapbed::runner {

// A part is not there; what() is one line naming it, where it was looked for and what makes it.
class PartMissing : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The same of a part that an option or a variable names: bad input, where the other is a broken
// testbed.
class PartRefused : public PartMissing {
 public:
  using PartMissing::PartMissing;
};

struct Parts {
  std::filesystem::path kernel;
  std::filesystem::path module;
  std::filesystem::path amplifier;  // of find_amplifier() only
  std::filesystem::path image;
  std::filesystem::path plugin;
};

// Empty fields of `wanted` are filled from SNAPBED_KERNEL, SNAPBED_MODULE, SNAPBED_IMAGE,
// SNAPBED_PLUGIN, then from what `make` leaves beside the program: BUILD/artifacts/bzImage,
// blksnap.ko, root.erofs and BUILD/harness/recorder/nbdkit-snapbed-plugin.so, with BUILD two
// folders above the folder of `program`; `module_file` is the name there. Paths come back absolute.
// Throws PartMissing, and PartRefused.
Parts find_parts(const Parts& wanted, const std::filesystem::path& program,
                 const std::string& module_file = "blksnap.ko");

// The module that puts pauses into the module under test: `wanted`, SNAPBED_AMPLIFIER, or
// snapbed_amplifier.ko beside `module` (one of another kernel has its own) or in BUILD/artifacts.
// Absolute. Throws as find_parts() does.
std::filesystem::path find_amplifier(const std::filesystem::path& wanted,
                                     const std::filesystem::path& module,
                                     const std::filesystem::path& program);

// Throws PartMissing unless nbdkit and QEMU are in PATH.
void require_programs();

struct ModuleFacts {
  std::string version;  // of its modinfo, "" when it has none
  std::string hash;     // XXH3-128 of the file, 32 hex digits
  // The names of its parameters, and of what can be seen of it in debugfs (modinfo "debugfs", for
  // scenarios with needs = ["debugfs"]).
  std::set<std::string> parameters;
  std::string views;
  // Its functions; nullopt for a file that does not tell (base/kernel_module.h).
  std::optional<std::set<std::string>> functions;
  // Made for a kernel that changes its own code while it runs (CONFIG_JUMP_LABEL). A module without
  // any static branch does not show it.
  bool patches_code = false;
};
ModuleFacts module_facts(const std::filesystem::path& module);

// A name for all that a verdict rests on: the bytes of every part that is there, and of the program
// that judges. 32 hex digits. Throws std::system_error for a part that cannot be read.
std::string fingerprint(const Parts& parts, const std::filesystem::path& program);

}  // namespace snapbed::runner
