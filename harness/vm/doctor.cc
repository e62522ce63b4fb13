// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm/doctor.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/memory.h"
#include "base/process.h"
#include "base/units.h"
#include "vm/libvirt_machine.h"

namespace snapbed::vm {
namespace {

using State = Finding::State;

constexpr std::uint64_t kGib = std::uint64_t{1} << 30;
constexpr std::uint64_t kLeastMemory = 2 * kGib;  // a 1 GiB guest, the server's index, the judge
constexpr std::uint64_t kLeastDisk =
    4 * kGib;  // kernel build tree 2, guest image and one archived run

std::optional<std::string> first_line(const std::vector<std::string>& words) {
  try {
    const auto captured =
        base::run({.argv = words}, base::Deadline::after(std::chrono::seconds(10)));
    if (!captured.exit.ok()) return std::nullopt;
    return captured.out.substr(0, captured.out.find('\n'));
  } catch (const std::runtime_error&) {
    return std::nullopt;
  }
}

Finding look_at_processors() {
  const unsigned count = std::thread::hardware_concurrency();
  const std::string text = std::to_string(count) + " CPUs";
  if (count >= 2) return {"cpu", State::good, text, ""};
  return {"cpu", State::limited, text, "races need two vCPUs that really run at once"};
}

Finding look_at_memory() {
  const std::uint64_t bytes = base::available_memory();
  const std::string text = base::describe_bytes(bytes) + " available";
  if (bytes >= kLeastMemory) return {"memory", State::good, text, ""};
  return {"memory", State::limited, text,
          "at least " + base::describe_bytes(kLeastMemory) + " keep the guest from being killed"};
}

Finding look_at_disk(const std::string& name, std::filesystem::path path) {
  while (!path.empty() && !std::filesystem::exists(path)) path = path.parent_path();
  std::error_code error;
  const auto space = std::filesystem::space(path.empty() ? "." : path, error);
  if (error) return {name, State::bad, path.string() + ": " + error.message(), "make it readable"};
  const std::string text = base::describe_bytes(space.available) + " free under " + path.string();
  if (space.available >= kLeastDisk) return {name, State::good, text, ""};
  return {name, State::limited, text, "free " + base::describe_bytes(kLeastDisk)};
}

Finding look_at_kvm(const AccelProbe& kvm) {
  if (kvm.works)
    return {"kvm", State::good, kvm.reason + (kvm.remembered ? " (remembered)" : ""), ""};
  return {"kvm", State::limited,
          "not usable: " + kvm.reason + (kvm.remembered ? " (remembered)" : ""),
          "guests run under TCG, several times slower; --force asks KVM again"};
}

Finding look_at_qemu(const std::optional<std::string>& version) {
  if (version) return {"qemu", State::good, "qemu-system-x86_64 " + *version, ""};
  return {"qemu", State::bad, "qemu-system-x86_64 not found or not running",
          "apt-get install qemu-system-x86"};
}

Finding look_at_nbdkit() {
  if (const auto version = first_line({"nbdkit", "--version"}))
    return {"nbdkit", State::good, *version, ""};
  return {"nbdkit", State::bad, "nbdkit not found", "apt-get install nbdkit"};
}

Finding look_at_plugin(const std::filesystem::path& plugin) {
  if (::access(plugin.c_str(), R_OK) == 0) return {"plugin", State::good, plugin.string(), ""};
  return {"plugin", State::bad, plugin.string() + " is not there", "make harness"};
}

// The embedded driver looks both up when it runs as root, before it reads any configuration.
bool libvirt_user_exists() {
  return ::geteuid() != 0 ||
         (::getpwnam("libvirt-qemu") != nullptr && ::getgrnam("libvirt-qemu") != nullptr);
}

Finding look_at_libvirt(const DoctorOptions& options, Guardian* guardian) {
  const std::string remedy = libvirt_user_exists()
                                 ? "apt-get install libvirt-daemon-driver-qemu; or --machine qemu"
                                 : "create system user and group libvirt-qemu (make deps does)";
  if (!options.open_libvirt) return {"libvirt", State::good, "in use by this process", ""};
  try {
    const auto host = LibvirtHost::embedded(options.cache / "libvirt", guardian);
    return {"libvirt", State::good,
            "libvirt " + host.version() + ", embedded driver opens in " + host.root().string(), ""};
  } catch (const std::exception& error) {
    return {"libvirt", State::bad, error.what(), remedy};
  }
}

Finding look_at_firmware() {
  const auto firmware = quick_firmware();
  if (!firmware.empty()) return {"firmware", State::good, firmware.string(), ""};
  return {"firmware", State::limited, "no qboot.rom: SeaBIOS is used, slower by 0.2 s a boot",
          "apt-get install qemu-system-data"};
}

const char* to_string(State state) {
  switch (state) {
    case State::good:
      return "ok";
    case State::limited:
      return "limited";
    case State::bad:
      return "BAD";
  }
  return "?";
}

}  // namespace

bool Diagnosis::healthy() const {
  return std::none_of(findings.begin(), findings.end(),
                      [](const Finding& finding) { return finding.state == State::bad; });
}

std::optional<std::string> qemu_version() {
  const auto line = first_line({"qemu-system-x86_64", "--version"});
  constexpr char kBefore[] = "version ";
  if (!line) return std::nullopt;
  const auto at = line->find(kBefore);
  if (at == line->npos) return line;
  const std::string rest = line->substr(at + sizeof kBefore - 1);
  return rest.substr(0, rest.find(' '));
}

std::filesystem::path kvm_cache_file(const std::filesystem::path& cache) {
  return cache / "kvm-probe.json";
}

Diagnosis diagnose(const DoctorOptions& options, Guardian* guardian) {
  Diagnosis diagnosis;
  const auto version = qemu_version();
  diagnosis.kvm = version ? probe_kvm(kvm_cache_file(options.cache), *version, options.force)
                          : AccelProbe{false, "no QEMU to ask it with", false, {}};
  const Finding libvirt = look_at_libvirt(options, guardian);
  diagnosis.libvirt = libvirt.state == State::good;
  diagnosis.findings = {look_at_processors(),
                        look_at_memory(),
                        look_at_disk("cache disk", options.cache),
                        look_at_disk("output disk", options.output),
                        look_at_qemu(version),
                        look_at_kvm(diagnosis.kvm),
                        look_at_firmware(),
                        libvirt,
                        look_at_nbdkit(),
                        look_at_plugin(options.plugin)};
  return diagnosis;
}

void print(const Diagnosis& diagnosis, std::ostream& out) {
  constexpr std::size_t kNameWidth = 12;
  constexpr std::size_t kStateWidth = 8;
  const auto padded = [](std::string text, std::size_t width) {
    return text.resize(std::max(text.size() + 1, width), ' '), text;
  };
  for (const auto& finding : diagnosis.findings) {
    out << padded(finding.name, kNameWidth) << padded(to_string(finding.state), kStateWidth)
        << finding.text << '\n';
    if (!finding.remedy.empty())
      out << std::string(kNameWidth + kStateWidth, ' ') << "-> " << finding.remedy << '\n';
  }
}

}  // namespace snapbed::vm
