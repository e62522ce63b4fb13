// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/text.h"

#include <sys/mount.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace snapbed::agent {
namespace {

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// One line of a job file: key, and the value after '=' (empty without one).
struct Setting {
  std::string key;
  std::string value;
};

std::vector<Setting> fio_settings(const std::string& job) {
  std::vector<Setting> settings;
  std::istringstream stream(job);
  for (std::string line; std::getline(stream, line);) {
    const std::string entry = trimmed(line);
    if (entry.empty() || entry[0] == '[' || entry[0] == ';' || entry[0] == '#') continue;
    const auto equals = entry.find('=');
    settings.push_back({trimmed(entry.substr(0, equals)),
                        equals == std::string::npos ? "" : trimmed(entry.substr(equals + 1))});
  }
  return settings;
}

void add_once(std::vector<std::string>& values, const std::string& value) {
  if (!value.empty() && std::find(values.begin(), values.end(), value) == values.end()) {
    values.push_back(value);
  }
}

// Splits at colons; fio escapes a colon that belongs to a name with a backslash.
void add_names(std::vector<std::string>& values, const std::string& list) {
  std::string name;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i] == '\\' && i + 1 < list.size() && list[i + 1] == ':') {
      name += list[++i];
    } else if (list[i] == ':') {
      add_once(values, name);
      name.clear();
    } else {
      name += list[i];
    }
  }
  add_once(values, name);
}

unsigned long mount_flag(const std::string& option) {
  if (option == "ro") return MS_RDONLY;
  if (option == "sync") return MS_SYNCHRONOUS;
  if (option == "dirsync") return MS_DIRSYNC;
  if (option == "noatime") return MS_NOATIME;
  if (option == "lazytime") return MS_LAZYTIME;
  return 0;
}

}  // namespace

std::string substitute_devices(const std::string& table,
                               const std::map<std::string, plan::Device>& devices) {
  std::string result;
  std::size_t at = 0;
  for (std::size_t open = 0; (open = table.find('%', at)) != std::string::npos;) {
    const std::size_t close = table.find('%', open + 1);
    if (close == std::string::npos) {
      throw std::runtime_error("table \"" + table + "\": % without its partner");
    }
    const std::string name = table.substr(open + 1, close - open - 1);
    const auto device = devices.find(name);
    if (device == devices.end()) {
      throw std::runtime_error("table \"" + table + "\": no device is called \"" + name + "\"");
    }
    result += table.substr(at, open - at) + device->second.path;
    at = close + 1;
  }
  return result + table.substr(at);
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> result;
  for (std::string word; stream >> word;) result.push_back(word);
  return result;
}

std::vector<std::string> split_list(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> result;
  for (std::string word; std::getline(stream, word, ',');) result.push_back(word);
  return result;
}

std::string hex(std::span<const std::uint8_t> bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string result;
  for (const std::uint8_t byte : bytes) {
    result += digits[byte >> 4];
    result += digits[byte & 15];
  }
  return result;
}

std::array<std::uint8_t, 16> uuid_of(const std::string& hex) {
  std::array<std::uint8_t, 16> id{};
  const bool right =
      hex.size() == 2 * id.size() && hex.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!right) throw std::runtime_error("\"" + hex + "\" is no id of 16 bytes");
  for (std::size_t i = 0; i < id.size(); ++i) {
    id[i] = static_cast<std::uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
  }
  return id;
}

std::vector<std::string> fio_targets(const std::string& job) {
  std::vector<std::string> targets;
  for (const Setting& setting : fio_settings(job)) {
    if (setting.key == "filename") add_names(targets, setting.value);
    if (setting.key == "directory") add_names(targets, setting.value);
  }
  return targets;
}

bool fio_uses_threads(const std::string& job) {
  for (const Setting& setting : fio_settings(job)) {
    if (setting.key == "thread" && setting.value != "0") return true;
  }
  return false;
}

MountOptions parse_mount_options(const std::string& options) {
  MountOptions result;
  std::istringstream stream(options);
  for (std::string option; std::getline(stream, option, ',');) {
    if (const unsigned long flag = mount_flag(option); flag != 0) {
      result.flags |= flag;
    } else if (!option.empty() && option != "defaults" && option != "rw") {
      result.data += (result.data.empty() ? "" : ",") + option;
    }
  }
  return result;
}

bool is_block_major(const std::string& devices, unsigned long major) {
  std::istringstream lines(devices);
  bool block = false;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    unsigned long number = 0;
    if (line == "Block devices:")
      block = true;
    else if (block && fields >> number && number == major)
      return true;
  }
  return false;
}

}  // namespace snapbed::agent
