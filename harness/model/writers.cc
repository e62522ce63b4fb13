// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/writers.h"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "base/overlap.h"

namespace snapbed::model {

namespace {

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// True when `path` stands in the text as a whole name.
bool names(const std::string& text, const std::string& path) {
  for (std::size_t at = text.find(path); at != std::string::npos; at = text.find(path, at + 1)) {
    const std::size_t end = at + path.size();
    const bool goes_on =
        end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 ||
                              text[end] == '_' || text[end] == '-' || text[end] == '.');
    if (!goes_on) return true;
  }
  return false;
}

// fio's sizes: a number with an optional k, m or g; the last number of a list or range.
std::uint64_t fio_size(const std::string& text) {
  std::uint64_t best = 0;
  for (std::size_t i = 0; i < text.size();) {
    if (std::isdigit(static_cast<unsigned char>(text[i])) == 0) {
      ++i;
      continue;
    }
    std::uint64_t value = 0;
    while (i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) != 0) {
      value = value * 10 + static_cast<std::uint64_t>(text[i++] - '0');
    }
    const char unit = i < text.size() ? static_cast<char>(std::tolower(text[i])) : ' ';
    if (unit == 'k') value <<= 10;
    if (unit == 'm') value <<= 20;
    if (unit == 'g') value <<= 30;
    best = std::max(best, value);
  }
  return best;
}

// The stamp at which a licence that other steps take back is over.
Stamp until(const History& history, const plan::Step& begun, const char* op, const char* key) {
  if (!begun.args.contains(key)) return kNever;
  for (std::size_t i = begun.id + 1; i < history.plan.steps.size(); ++i) {
    const plan::Step& step = history.plan.steps[i];
    const bool same = step.op == op || (step.op == "fio_wait" && std::string(op) == "fio_stop");
    if (!same || !step.args.contains(key) || step.args[key] != begun.args[key]) continue;
    if (history.steps[i].succeeded()) return history.steps[i].returned;
  }
  return kNever;
}

// A shell command may write anywhere, and leave behind what goes on writing, unless the scenario
// says that it does not.
bool may_write(const plan::Step& run) {
  return run.args.value("writes", std::string("yes")) != "no";
}

// The end of the next step of this operation.
Stamp until_next(const History& history, const plan::Step& begun, const char* op) {
  for (std::size_t i = begun.id + 1; i < history.plan.steps.size(); ++i) {
    if (history.plan.steps[i].op == op && history.steps[i].succeeded())
      return history.steps[i].returned;
  }
  return kNever;
}

void add_step(const History& history, const plan::Step& step, std::vector<Writer>& writers) {
  const StepRun& run = history.steps[step.id];
  const std::string device = step.args.value("device", std::string());
  const auto add = [&](const std::string& name, Stamp to) {
    writers.push_back({step.id, name, run.called, std::min(to, history.cut_after(run.called))});
  };
  if (step.op == "selftest" || step.op == "write" || step.op == "discard" || step.op == "zero" ||
      step.op == "mkfs" || step.op == "partition") {
    add(device, run.returned);
  } else if (step.op == "append") {
    add(device, kNever);
  } else if (step.op == "create" && step.args.contains("low") && !step.args["low"].is_null()) {
    add(step.args["low"].value("device", std::string()), kNever);
  } else if (step.op == "mount") {
    add(device, until(history, step, "umount", "at"));
  } else if (step.op == "abi" || step.op == "call_storm" || step.op == "fail_allocations") {
    for (const auto& name : step.args.at("devices")) add(name, run.returned);
    add(step.args.at("storage"), run.returned);
  } else if (step.op == "amplify_kill") {
    add(device, until_next(history, step, "calm"));
  } else if (step.op == "run") {
    if (may_write(step)) add("", kNever);
  } else if (step.op == "ledger_start") {
    const Stamp to = until(history, step, "ledger_stop", "name");
    for (const auto& name : step.args.at("devices")) add(name.get<std::string>(), to);
  } else if (step.op == "fio_start") {
    const std::string job = step.args.value("job", std::string());
    const auto named = fio_devices(history, job);
    const Stamp to = until(history, step, "fio_stop", "name");
    for (const std::string& name : named) add(name, to);
    if (named.empty()) add("", to);
  }
}

// True when the place is a partition of the disk that it lies on: what is written to the disk is a
// write to it.
bool is_partition(const History& history, const Place& place) {
  return std::any_of(history.plan.steps.begin(), history.plan.steps.end(), [&](const auto& step) {
    if (step.op != "partition") return false;
    const auto& parts = step.args.at("parts");
    return history.place(step.args.at("device").template get<std::string>()).disk == place.disk &&
           std::any_of(parts.begin(), parts.end(),
                       [&](const auto& part) { return part.at("name") == place.device; });
  });
}

}  // namespace

std::vector<Writer> writers_of(const History& history) {
  std::vector<Writer> writers;
  for (const plan::Step& step : history.plan.steps) {
    if (history.steps[step.id].begun()) add_step(history, step, writers);
  }
  return writers;
}

bool written_behind(const History& history, const std::vector<Writer>& writers, const Place& place,
                    Stamp since) {
  if (place.whole) return false;
  return std::any_of(writers.begin(), writers.end(), [&](const Writer& writer) {
    if (writer.to < since) return false;
    if (writer.device.empty()) return true;
    if (writer.device == place.device) return false;
    const Place& other = history.place(writer.device);
    if (other.disk == place.disk) {
      if (other.whole && is_partition(history, place)) return false;
      return base::overlap(other.first, other.sectors, place.first, place.sectors);
    }
    return std::find_first_of(other.below.begin(), other.below.end(), place.below.begin(),
                              place.below.end()) != other.below.end();
  });
}

bool may_flush(const History& history) {
  return std::any_of(history.plan.steps.begin(), history.plan.steps.end(), [](const auto& step) {
    if (step.op == "run") return may_write(step);
    static const char* const kFlushing[] = {"flush", "mkfs", "mount", "umount", "partition",
                                            "md_create", "md_stop", "dm_create", "dm_remove",
                                            "check_image", "ledger_start",
                                            // QEMU flushes a disk that it lets go.
                                            "plug", "unplug"};
    if (std::find(std::begin(kFlushing), std::end(kFlushing), step.op) != std::end(kFlushing)) {
      return true;
    }
    // What fio does by itself (a page cache to write back, a sync at the end) it does by these
    // keys.
    const std::string job = step.args.value("job", std::string());
    return !job.empty() &&
           (job.find("sync") != std::string::npos || job.find("direct=1") == std::string::npos);
  });
}

std::vector<FioSection> fio_sections(const std::string& text) {
  std::vector<FioSection> sections;
  FioSection global;
  FioSection* current = &global;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    line = trimmed(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      if (line == "[global]") {
        current = &global;
        continue;
      }
      sections.push_back(global);
      current = &sections.back();
      continue;
    }
    const std::size_t equals = line.find('=');
    const std::string key = trimmed(line.substr(0, equals));
    (*current)[key] = equals == std::string::npos ? "1" : trimmed(line.substr(equals + 1));
  }
  return sections;
}

std::vector<std::string> fio_devices(const History& history, const std::string& text) {
  std::vector<std::string> found;
  for (const auto& [name, device] : history.plan.devices) {
    if (names(text, device.path) || names(text, "%" + name + "%")) found.push_back(name);
  }
  return found;
}

std::uint64_t refused_blocks_limit(const History& history, std::uint64_t block_bytes) {
  std::uint64_t limit = 0;
  for (const plan::Step& step : history.plan.steps) {
    if (step.op != "fio_start") continue;
    for (const FioSection& section : fio_sections(step.args.value("job", std::string()))) {
      const auto value = [&](const char* key, const char* otherwise) {
        const auto found = section.find(key);
        return found == section.end() ? std::string(otherwise) : found->second;
      };
      const bool refusable = value("ioengine", "") == "io_uring" || value("nowait", "0") != "0";
      if (!refusable) continue;
      const std::uint64_t bytes =
          std::max({fio_size(value("bs", "4k")), fio_size(value("blocksize", "0")),
                    fio_size(value("bsrange", "0")), fio_size(value("bssplit", "0"))});
      limit += fio_size(value("iodepth", "1")) * fio_size(value("numjobs", "1")) *
               (bytes / block_bytes + 2);
    }
  }
  return limit;
}

}  // namespace snapbed::model
