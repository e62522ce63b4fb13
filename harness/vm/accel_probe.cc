// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm/accel_probe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "base/temporary_folder.h"
#include "vm/probe_image.h"

namespace snapbed::vm {
namespace {

constexpr char kKvmDevice[] = "/dev/kvm";

std::string seconds(std::chrono::milliseconds time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(time.count()) / 1000.0);
  return text;
}

base::Command probe_command(Accel accel, const std::filesystem::path& folder) {
  const auto file = [&](const char* name) { return (folder / name).string(); };
  return {.argv = {"qemu-system-x86_64", "-accel", to_string(accel), "-machine", "pc,hpet=off",
                   "-nodefaults", "-no-user-config", "-display", "none", "-m", "16", "-no-reboot",
                   "-drive", "if=ide,format=raw,readonly=off,snapshot=on,file=" + file("image"),
                   "-debugcon", "file:" + file("answer"), "-device",
                   "isa-debug-exit,iobase=0xf4,iosize=0x01"},
          .output = folder / "log"};
}

std::string judge(const base::Exit& exit, const std::filesystem::path& folder) {
  const std::string answer =
      std::filesystem::exists(folder / "answer") ? base::read_file(folder / "answer") : "";
  // SeaBIOS logs to the same port: ours is the end.
  const std::string wanted = kProbeAnswer;
  const bool answered = answer.size() >= wanted.size() &&
                        answer.compare(answer.size() - wanted.size(), wanted.npos, wanted) == 0;
  if (answered && exit.code == kProbeExitStatus) return "";
  std::string said = base::read_file(folder / "log");
  while (!said.empty() && said.back() == '\n') said.pop_back();
  return "QEMU ended with " + base::to_string(exit) +
         (answered ? "" : ", no answer from the guest") + (said.empty() ? "" : ": " + said);
}

// What the answer depends on: another kernel, QEMU or device may answer differently.
nlohmann::json cache_key(const std::string& qemu_version) {
  ::utsname host{};
  ::uname(&host);
  struct ::stat device {};
  const bool there = ::stat(kKvmDevice, &device) == 0;
  return {{"kernel", std::string(host.release) + " " + host.version},
          {"qemu", qemu_version},
          {"device", there ? std::to_string(major(device.st_rdev)) + ":" +
                                 std::to_string(minor(device.st_rdev))
                           : "none"}};
}

std::optional<AccelProbe> recall(const std::filesystem::path& file, const nlohmann::json& key) {
  std::ifstream stream(file);
  const auto saved = nlohmann::json::parse(stream, nullptr, false);
  if (!saved.is_object() || saved.value("key", nlohmann::json()) != key) return std::nullopt;
  if (!saved.contains("works") || !saved["works"].is_boolean()) return std::nullopt;
  const auto reason = saved.find("reason");
  return AccelProbe{saved["works"],
                    reason != saved.end() && reason->is_string() ? std::string(*reason) : "",
                    true,
                    {}};
}

void remember(const std::filesystem::path& file, const nlohmann::json& key,
              const AccelProbe& probe) {
  try {
    std::filesystem::create_directories(file.parent_path());
    const nlohmann::json saved = {{"key", key}, {"works", probe.works}, {"reason", probe.reason}};
    base::write_file(file, saved.dump(2) + "\n");
  } catch (const std::exception&) {
    // Only speed is lost; see the header.
  }
}

// The firmware and the sector are all emulation to TCG: a real KVM is never slower than this.
AccelProbe compare(const AccelProbe& kvm, const AccelProbe& tcg) {
  constexpr auto kNoise = std::chrono::milliseconds(300);  // of a loaded host
  if (!tcg.works || kvm.took <= tcg.took + kNoise) return kvm;
  return {false, "slower than emulation: " + kvm.reason + ", TCG in " + seconds(tcg.took), false,
          kvm.took};
}

}  // namespace

AccelProbe boot_probe(Accel accel, std::chrono::milliseconds limit) {
  const base::TemporaryFolder folder(std::filesystem::temp_directory_path() / "snapbed-probe-");
  const auto image = probe_image();
  base::write_file(folder.path() / "image",
                   {reinterpret_cast<const char*>(image.data()), image.size()});
  const auto deadline = base::Deadline::after(limit);
  try {
    base::Process qemu = base::Process::start(probe_command(accel, folder.path()));
    const std::string trouble = judge(qemu.wait(deadline), folder.path());
    if (!trouble.empty()) return {false, trouble, false, {}};
    const auto took = limit - deadline.remaining();
    return {true, "booted a test sector in " + seconds(took), false, took};
  } catch (const base::TimedOut&) {
    return {false,
            "a test sector did not boot within " + seconds(limit) + ": the guest hangs",
            false,
            {}};
  } catch (const std::runtime_error& error) {
    return {false, error.what(), false, {}};
  }
}

AccelProbe probe_kvm(const std::filesystem::path& cache_file, const std::string& qemu_version,
                     bool force) {
  const base::UniqueFd device(::open(kKvmDevice, O_RDWR | O_CLOEXEC));
  if (!device)  // cheap, and changes with the user's groups: never remembered
    return {false, std::string(kKvmDevice) + ": " + base::errno_text(errno), false, {}};
  const auto key = cache_key(qemu_version);
  if (!force)
    if (const auto saved = recall(cache_file, key)) return *saved;
  AccelProbe probe = boot_probe(Accel::kvm);
  if (probe.works) probe = compare(probe, boot_probe(Accel::tcg));
  remember(cache_file, key, probe);
  return probe;
}

Accel choose_accel(AccelChoice requested, const AccelProbe& kvm) {
  if (requested == AccelChoice::tcg) return Accel::tcg;
  if (kvm.works) return Accel::kvm;
  if (requested == AccelChoice::automatic) return Accel::tcg;
  throw std::runtime_error("KVM was asked for and does not work here: " + kvm.reason);
}

}  // namespace snapbed::vm
