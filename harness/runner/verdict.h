// SPDX-License-Identifier: GPL-2.0-or-later
// The verdict of a run: how it ended and what the judge found, put into one status and one reason
// of a closed list. Pure functions and values.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "model/report.h"

namespace snapbed::runner {

// The numbers are exit statuses of `snapbed run`.
enum class Status : std::uint8_t { pass = 0, fail = 1, bad_input = 2, broken = 3, skip = 4 };
std::string to_string(Status status);

enum class Reason : std::uint8_t {
  all_checks_passed,       // pass
  check_failed,            // fail: a check found a contradiction
  kernel_log,              // fail: the guest's kernel complained after boot
  guest_died,              // fail: the guest reset, powered off or vanished after boot
  guest_hung,              // fail: neither marks nor requests, and the server owed nothing
  module_broke_interface,  // fail: the agent saw the module break its interface
  no_boot,                 // broken: the agent's first mark never came
  agent_failed,            // broken: the agent could not go on
  record_unsound,          // broken: the record itself cannot be judged
  not_exercised,           // broken: a check ran on less than the scenario's minimum
  rule_never_fired,        // broken: a rule of the scenario met no request
  server_stuck,            // broken: the recording server owed an answer for too long
  server_failed,           // broken: the recording server ended or complained
  host_disk_full,          // broken: no room for the record
  part_missing,            // broken: a program, kernel, module or image is not there
  host_error,              // broken: the host refused something else
  host_starved,            // broken: a limit of time has passed while the host gave too little
  interrupted,             // broken: SIGINT or SIGTERM; `snapbed` exits with 130
  host_cannot,             // skip: the host lacks something the scenario needs
  module_cannot,  // skip: the module lacks something beyond the interface that the scenario needs
};
std::string to_string(Reason reason);

// How the execution came to its end.
enum class Ending : std::uint8_t {
  done,     // the agent finished its plan and the guest powered off
  finding,  // a cycle's judging found something, the machine was stopped
  no_boot,
  guest_died,
  guest_hung,
  agent_failed,
  module_broke_interface,
  server_stuck,
  server_failed,
  host_disk_full,
  part_missing,
  host_error,
  interrupted,
  host_lacks,    // nothing was started
  module_lacks,  // the same
};

// The name in verdict.json, and the way back; nullopt when no ending is called so.
std::string to_string(Ending ending);
std::optional<Ending> parse_ending(const std::string& name);

// What a rule of the scenario did.
struct RuleTally {
  std::string text;
  bool optional = false;                     // it may meet nothing
  std::uint64_t fired = 0;                   // requests it acted upon
  std::map<std::string, std::uint64_t> how;  // how each of its actions ended: "match", "time", ...
};

struct Run {
  Ending ending = Ending::done;
  std::string what;  // one line about an ending that is not `done`
  bool booted = false;
  std::vector<RuleTally> rules;                    // of the scenario, when the run came to its end
  std::map<std::string, std::uint64_t> amplified;  // what the amplifiers of the guest did
  std::string starved = {};  // how little processor time the host gave QEMU; empty: enough
  bool late = true;          // module_broke_interface: nothing but a limit of time says so
  std::uint64_t nudges = 0;  // reads that QEMU was asked for (runner/nudge.h); not the guest's
};

struct Decision {
  Status status = Status::broken;
  Reason reason = Reason::host_error;
  std::string explanation;  // one paragraph
};

// `report` holds the journal's checks and, under "log" and "watchdog", the runner's own.
Decision decide(const Run& run, const model::Report& report);

// What verdict.json says beside the decision and the report.
struct Setting {
  std::string scenario;
  std::uint64_t seed = 0;
  std::string repeat;
  std::uint32_t cycles = 0;
  double wall_s = 0;
  std::string accel;
  std::string kernel;  // release as the guest told it, or the file
  std::string kernel_file;
  std::string module_file;
  std::string module_version;
  std::string module_hash;
  bool patches_code = false;  // the kernel, see ModuleFacts
  Run run;                    // what the journal cannot tell a later judge
};

nlohmann::json to_json(const Setting& setting, const Decision& decision,
                       const model::Report& report);

// Columns aligned, one line per cycle, with a head line.
std::string cycle_table(const model::Report& report);
// One line per check: name, outcome, what it was exercised with.
std::string check_table(const model::Report& report);
// One line per rule, how often it acted and how that ended, and per count of an amplifier. Empty
// without them.
std::string rule_table(const Run& run);

// Whether the verdict is exactly what a meta scenario promised; empty: yes, otherwise what differs.
struct Promise {
  std::string verdict;
  std::optional<std::string> reason;
  std::optional<std::string> check;
};
std::string difference(const Promise& promise, const Decision& decision,
                       const model::Report& report);

}  // namespace snapbed::runner
