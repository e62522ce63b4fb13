// SPDX-License-Identifier: GPL-2.0-or-later
// fio in the background: started until it really writes, ended, its result read.
#pragma once

#include <sys/types.h>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"

namespace snapbed::agent {

// What the plan's reader wants of fio's JSON: {writes, bytes_written, errors}. fio puts lines of
// text before it when it was interrupted. Throws std::runtime_error when there is no JSON. Pure.
nlohmann::json summarize_fio(const std::string& output);

// The running fio processes by name. One thread; that thread must outlive them.
class FioJobs {
 public:
  // Returns when workers exist and every device that the job names has had I/O since the start.
  // Throws Fatal when fio ends before that, base::TimedOut when it does not come to it.
  void start(const std::string& name, const std::string& job, const base::Deadline& deadline);
  // SIGINT when `interrupt`, then waits for the end. Returns the exit code; 128, which fio gives
  // for our own signal, is 0.
  int finish(const std::string& name, bool interrupt, const base::Deadline& deadline);
  // The JSON file's text, after finish().
  std::string output(const std::string& name) const;
  // One of them that runs no longer although it was not finished: a wait for its writes would be
  // in vain. nullopt while all run.
  struct Ended {
    bool clean = false;  // exit code 0
    std::string text;    // what happened, for people
  };
  std::optional<Ended> ended();
  bool empty() const { return jobs_.empty(); }

 private:
  struct Job {
    base::Process process;
    std::vector<dev_t> devices;
    bool threads = false;
  };
  bool is_writing(Job& job, const std::map<dev_t, std::uint64_t>& before);

  std::map<std::string, Job> jobs_;
};

}  // namespace snapbed::agent
