// SPDX-License-Identifier: GPL-2.0-or-later
// The module from outside: parameters, nodes, who may open them, loading and unloading.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include <array>
#include <filesystem>
#include <optional>
#include <thread>

#include "agent/abi.h"
#include "agent/text.h"
#include "base/error.h"
#include "base/file.h"

namespace snapbed::agent {
namespace {

struct Parameter {
  const char* name;
  std::optional<std::uint64_t> fallback;  // where the interface tells it
  bool shift = false;                     // the logarithm of a number of bytes
};
constexpr Parameter kParameters[] = {
    {"tracking_block_minimum_shift", 16, true},
    {"tracking_block_maximum_count", 2097152},
    {"chunk_minimum_shift", 18, true},
    {"chunk_maximum_count", 2097152},
    {"diff_storage_minimum", 2097152},
    // Ours: another implementation need not have them, and chooses what they are.
    {"unsaved_limit_mib", {}},
    {"take_timeout_ms", {}},
    {"storage_stall_ms", {}},
};
constexpr const char* kClassFile = "/sys/class/blksnap/major";
constexpr std::uint32_t kStranger = 65534;

std::vector<Parameter> parameters_there(AbiBench& bench) {
  std::vector<Parameter> there;
  for (const Parameter& parameter : kParameters) {
    const bool is_there = has_parameter(parameter.name);
    if (parameter.fallback) bench.cases.truth(parameter.name, "is a parameter", is_there);
    if (is_there) there.push_back(parameter);
  }
  return there;
}

// The numbers next to the range that the module documents, and for a shift what none can hold.
std::vector<std::string> out_of_range(const AbiBench& bench, const Parameter& parameter) {
  std::vector<std::string> values;
  if (const auto range = bench.loader.range(parameter.name)) {
    constexpr std::uint64_t kBeyond32 = 1ULL << 32U;
    if (range->least > 0) values.push_back(std::to_string(range->least - 1));
    values.push_back(std::to_string(range->most + 1));
    if (range->most < kBeyond32 - 1) values.push_back(std::to_string(kBeyond32));
  }
  if (parameter.shift) values.emplace_back("64");
  return values;
}

void parameter_cases(AbiBench& bench, const Parameter& parameter) {
  const std::string name = parameter.name;
  const ParameterSet kept(name, read_parameter(name));
  const auto taken = [&](const std::string& text) {
    bench.cases.result(name, "write of " + text, 0, write_parameter(name, text + "\n"));
    bench.cases.add(name, "reads after a write of " + text, {text}, read_parameter(name));
  };
  const auto refused = [&](const std::string& text) {
    const std::string before = read_parameter(name);
    bench.cases.result(name, "write of \"" + text + "\"", -EINVAL,
                       write_parameter(name, text + "\n"));
    bench.cases.add(name, "reads after a refused \"" + text + "\"", {before}, read_parameter(name));
  };
  if (const auto range = bench.loader.range(name)) {
    taken(std::to_string(range->least));
    taken(std::to_string(range->most));
  }
  for (const std::string& text : out_of_range(bench, parameter)) refused(text);
  for (const char* text : {"", "-1", "abc", "1x", "18446744073709551616"}) refused(text);
}

void default_cases(AbiBench& bench) {
  for (const Parameter& parameter : parameters_there(bench)) {
    if (parameter.fallback) {
      bench.cases.add(parameter.name, "its value when nothing was given",
                      {std::to_string(*parameter.fallback)}, read_parameter(parameter.name));
    }
    struct stat status {};
    const std::string path = std::string("/sys/module/blksnap/parameters/") + parameter.name;
    ::stat(path.c_str(), &status);
    bench.cases.truth(parameter.name, "root alone may write it",
                      (status.st_mode & 0777) == 0644 && status.st_uid == 0);
  }
}

// The module refuses to be loaded with a value out of range, and leaves nothing.
void loading_cases(AbiBench& bench, const std::vector<Parameter>& parameters) {
  for (const Parameter& parameter : parameters) {
    for (const std::string& value : out_of_range(bench, parameter)) {
      const int error = bench.loader.insert({{parameter.name, value}});
      bench.cases.result("insmod", std::string(parameter.name) + "=" + value, -EINVAL, -error);
      // What comes next is not blamed for it.
      if (error == 0) bench.loader.remove();
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
  bench.cases.add("/dev/blksnap", "its mode", {"0600"}, mode_text(status.st_mode));
  ::stat(kClassFile, &status);
  bench.cases.add(kClassFile, "its mode", {"0444"}, mode_text(status.st_mode));
  const std::string text = base::read_file(kClassFile);
  const bool number = text.size() > 1 && text.back() == '\n' &&
                      text.find_first_not_of("0123456789") == text.size() - 1;
  bench.cases.truth(kClassFile, "is a number and a newline", number, "\"" + text + "\"");
  bench.cases.truth("/proc/devices", "lists that major among those of block devices",
                    number && text.size() < 10 &&
                        is_block_major(base::read_file("/proc/devices"), std::stoul(text)));
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
  for (const Parameter& parameter : parameters_there(bench)) parameter_cases(bench, parameter);
}

// Ends as it began: loaded with the values that a plain insmod gives.
void abi_module(AbiBench& bench) {
  node_cases(bench);
  stranger_cases(bench);
  held_cases(bench);
  bench.must("DESTROY", bench.destroy(bench.must_create({bench.origins[0].id})));
  const std::vector<Parameter> parameters = parameters_there(bench);
  unload(bench, "with a tracked device");
  loading_cases(bench, parameters);
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
