// SPDX-License-Identifier: GPL-2.0-or-later
// Steps that use programs, file systems and the kernel's own switches.
#include <fcntl.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "agent/agent.h"
#include "agent/fatal.h"
#include "agent/kunit.h"
#include "agent/leftovers.h"
#include "agent/module_disk.h"
#include "agent/text.h"
#include "agent/unprotected.h"
#include "base/file.h"

namespace snapbed::agent {
namespace {

constexpr const char* kModuleDisk = "/dev/snapbed/module";
constexpr const char* kModuleName = "blksnap";
constexpr const char* kKunitModuleName = "blksnap_kunit";
const std::filesystem::path kKunitFolder = "/sys/kernel/debug/kunit";
constexpr auto kFioStartLimit = std::chrono::seconds(60);
constexpr auto kFioStopLimit = std::chrono::seconds(60);
constexpr auto kFioWaitLimit = std::chrono::seconds(240);
constexpr auto kProgramLimit = std::chrono::seconds(120);
constexpr int kSignalBase = 128;

}  // namespace

int Agent::run_program(const std::vector<std::string>& argv, const Step& step) {
  base::Command command;
  command.argv = unprotected(argv);
  auto process = base::Process::start(command);
  const base::Exit exit = process.wait(step_deadline(step, kProgramLimit));
  return exit.code ? *exit.code : kSignalBase + *exit.signal;
}

Agent::Result Agent::insmod(const Step& step) {
  const std::string disk =
      wait_for_device(kModuleDisk, step_deadline(step, std::chrono::seconds(10)));
  memory_before_ = used_memory();
  const int error = insert_module(disk, plan_.module_parameters);
  module_loaded_ = error == 0;
  return {{"result", error}};
}

Agent::Result Agent::kunit(const Step& step) {
  const std::string disk =
      wait_for_device(kModuleDisk, step_deadline(step, std::chrono::seconds(10)));
  if (const int error = insert_module(disk, {}); error != 0) return {{"result", error}};
  std::uint64_t cases = 0;
  std::vector<std::string> failed;
  for (const std::string& name : words(step.args.at("suites"))) {
    const std::filesystem::path file = kKunitFolder / std::filesystem::path(name) / "results";
    // A suite that was not run has no such file: that is its failure.
    const std::string text = std::filesystem::exists(file) ? base::read_file(file) : "";
    const KunitSuite suite = parse_kunit(name, text);
    cases += suite.cases;
    failed.insert(failed.end(), suite.failed.begin(), suite.failed.end());
  }
  int result = remove_module(kKunitModuleName);
  if (result == 0 && !failed.empty()) result = EPROTO;
  return {{"result", result}, {"kunit_cases", cases}, {"failed", failed}};
}

Agent::Result Agent::fio_start(const Step& step) {
  const std::string job = step.args.at("job");
  for (const auto& [name, device] : plan_.devices) {
    if (job.find(device.path) != std::string::npos) device_path(name);
  }
  fio_.start(step.args.at("name"), job, step_deadline(step, kFioStartLimit));
  return {{"result", 0}};
}

Agent::Result Agent::finish_fio(const Step& step, bool interrupt) {
  const std::string name = step.args.at("name");
  const auto usual = interrupt ? kFioStopLimit : kFioWaitLimit;
  const int code = fio_.finish(name, interrupt, step_deadline(step, usual));
  const std::string output = fio_.output(name);
  Result result = files_.put({reinterpret_cast<const std::uint8_t*>(output.data()), output.size()});
  result.update(summarize_fio(output));
  result["result"] = code;
  return result;
}

Agent::Result Agent::fio_stop(const Step& step) {
  return finish_fio(step, true);
}

Agent::Result Agent::fio_wait(const Step& step) {
  return finish_fio(step, false);
}

Agent::Result Agent::mkfs(const Step& step) {
  const std::string type = step.args.at("type");
  std::vector<std::string> argv = {"mkfs." + type, "-q", type == "xfs" ? "-f" : "-F"};
  for (const std::string& word : words(step.args.value("options", ""))) argv.push_back(word);
  argv.push_back(device_path(step.args.at("device")));
  return {{"result", run_program(argv, step)}};
}

Agent::Result Agent::mount(const Step& step) {
  const std::string at = step.args.at("at");
  const std::string type = step.args.at("type");
  const std::string path = device_path(step.args.at("device"));
  const MountOptions options = parse_mount_options(step.args.value("options", ""));
  std::filesystem::create_directories(at);
  const int result =
      ::mount(path.c_str(), at.c_str(), type.c_str(), options.flags, options.data.c_str());
  return {{"result", result == 0 ? 0 : errno}};
}

Agent::Result Agent::umount(const Step& step) {
  const std::string at = step.args.at("at");
  return {{"result", ::umount2(at.c_str(), 0) == 0 ? 0 : errno}};
}

Agent::Result Agent::run_command(const Step& step) {
  return {{"result", run_program({"/bin/sh", "-c", step.args.at("command")}, step)}};
}

}  // namespace snapbed::agent
