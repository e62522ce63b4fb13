// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/night.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <ctime>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "campaign/deck.h"
#include "campaign/keep.h"
#include "campaign/summary.h"
#include "runner/archive.h"
#include "runner/interrupt.h"
#include "runner/live_line.h"

namespace snapbed::campaign {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kTurn{100};
constexpr std::chrono::seconds kGrace{30};  // for an interrupted run to end in order
constexpr std::uint32_t kCanarySeeds = 5;   // a race may need more than one
constexpr std::uint64_t kReRuns = 5;        // of the first run of a signature
constexpr std::size_t kReRunGroups = 8;
constexpr double kReRunShare = 0.1;        // of the night's time, for re-runs after it
constexpr double kReRunLeast = 300;        // s
constexpr std::size_t kExplanation = 600;  // characters in the summary

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// One run that was started, and what came of it.
struct Job {
  Choice choice;
  fs::path folder;  // runs/NNNN: what `--out` was
  Clock::time_point start;
  base::Process process;
};

class Spender {
 public:
  explicit Spender(const NightOptions& options)
      : options_(options),
        deck_(options.scenarios, options.variants.size(), options.seed),
        host_mib_(base::available_memory() >> 20U),
        line_("stress"),
        start_(Clock::now()) {
    night_.begun = fmt::format("{:%Y-%m-%d %H:%M}", fmt::localtime(std::time(nullptr)));
    night_.hours_wanted = options.hours;
    night_.seed = options.seed;
    night_.host_cpus = std::max(1U, std::thread::hardware_concurrency());
    night_.folder = fs::absolute(options.out).string();
    night_.canary.mutant = options.canary.name;
    fs::create_directories(options.out / "runs");
  }

  Night spend() {
    try_canary();
    if (night_.canary.caught) storm();
    night_.seconds = seconds_since(start_);
    if (!runner::interrupted()) repeat_findings();
    night_.interrupted = runner::interrupted();
    std::error_code ignored;
    fs::remove(options_.out / "runs", ignored);  // only when nothing was kept
    write_summaries();
    return night_;
  }

 private:
  std::vector<std::string> command(const Choice& choice, const std::string& scenario,
                                   const Variant& variant, const fs::path& out) const {
    std::vector<std::string> argv{options_.program.string(),   "run",   scenario,    "--seed",
                                  std::to_string(choice.seed), "--out", out.string()};
    const auto add = [&](const char* name, const std::string& value) {
      argv.emplace_back(name);
      argv.push_back(value);
    };
    if (!variant.kernel.empty()) add("--kernel", variant.kernel.string());
    if (!variant.module.empty()) add("--module", variant.module.string());
    if (choice.vcpus > 0) add("--vcpus", std::to_string(choice.vcpus));
    if (choice.grow_sectors > 0) add("--grow", std::to_string(choice.grow_sectors));
    argv.insert(argv.end(), options_.extra.begin(), options_.extra.end());
    return argv;
  }

  Job start(const Choice& choice, std::vector<std::string> argv, const fs::path& folder) const {
    fs::create_directories(folder);
    base::Command command;
    command.argv = std::move(argv);
    command.output = folder / "run.log";
    return {choice, folder, Clock::now(), base::Process::start(command)};
  }

  // What a finished run says. A run without a verdict is broken, whatever it printed.
  Ran outcome(const Job& job, const base::Exit& exit, const scenario::Scenario& scenario) const {
    Ran ran;
    ran.scenario = scenario.name;
    ran.variant = options_.variants[job.choice.variant].name;
    ran.seed = job.choice.seed;
    ran.seconds = seconds_since(job.start);
    const fs::path folder = job.folder / scenario.name / std::to_string(ran.seed);
    ran.folder = folder.string();
    const auto verdict = verdict_in(folder);
    ran.count = count_of(verdict, exit);
    if (ran.count == Count::fail || ran.count == Count::broken)
      ran.signature = signature_of(verdict, scenario);
    const auto number = [&](const char* key) {
      return verdict.is_object() && verdict.contains(key) && verdict[key].is_number_unsigned()
                 ? verdict[key].get<std::uint64_t>()
                 : 0;
    };
    ran.explanation = runner::string_or(verdict, "explanation", "").substr(0, kExplanation);
    if (ran.count == Count::broken && count_of(verdict) != Count::broken)
      ran.explanation = "snapbed: " + base::to_string(exit) + "; " + ran.explanation;
    ran.repeat = runner::string_or(verdict, "repeat", "");
    ran.snapshots = number("snapshots");
    ran.sectors_judged = number("sectors_judged");
    if (!verdict.is_object()) {
      ran.explanation = "there is no verdict; see " + (job.folder / "run.log").string();
      ran.folder = job.folder.string();
    }
    return ran;
  }

  static nlohmann::json verdict_in(const fs::path& folder) {
    const fs::path file = folder / runner::kVerdictFile;
    if (!fs::exists(file)) return nullptr;
    const auto verdict = nlohmann::json::parse(base::read_file(file), nullptr, false);
    return verdict.is_object() ? verdict : nlohmann::json(nullptr);
  }

  // Runs one job alone, with the live line; nullopt when a signal came.
  std::optional<Ran> run_alone(Job job, const scenario::Scenario& scenario,
                               const std::string& now) {
    std::optional<base::Exit> exit;
    while (!(exit = job.process.poll())) {
      if (runner::interrupted()) {
        job.process.terminate(kGrace);
        return std::nullopt;
      }
      show(now);
      std::this_thread::sleep_for(kTurn);
    }
    return outcome(job, *exit, scenario);
  }

  void try_canary();
  void storm();
  void fill(Load& load, std::optional<Choice>& next);
  void reap(Load& load);
  void finish(const Job& job, const base::Exit& exit);
  void keep_within_budget();
  void repeat_findings();
  void repeat(Group& group, Clock::time_point until);
  void show(const std::string& now) {
    line_.show_text(live_text(night_, seconds_since(start_), now));
  }
  void write_summaries() const;
  double wanted_s() const { return options_.hours * 3600; }

  const NightOptions& options_;
  Night night_;
  Deck deck_;
  std::vector<Job> jobs_;
  std::vector<Kept> kept_;
  std::uint64_t started_ = 0;
  std::uint64_t host_mib_;  // that machines may have together
  runner::LiveLine line_;
  Clock::time_point start_;
};

// First of all: a night that cannot see a known bug need not begin.
void Spender::try_canary() {
  const scenario::Scenario& scenario = options_.canary_scenario;
  Canary& canary = night_.canary;
  const auto begin = Clock::now();
  for (std::uint64_t seed = 1; seed <= kCanarySeeds && !canary.caught; ++seed) {
    const fs::path folder = options_.out / "canary";
    Choice choice;
    choice.seed = seed;
    auto argv = command(choice, scenario.file, options_.canary_parts, folder);
    if (options_.canary.cycles) {
      argv.emplace_back("--cycles");
      argv.push_back(std::to_string(*options_.canary.cycles));
    }
    const auto ran = run_alone(start(choice, std::move(argv), folder), scenario, "the canary");
    if (!ran) {
      canary.trouble = "It was interrupted.";
      return;
    }
    canary.seeds = static_cast<std::uint32_t>(seed);
    const auto& checks = options_.canary.checks;
    canary.caught = ran->count == Count::fail &&
                    std::find(checks.begin(), checks.end(), ran->signature.check) != checks.end();
    canary.by = ran->signature.check;
    canary.trouble = fmt::format("{} ended as {} ({}) with seed {}.", scenario.name,
                                 to_string(ran->count), ran->explanation, seed);
  }
  canary.seconds = seconds_since(begin);
  std::error_code ignored;
  if (canary.caught) fs::remove_all(options_.out / "canary", ignored);
}

void Spender::storm() {
  Load load;
  std::optional<Choice> next;
  while (!runner::interrupted() && (seconds_since(start_) < wanted_s() || !jobs_.empty())) {
    if (seconds_since(start_) < wanted_s()) fill(load, next);
    std::string now;
    for (const Job& job : jobs_)
      now += (now.empty() ? "" : ", ") + options_.scenarios[job.choice.scenario].name;
    show(now);
    std::this_thread::sleep_for(kTurn);
    reap(load);
  }
  for (Job& job : jobs_) job.process.signal(SIGTERM);
  for (Job& job : jobs_) job.process.terminate(kGrace);
  std::error_code ignored;
  for (const Job& job : jobs_) fs::remove_all(job.folder, ignored);
  jobs_.clear();
}

// Starts runs as long as they fit; one that does not fit yet stays the next.
void Spender::fill(Load& load, std::optional<Choice>& next) {
  while (options_.machines == 0 || load.machines < options_.machines) {
    if (!next) next = deck_.next();
    if (!admits(load, *next, night_.host_cpus, host_mib_)) return;
    const fs::path folder = options_.out / "runs" / fmt::format("{:05}", ++started_);
    jobs_.push_back(start(*next,
                          command(*next, options_.scenarios[next->scenario].file,
                                  options_.variants[next->variant], folder),
                          folder));
    ++load.machines;
    load.vcpus += next->vcpus;
    load.memory_mib += next->memory_mib;
    next.reset();
  }
}

void Spender::reap(Load& load) {
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    const auto exit = job->process.poll();
    if (!exit) {
      ++job;
      continue;
    }
    --load.machines;
    load.vcpus -= job->choice.vcpus;
    load.memory_mib -= job->choice.memory_mib;
    finish(*job, *exit);
    job = jobs_.erase(job);
  }
}

void Spender::finish(const Job& job, const base::Exit& exit) {
  const Ran ran = outcome(job, exit, options_.scenarios[job.choice.scenario]);
  if (night_.add(ran))
    line_.say(fmt::format("new: {}{}  ({} seed {}, {} kernel)  {}",
                          ran.count == Count::broken ? "broken: " : "", to_string(ran.signature),
                          ran.scenario, ran.seed, ran.variant, ran.folder));
  std::error_code ignored;
  if (ran.count != Count::fail && ran.count != Count::broken) {
    fs::remove_all(job.folder, ignored);
    return;
  }
  kept_.push_back({ran.signature, job.folder, occupied(job.folder), false});
  keep_within_budget();
}

void Spender::keep_within_budget() {
  for (const std::size_t index : to_strip(kept_, options_.budget_bytes)) {
    strip(kept_[index].folder);
    kept_[index].bytes = occupied(kept_[index].folder);
    kept_[index].stripped = true;
    ++night_.stripped;
  }
}

// A rule makes a failure every time, a race some of the time: the reader wants to know before
// he spends a day on it.
void Spender::repeat_findings() {
  const double share = std::max(kReRunLeast, wanted_s() * kReRunShare);
  const auto until =
      Clock::now() + std::chrono::milliseconds(static_cast<std::int64_t>(share * 1000));
  std::size_t repeated = 0;
  for (Group& group : night_.groups)
    if (group.kind == Count::fail && ++repeated <= kReRunGroups) repeat(group, until);
}

void Spender::repeat(Group& group, Clock::time_point until) {
  // The recorded line, word by word, into a folder of its own: none of its words has a blank.
  std::vector<std::string> argv;
  std::istringstream words(group.first.repeat);
  for (std::string word; words >> word;) argv.push_back(word);
  if (argv.empty()) return;
  const fs::path folder = options_.out / "again";
  argv.insert(argv.end(), {"--out", folder.string()});
  for (const scenario::Scenario& scenario : options_.scenarios) {
    if (scenario.name != group.first.scenario) continue;
    for (std::uint64_t i = 0; i < kReRuns && Clock::now() < until; ++i) {
      Choice choice;
      choice.seed = group.first.seed;
      const auto ran = run_alone(start(choice, argv, folder), scenario,
                                 fmt::format("again {}/{}: {}", i + 1, kReRuns, scenario.name));
      if (!ran) break;
      ++group.tried;
      group.again += ran->count == Count::fail;
    }
  }
  std::error_code ignored;
  fs::remove_all(folder, ignored);
}

void Spender::write_summaries() const {
  base::write_file(options_.out / "summary.txt", text_summary(night_));
  base::write_file(options_.out / "summary.json", json_summary(night_).dump(2) + "\n");
  base::write_file(options_.out / "junit.xml", junit_summary(night_));
}

}  // namespace

Night spend(const NightOptions& options) {
  return Spender(options).spend();
}

}  // namespace snapbed::campaign
