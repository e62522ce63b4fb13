// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm/qemu_machine.h"

#include <map>
#include <set>
#include <stdexcept>
#include <utility>

#include "base/file.h"
#include "base/process.h"
#include "vm/qemu_command.h"
#include "vm/qmp.h"

namespace snapbed::vm {
namespace {

using nlohmann::json;

class QemuMachine : public Machine {
 public:
  QemuMachine(MachineConfig config, Guardian* guardian)
      : config_(std::move(config)), guardian_(guardian), log_(config_.work_dir / "qemu.log") {}

  void start(const base::Deadline& deadline) override;
  bool alive() override { return process_ && !process_->poll(); }
  void wait_ended(const base::Deadline& deadline) override;
  void kill() override;
  std::string broke() override;
  std::string halted(const base::Deadline& deadline) override;
  void nudge(const std::string& disk, const base::Deadline& deadline) override;
  void dump_memory(const std::filesystem::path& file, const base::Deadline& deadline) override;
  void attach_disk(const Disk& disk, const base::Deadline& deadline) override;
  void detach_disk(const std::string& name, const base::Deadline& deadline) override;
  json execute(const std::string& command, const json& arguments,
               const base::Deadline& deadline) override {
    return control().execute(command, arguments, deadline);
  }
  std::optional<pid_t> pid() const override;
  std::string description() const override { return base::to_string(command()); }

 private:
  base::Command command() const;
  void take_ports();
  Qmp& control();

  MachineConfig config_;
  Guardian* guardian_;
  std::filesystem::path log_;
  std::optional<base::Process> process_;
  bool killed_ = false;  // by us
  std::optional<Qmp> qmp_;
  Guarded guarded_process_;
  Guarded guarded_socket_;
  std::set<std::string> free_ports_;
  std::map<std::string, std::string> ports_;  // of disks that can be detached
};

base::Command QemuMachine::command() const {
  base::Command command{.argv = qemu_command(config_)};
  if (config_.console == Console::terminal) {
    command.input = base::Input::inherit;
    command.new_group = false;  // only the foreground group may read the terminal
  } else {
    command.output = log_;
  }
  return command;
}

void QemuMachine::take_ports() {
  unsigned index = 0;
  for (const auto& disk : config_.disks)
    if (disk.removable) ports_[disk.name] = port_id(index++);
  for (unsigned free = 0; free < config_.free_slots; ++free) free_ports_.insert(port_id(index++));
}

void QemuMachine::start(const base::Deadline& deadline) {
  if (process_) throw std::runtime_error("machine " + config_.name + " was started before");
  std::filesystem::remove(qmp_socket(config_));
  if (guardian_ != nullptr) guarded_socket_ = guardian_->path(qmp_socket(config_));
  take_ports();
  process_.emplace(base::Process::start(command()));
  if (guardian_ != nullptr) guarded_process_ = guardian_->process(process_->pid());
  try {
    qmp_.emplace(
        qmp_socket(config_), [this] { return alive(); }, deadline);
  } catch (const base::TimedOut&) {
    throw;
  } catch (const std::exception& error) {
    const std::string said =
        std::filesystem::exists(log_) ? base::read_file(log_) : std::string("nothing");
    throw std::runtime_error("machine " + config_.name + " did not start: " + error.what() +
                             "; QEMU said: " + said);
  }
}

void QemuMachine::wait_ended(const base::Deadline& deadline) {
  if (!process_) return;
  try {
    process_->wait(deadline);
  } catch (const base::TimedOut&) {
    throw deadline.error("machine " + config_.name + " to end");
  }
}

void QemuMachine::kill() {
  if (!alive()) return;
  killed_ = true;
  process_->kill();
}

std::string QemuMachine::broke() {
  if (!process_ || killed_) return "";
  const auto exit = process_->poll();
  return exit && !exit->ok() ? base::to_string(*exit) : "";
}

std::string QemuMachine::halted(const base::Deadline& deadline) {
  try {
    if (!qmp_ || !alive()) return "";
    const json state = control().execute("query-status", json::object(), deadline);
    return state.value("running", true) ? "" : state.value("status", "stopped");
  } catch (const std::exception& error) {
    return error.what();
  }
}

Qmp& QemuMachine::control() {
  if (!qmp_ || !alive()) throw std::runtime_error("machine " + config_.name + " does not run");
  return *qmp_;
}

void QemuMachine::dump_memory(const std::filesystem::path& file, const base::Deadline& deadline) {
  control().execute("stop", json::object(), deadline);
  control().execute("dump-guest-memory", {{"paging", false}, {"protocol", "file:" + file.string()}},
                    deadline);
}

void QemuMachine::nudge(const std::string& disk, const base::Deadline& deadline) {
  const json said =
      control().execute("human-monitor-command", {{"command-line", nudge_command(disk)}}, deadline);
  require_nudged(disk, said.is_string() ? said.get<std::string>() : std::string());
}

void QemuMachine::attach_disk(const Disk& disk, const base::Deadline& deadline) {
  validate(disk);
  if (free_ports_.empty())
    throw std::runtime_error("machine " + config_.name + " has no free slot for disk " + disk.name);
  const std::string port = *free_ports_.begin();
  control().execute("blockdev-add", disk_node(disk), deadline);
  try {
    control().execute("device_add", disk_device(disk, port), deadline);
  } catch (...) {
    control().execute("blockdev-del", {{"node-name", "node-" + disk.name}}, deadline);
    throw;
  }
  free_ports_.erase(port);
  ports_[disk.name] = port;
}

void QemuMachine::detach_disk(const std::string& name, const base::Deadline& deadline) {
  const auto port = ports_.find(name);
  if (port == ports_.end())
    throw std::runtime_error("disk " + name + " of machine " + config_.name + " is not removable");
  const std::string device = "ua-" + name;
  control().execute("device_del", {{"id", device}}, deadline);
  control().wait_event(
      "DEVICE_DELETED", [&](const json& data) { return data.value("device", "") == device; },
      deadline);
  control().execute("blockdev-del", {{"node-name", "node-" + name}}, deadline);
  free_ports_.insert(port->second);
  ports_.erase(port);
}

std::optional<pid_t> QemuMachine::pid() const {
  if (!process_) return std::nullopt;
  return process_->pid();
}

}  // namespace

std::unique_ptr<Machine> make_qemu_machine(const MachineConfig& config, Guardian* guardian) {
  validate(config);
  return std::make_unique<QemuMachine>(config, guardian);
}

}  // namespace snapbed::vm
