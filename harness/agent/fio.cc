// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/fio.h"

#include <dirent.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "agent/block_device.h"
#include "agent/disk_statistics.h"
#include "agent/fatal.h"
#include "agent/text.h"
#include "agent/unprotected.h"
#include "base/file.h"

namespace snapbed::agent {
namespace fs = std::filesystem;

namespace {

constexpr int kInterrupted = 128;  // fio's exit code after SIGINT
constexpr std::size_t kTailBytes = 300;

fs::path job_path(const std::string& name) {
  return "/tmp/" + name + ".fio";
}
fs::path json_path(const std::string& name) {
  return "/tmp/" + name + ".json";
}
fs::path log_path(const std::string& name) {
  return "/tmp/" + name + ".log";
}

std::string tail(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return "";
  const std::string text = base::read_file(file);
  return text.substr(text.size() - std::min(text.size(), kTailBytes));
}

// Field 4 of /proc/PID/stat, after the name in parentheses, which may hold blanks.
pid_t parent_of(const std::string& stat) {
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream rest(stat.substr(name_end + 1));
  std::string state;
  pid_t parent = 0;
  rest >> state >> parent;
  return parent;
}

bool has_children(pid_t pid) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream stream(entry.path() / "stat");
    std::string stat;
    std::getline(stream, stat);
    if (parent_of(stat) == pid) return true;
  }
  return false;
}

std::vector<dev_t> target_devices(const std::string& job) {
  std::vector<dev_t> devices;
  for (const std::string& target : fio_targets(job)) {
    fs::path place = target;
    std::error_code error;
    while (place.has_relative_path() && !fs::exists(place, error)) place = place.parent_path();
    devices.push_back(device_below(place));
  }
  return devices;
}

}  // namespace

nlohmann::json summarize_fio(const std::string& output) {
  const auto open = output.find("{");
  if (open == std::string::npos) throw std::runtime_error("fio's output has no JSON: " + output);
  const auto document = nlohmann::json::parse(output.substr(open));
  std::uint64_t writes = 0;
  std::uint64_t bytes = 0;
  std::uint64_t errors = 0;
  for (const auto& job : document.at("jobs")) {
    writes += job.at("write").at("total_ios").get<std::uint64_t>();
    bytes += job.at("write").at("io_bytes").get<std::uint64_t>();
    errors += job.at("error").get<int>() != 0 ? 1 : 0;
    errors += job.value("total_err", std::uint64_t{0});
  }
  return {{"writes", writes}, {"bytes_written", bytes}, {"errors", errors}};
}

bool FioJobs::is_writing(Job& job, const std::map<dev_t, std::uint64_t>& before) {
  if (!job.threads && !has_children(job.process.pid())) return false;
  return std::all_of(before.begin(), before.end(), [](const auto& entry) {
    return read_disk_statistics(entry.first).requests() > entry.second;
  });
}

void FioJobs::start(const std::string& name, const std::string& job,
                    const base::Deadline& deadline) {
  if (jobs_.contains(name)) throw Fatal("fio " + name + " is started twice");
  base::write_file(job_path(name), job);
  std::map<dev_t, std::uint64_t> before;
  for (const dev_t id : target_devices(job)) before[id] = read_disk_statistics(id).requests();
  base::Command command;
  command.argv = unprotected({"fio", "--output-format=json", "--output=" + json_path(name).string(),
                              job_path(name).string()});
  command.output = log_path(name);
  Job& started = jobs_.emplace(name, Job{base::Process::start(command), {}, fio_uses_threads(job)})
                     .first->second;
  base::wait_until("fio " + name + " to write to all of its devices", deadline, [&] {
    if (const auto exit = started.process.poll(); exit.has_value()) {
      throw Fatal("fio " + name + " ended before it wrote: " + base::to_string(*exit) + ": " +
                  tail(log_path(name)) + tail(json_path(name)));
    }
    return is_writing(started, before);
  });
}

int FioJobs::finish(const std::string& name, bool interrupt, const base::Deadline& deadline) {
  const auto job = jobs_.find(name);
  if (job == jobs_.end()) throw Fatal("fio " + name + " was not started");
  if (interrupt) job->second.process.signal(SIGINT);
  const base::Exit exit = job->second.process.wait(deadline);
  jobs_.erase(job);
  if (!exit.code) throw Fatal("fio " + name + " was " + base::to_string(exit));
  return interrupt && *exit.code == kInterrupted ? 0 : *exit.code;
}

std::string FioJobs::output(const std::string& name) const {
  return base::read_file(json_path(name));
}

std::optional<FioJobs::Ended> FioJobs::ended() {
  for (auto& [name, job] : jobs_) {
    if (const auto exit = job.process.poll(); exit.has_value()) {
      return Ended{exit->ok(), "fio " + name + " ended while its writes were waited for: " +
                                   base::to_string(*exit) + ": " + tail(log_path(name))};
    }
  }
  return std::nullopt;
}

}  // namespace snapbed::agent
