// SPDX-License-Identifier: GPL-2.0-or-later
// A virtual machine as the harness sees it: what it is made of, and the few things done to one. Two
// real implementations: libvirt_machine.h and qemu_machine.h.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/deadline.h"

namespace snapbed::vm {

enum class Accel : std::uint8_t { tcg, kvm };
const char* to_string(Accel accel);

inline constexpr std::size_t kSerialLimit = 20;       // bytes; virtio-blk's id field
inline constexpr std::size_t kSocketPathLimit = 107;  // bytes; sun_path less its NUL
inline constexpr unsigned kDiskLimit = 24;            // slots of the root bus left for disks

// A virtio disk served over NBD on a unix socket. Its write errors and read errors reach the guest,
// its cache is writeback, discards are passed on and zeroes are not looked for.
struct Disk {
  std::string name;                 // export name; letters, digits, '-', '_'
  std::string serial;               // what the guest sees; empty: the name
  std::filesystem::path socket;     // absolute; empty when there is a file
  std::filesystem::path file = {};  // QEMU serves it by itself, raw; qemu_machine only
  bool read_only = false;
  std::uint32_t logical_block = 512;   // bytes: 512 or 4096
  std::uint32_t physical_block = 512;  // bytes: 512 or 4096; see told_physical_block()
  std::uint16_t queues = 0;            // 0: one per vCPU
  bool merge_requests = true;  // QEMU may merge adjacent requests; off where rules hold requests
  bool discard = true;     // offers discards; what libvirt plugs into a running machine always does
  bool removable = false;  // has a slot of its own, so that detach_disk() works
};

enum class Console : std::uint8_t { file, terminal };  // terminal: qemu_machine only

struct MachineConfig {
  std::string name;              // unique on the host; at most 20 letters, digits and '-'
  std::filesystem::path kernel;  // bzImage, or an ELF vmlinux with a PVH note (starts 2 s sooner)
  std::string command_line;      // of the kernel, e.g. "console=ttyS0 root=/dev/vda ro"
  std::filesystem::path
      root_image;                // raw, read-only, always /dev/vda with serial "root"; empty: none
  std::filesystem::path initrd;  // empty: none
  std::filesystem::path firmware;  // empty: SeaBIOS; see quick_firmware()
  std::uint32_t memory_mib = 512;
  std::uint16_t vcpus = 2;
  std::vector<Disk> disks;       // to be found by serial: only /dev/vda is promised
  std::uint16_t free_slots = 0;  // how many disks can be attached while it runs
  Console console = Console::file;
  std::filesystem::path console_file;  // written from its start, by QEMU
  bool append_console = false;         // at its end: it holds another machine's
  Accel accel = Accel::tcg;
  bool count_instructions =
      false;  // -icount shift=0: 1 ns of guest time each; qemu_machine, TCG, 1 vCPU
  std::filesystem::path work_dir;  // exists; sockets and logs of QEMU go here
};

// Throws std::invalid_argument naming the field, its value and its bounds.
void validate(const MachineConfig& config);
void validate(const Disk& disk);

// QEMU's qboot firmware: reaches the kernel in 0.05 s under TCG where SeaBIOS needs 0.3 s. Empty
// when the host has none.
std::filesystem::path quick_firmware();

// The words of QEMU's human monitor for nudge(), and the look at what it said: std::runtime_error
// unless nothing.
std::string nudge_command(const std::string& disk);
void require_nudged(const std::string& disk, const std::string& said);

// Bytes of the disk's physical block as the guest is told: not below the logical one.
std::uint32_t told_physical_block(const Disk& disk);

// One machine; destroying it kills the VM. One thread at a time, except where said.
class Machine {
 public:
  virtual ~Machine() = default;

  // Powers it on, once. Throws std::runtime_error with what QEMU or libvirt said, TimedOut.
  virtual void start(const base::Deadline& deadline) = 0;
  // False before start() and once the VM has powered off, reset, or died.
  virtual bool alive() = 0;
  // Throws TimedOut when it is still alive at the deadline.
  virtual void wait_ended(const base::Deadline& deadline) = 0;
  // Power cut: QEMU gets SIGKILL where its pid is known, so that it cannot flush. No effect on a
  // dead one.
  virtual void kill() = 0;
  // How QEMU itself came to its end when that was neither the guest's doing (power off, reset,
  // panic) nor kill(): "killed by signal 9 (Killed)". Empty while it lives, and where its end is
  // not known.
  virtual std::string broke() = 0;
  // Why the VM stands still though it lives: QEMU or libvirt has stopped it ("internal-error"), or
  // does not answer. Empty while its CPUs run, before start() and for a dead one. Does not throw.
  virtual std::string halted(const base::Deadline& deadline) = 0;
  // Writes the guest's memory as an ELF core (for crash or gdb); the guest is paused and stays
  // paused.
  virtual void dump_memory(const std::filesystem::path& file, const base::Deadline& deadline) = 0;
  // Hot-plug; needs a free slot. Returns when QEMU has it; the guest sees it a little later.
  virtual void attach_disk(const Disk& disk, const base::Deadline& deadline) = 0;
  // Hot-unplug of a removable or attached disk; returns when the guest has let go of it.
  virtual void detach_disk(const std::string& name, const base::Deadline& deadline) = 0;
  // Makes QEMU itself read the first sector of a disk, through the connection that the guest's
  // requests take; does not wait for it. QEMU's client of NBD (7.2) can keep an answered request of
  // the guest until the next answer comes on that connection. Throws std::runtime_error with QEMU's
  // words.
  virtual void nudge(const std::string& disk, const base::Deadline& deadline) = 0;
  // A command of QEMU's own control protocol; its answer. Throws std::runtime_error with QEMU's
  // words, and where QEMU is libvirt's to ask.
  virtual nlohmann::json execute(const std::string& command, const nlohmann::json& arguments,
                                 const base::Deadline& deadline) = 0;
  // nullopt before start(), and for a VM on another host.
  virtual std::optional<pid_t> pid() const = 0;
  // What start() does, as a reader could do it by hand: a command line or a domain XML.
  virtual std::string description() const = 0;
};

}  // namespace snapbed::vm
