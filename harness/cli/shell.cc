// SPDX-License-Identifier: GPL-2.0-or-later
// The guest's console with the disks of a scenario attached: QEMU directly, serial on the terminal.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "base/file.h"
#include "cli/commands.h"
#include "plan/plan.h"
#include "runner/command_line.h"
#include "runner/out_folder.h"
#include "runner/server.h"
#include "vm/host_counter.h"
#include "vm/qemu_machine.h"

namespace snapbed::cli {
namespace {

constexpr std::chrono::hours kSession{24};  // a shell that nobody ends is ended

vm::MachineConfig machine(const CommonOptions& options, const scenario::Scenario& scenario,
                          const scenario::Built& built, const runner::Parts& parts,
                          const std::filesystem::path& folder) {
  vm::MachineConfig config;
  config.name = "snapbed-" + std::to_string(::getpid());
  config.kernel = parts.kernel;
  config.root_image = parts.image;
  config.firmware = vm::quick_firmware();
  config.command_line =
      runner::guest_command_line(scenario.kernel_arguments, config.accel, vm::host_counter_khz()) +
      " snapbed_shell=1";
  config.memory_mib =
      options.memory_mib.value_or(static_cast<std::uint32_t>(scenario.memory_bytes >> 20U));
  config.vcpus = static_cast<std::uint16_t>(options.vcpus.value_or(scenario.vcpus));
  config.console = vm::Console::terminal;
  config.work_dir = folder;
  for (const journal::Disk& disk : built.disks) {
    vm::Disk out;
    out.name = disk.name;
    out.socket = folder / "nbd";
    out.read_only = disk.role == journal::Role::plan;
    config.disks.push_back(out);
  }
  return config;
}

}  // namespace

int shell(const CommonOptions& options) {
  const auto names = options.names.empty() ? std::vector<std::string>{"storm"} : options.names;
  const scenario::Scenario scenario =
      scenario::load(find_scenarios(options.scenarios, names).front());
  runner::require_programs();
  const runner::Parts parts = runner::find_parts(options.parts, options.program);
  vm::Guardian guardian = vm::Guardian::start();
  const runner::SocketFolder folder;
  const vm::Guarded guarded = guardian.directory(folder.path());
  scenario::Built built = scenario::build_plan(scenario, options.seed.value_or(1), 1);
  const std::string text = plan::to_text(built.plan);
  const auto bytes = plan::to_disk(text);
  base::write_file(folder.path() / "plan.json", text);
  base::write_file(folder.path() / "plan.img",
                   std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  const auto sectors = runner::write_module_disk(parts.module, folder.path() / "module.img");
  built.disks.push_back({static_cast<std::uint16_t>(built.disks.size()), "module",
                         journal::Role::plan, journal::Initial::zero, sectors});
  runner::Server server({parts.plugin, folder.path(), folder.path() / "nbd",
                         runner::server_config(scenario, built, folder.path())},
                        base::Deadline::after(std::chrono::seconds(20)));
  const auto guest =
      vm::make_qemu_machine(machine(options, scenario, built, parts, folder.path()), &guardian);
  fmt::print(
      "snapbed: disks in /dev/snapbed, the module on /dev/snapbed/module; `poweroff -f` or Ctrl-A "
      "x ends\n");
  std::fflush(stdout);  // before QEMU writes to it
  guest->start(base::Deadline::after(std::chrono::seconds(30)));
  guest->wait_ended(base::Deadline::after(kSession));
  server.quit(base::Deadline::after(std::chrono::seconds(20)));
  return 0;
}

}  // namespace snapbed::cli
