// SPDX-License-Identifier: GPL-2.0-or-later
// What judging a journal gives: one result per check, findings with their evidence, and the counts
// of what each check was exercised with. Values only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "journal/record.h"
#include "model/kinds.h"
#include "plan/plan.h"

namespace snapbed::model {

// What a finding points at in the record. Names only; story.h looks them up and draws them.
struct Evidence {
  struct Sectors {  // whose history is drawn
    std::uint16_t disk = 0;
    std::uint64_t first = 0;
    std::uint64_t count = 1;
  };
  std::size_t snapshot = ~std::size_t{0};  // index in History::snapshots: TAKE and P are drawn
  std::vector<Sectors> sectors = {};
  std::vector<std::uint32_t> steps = {};      // whose calls are drawn
  std::vector<journal::Stamp> requests = {};  // begin stamps of requests that are drawn
  struct Claim {  // "P lies in one of these instants [first, last], says the sector"
    std::string who;
    std::vector<std::pair<journal::Stamp, journal::Stamp>> instants;
  };
  std::vector<Claim> claims = {};
  journal::Stamp focus = journal::kNever;  // the marks and the journal are shown around it
};

enum class Outcome : std::uint8_t { pass, fail, not_run };

struct Finding {
  Kind kind = Kind::errno_result;
  std::string device;
  std::uint32_t cycle = 0;
  std::string text;  // one paragraph: device, sectors, versions, their intervals, marks around
  Evidence evidence = {};  // for `snapbed explain`
  // That a limit of time has passed is all of it: where the host kept the guest from running, it
  // says nothing.
  bool rests_on_time = false;
};

struct CheckResult {
  Outcome outcome = Outcome::not_run;
  std::string reason;             // why not run
  std::vector<Finding> findings;  // at most kFindingLimit, the clearest first; `found` counts all
  std::uint64_t found = 0;
  std::map<std::string, std::uint64_t> exercised;
};
inline constexpr std::size_t kFindingLimit = 8;

struct CycleSummary {
  std::uint32_t cycle = 0;
  std::uint64_t writes = 0;  // data-changing requests on data disks
  std::uint64_t bytes_written = 0;
  std::uint64_t writes_across_take = 0;   // data-disk writes whose [begin,end] meets a TAKE's marks
  std::uint64_t sectors_judged = 0;       // image sectors compared with the model
  std::uint64_t sectors_overwritten = 0;  // origin sectors overwritten between the two copies
  std::uint64_t snapshots = 0;
};

struct Report {
  std::map<std::string, CheckResult>
      checks;  // the closed list of checks.h that the plan gives work to
  std::vector<CycleSummary> cycles;
  std::uint64_t snapshots = 0;
  std::uint64_t writes = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t sectors_judged = 0;
  std::string broken;  // why the record itself cannot be judged (gap in marks, no selftest, ...);
                       // empty when sound
};

// What QEMU's own copy-before-write filter and dirty bitmap say of a disk: asked while the guest
// waited at the end of a cycle, for the take of the next one.
struct Opinion {
  std::string device;                 // a whole disk
  journal::Stamp asked = 0;           // the moment that the image shows
  journal::Stamp asked_before = 0;    // the moment from which changes count
  std::vector<std::uint64_t> hashes;  // of all its sectors
  bool knows_changes = false;
  std::uint64_t block_bytes = 0;     // unit of the changes
  std::vector<plan::Range> changes;  // sectors
};

// What a scenario demands: "check.counter" -> least value. A check below a minimum is not_run.
// `judged` lists the checks that must have run; empty means: those that the plan's steps imply.
struct Expectations {
  std::map<std::string, std::uint64_t> minimum;
  std::vector<std::string> judged;
  bool strict = true;              // false: causal mode for modules that do not drain
  std::vector<std::uint32_t> met;  // rules whose every hold must end by the request it waits for
  std::uint64_t budget_bytes = 0;  // bound of unsaved data per snapshot; 0: not judged
  // Of the take of a cycle; nullopt where nobody was asked. Empty: the check `second` does not run.
  std::function<std::optional<Opinion>(std::uint32_t cycle)> opinion = {};
};

// Judges everything recorded so far up to the end of `cycle` (kAllCycles: the whole run). Pure; any
// thread.
inline constexpr std::uint32_t kAllCycles = ~std::uint32_t{0};
Report judge(const journal::Journal& journal, const Expectations& expectations,
             std::uint32_t cycle = kAllCycles);
// As above, with the bytes kept from the files disk (maps): reads [offset, offset + length),
// returns false when not there. (declared in judge.h, with FilesReader)

// Counters, by check (every one is always present, 0 when nothing happened):
//   cut:    devices, sectors_judged, versions, quiet_instants, writes_across_take,
//   feasible_instants twice:  sectors_compared, sectors_overwritten map:    blocks, blocks_marked,
//   blocks_must, blocks_may, maps chain:  increments, blocks_applied, sectors_compared order:
//   first_writes, reads_matched store:  requests, sectors, ranges, peak_unsaved_bytes origin:
//   requests, acknowledged, fio_jobs events: low, corrupted errno:  calls log:    lines (judged by
//   the runner from the console) watchdog: steps          (judged by the runner)

}  // namespace snapbed::model
