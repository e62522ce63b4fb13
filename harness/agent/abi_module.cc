// SPDX-License-Identifier: GPL-2.0-or-later
// The module from outside: parameters, nodes, who may open them, loading and unloading.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/capability.h>

#include <array>
#include <filesystem>
#include <thread>

#include "agent/abi.h"
#include "base/error.h"
#include "base/file.h"

namespace snapbed::agent {
namespace {

struct Parameter {
  const char* name;
  std::uint64_t fallback;
  std::uint64_t least;
  std::uint64_t most;
};
constexpr Parameter kParameters[] = {
    {"tracking_block_minimum_shift", 16, 9, 31},
    {"tracking_block_maximum_count", 2097152, 1, 67108864},
    {"chunk_minimum_shift", 18, 12, 26},
    {"chunk_maximum_count", 2097152, 1, 67108864},
    {"diff_storage_minimum", 2097152, 16, 2147483648},
    {"unsaved_limit_mib", 64, 1, 65536},
    {"take_timeout_ms", 10000, 1, 3600000},
    {"storage_stall_ms", 30000, 1, 3600000},
};
constexpr const char* kClassFile = "/sys/class/blksnap/major";
constexpr std::uint32_t kStranger = 65534;

void parameter_cases(AbiBench& bench, const Parameter& parameter) {
  const std::string name = parameter.name;
  const ParameterSet kept(name, read_parameter(name));
  const auto taken = [&](const std::string& text, const std::string& shown) {
    bench.cases.result(name, "write of " + text, 0, write_parameter(name, text + "\n"));
    bench.cases.add(name, "reads after a write of " + text, {shown}, read_parameter(name));
  };
  const auto refused = [&](const std::string& text) {
    const std::string before = read_parameter(name);
    bench.cases.result(name, "write of \"" + text + "\"", -EINVAL,
                       write_parameter(name, text + "\n"));
    bench.cases.add(name, "reads after a refused \"" + text + "\"", {before}, read_parameter(name));
  };
  taken(std::to_string(parameter.least), std::to_string(parameter.least));
  taken(std::to_string(parameter.most), std::to_string(parameter.most));
  refused(std::to_string(parameter.least - 1));
  refused(std::to_string(parameter.most + 1));
  for (const char* text : {"", "-1", "abc", "1x", "4294967296", "18446744073709551616"}) {
    refused(text);
  }
}

void default_cases(AbiBench& bench) {
  for (const Parameter& parameter : kParameters) {
    bench.cases.add(parameter.name, "its value when nothing was given",
                    {std::to_string(parameter.fallback)}, read_parameter(parameter.name));
    struct stat status {};
    const std::string path = std::string("/sys/module/blksnap/parameters/") + parameter.name;
    ::stat(path.c_str(), &status);
    bench.cases.truth(parameter.name, "root alone may write it",
                      (status.st_mode & 0777) == 0644 && status.st_uid == 0);
  }
}

// The module refuses to be loaded with a value out of range, and leaves nothing.
void loading_cases(AbiBench& bench) {
  for (const Parameter& parameter : kParameters) {
    for (const std::uint64_t value : {parameter.least - 1, parameter.most + 1}) {
      bench.cases.result("insmod", std::string(parameter.name) + "=" + std::to_string(value),
                         -EINVAL, -bench.loader.insert({{parameter.name, std::to_string(value)}}));
    }
  }
  bench.cases.truth("insmod", "refused, it leaves no /sys/module/blksnap",
                    !std::filesystem::exists("/sys/module/blksnap"));
}

std::string mode_text(mode_t mode) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%04o", mode & 07777U);
  return text.data();
}

void node_cases(AbiBench& bench) {
  struct stat status {};
  bench.cases.result("/dev/blksnap", "stat", 0,
                     ::stat(abi::kControlPath, &status) == 0 ? 0 : -errno);
  bench.cases.truth("/dev/blksnap", "is a character device", S_ISCHR(status.st_mode));
  bench.cases.result("/dev/blksnap", "its major is that of misc devices", 10,
                     major(status.st_rdev));
  bench.cases.add("/dev/blksnap", "its mode", {"0600"}, mode_text(status.st_mode));
  ::stat(kClassFile, &status);
  bench.cases.add(kClassFile, "its mode", {"0444"}, mode_text(status.st_mode));
  const std::string text = base::read_file(kClassFile);
  const bool number = text.size() > 1 && text.back() == '\n' &&
                      text.find_first_not_of("0123456789") == text.size() - 1;
  bench.cases.truth(kClassFile, "is a number and a newline", number, "\"" + text + "\"");
  const std::string devices = base::read_file("/proc/devices");
  const std::string entry = text.substr(0, text.size() - 1) + " blksnap\n";
  const std::size_t at = devices.find(entry);
  bench.cases.truth(
      "/proc/devices", "names that major after the module",
      at != std::string::npos && at > 0 && (devices[at - 1] == ' ' || devices[at - 1] == '\n'));
}

// Opens the control node as another caller would. Credentials are the thread's, not the process's,
// when the system calls are made directly.
std::int64_t open_as(std::uint32_t user, bool with_capabilities) {
  std::int64_t result = -EPROTO;
  std::thread([&] {
    if (!with_capabilities) {
      __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
      const std::array<__user_cap_data_struct, 2> none{};
      if (::syscall(SYS_capset, &header, none.data()) != 0) return;
    }
    if (user != 0 && ::syscall(SYS_setresuid, user, user, user) != 0) return;
    const base::UniqueFd node(::open(abi::kControlPath, O_RDWR | O_CLOEXEC));
    result = node ? 0 : -errno;
  }).join();
  return result;
}

void stranger_cases(AbiBench& bench) {
  bench.cases.result("open", "by root", 0, open_as(0, true));
  bench.cases.result("open", "by root without any capability", -EPERM, open_as(0, false));
  bench.cases.result("open", "by a stranger", -EACCES, open_as(kStranger, true));
  ::chmod(abi::kControlPath, 0666);
  bench.cases.result("open", "by a stranger whom the node's mode lets in", -EPERM,
                     open_as(kStranger, true));
  ::chmod(abi::kControlPath, 0600);
}

void held_cases(AbiBench& bench) {
  const abi::DeviceId origin = bench.origins[0].id;
  const auto busy = [&](const std::string& with) {
    const int error = bench.loader.remove();
    bench.cases.result("delete_module", with, -EWOULDBLOCK, -error);
    if (error == 0) throw CannotGoOn("the module has gone while it was in use");
  };
  busy("with the control node open");
  abi::Uuid id = bench.must_create({origin});
  bench.close_control();
  busy("with a created snapshot");
  bench.open_control();
  bench.must("TAKE", bench.take(id));
  bench.close_control();
  busy("with a taken snapshot");
  bench.open_control();
  const std::string path = bench.image_path(id, origin);
  base::UniqueFd image(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  bench.must("DESTROY", bench.destroy(id));
  bench.close_control();
  busy("with an image of a destroyed snapshot still open");
  image.reset();
  bench.open_control();
}

void unload(AbiBench& bench, const std::string& with) {
  bench.close_control();
  const int error = bench.loader.remove();
  bench.cases.result("delete_module", with, 0, -error);
  if (error != 0) {
    bench.open_control();
    throw CannotGoOn("the module cannot be unloaded");
  }
  std::string left;
  for (const std::string& one : bench.loader.left()) left += (left.empty() ? "" : ", ") + one;
  bench.cases.truth("delete_module", with + ": nothing is left", left.empty(), left);
}

}  // namespace

void abi_parameters(AbiBench& bench) {
  for (const Parameter& parameter : kParameters) parameter_cases(bench, parameter);
}

// Ends as it began: loaded with the values that a plain insmod gives.
void abi_module(AbiBench& bench) {
  node_cases(bench);
  stranger_cases(bench);
  held_cases(bench);
  bench.must("DESTROY", bench.destroy(bench.must_create({bench.origins[0].id})));
  unload(bench, "with a tracked device");
  loading_cases(bench);
  const int error = bench.loader.insert({});
  bench.cases.result("insmod", "again", 0, -error);
  if (error != 0) throw CannotGoOn("the module cannot be loaded again");
  bench.open_control();
  default_cases(bench);
  bench.cases.result("insmod", "twice", -EEXIST, -bench.loader.insert({}));
  std::vector<abi::CbtInfo> infos;
  bench.must("TRACKER_COLLECT", bench.trackers(infos));
  bench.cases.result("TRACKER_COLLECT", "trackers after the module was loaded again", 0,
                     static_cast<std::int64_t>(infos.size()));
  abi_numbers(bench);
  unload(bench, "with nothing");
  bench.cases.result("insmod", "a third time", 0, -bench.loader.insert({}));
  bench.open_control();
}

}  // namespace snapbed::agent
