// SPDX-License-Identifier: GPL-2.0-or-later
// One run: what is started, what is looked at, and how each way of ending becomes an ending.
#include "runner/execution.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <system_error>

#include "base/file.h"
#include "plan/plan.h"
#include "runner/archive.h"
#include "runner/command_line.h"
#include "runner/interrupt.h"
#include "runner/module_needs.h"
#include "vm/host_counter.h"

namespace snapbed::runner {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kServerStart{20};
constexpr seconds kMachineStart{60};  // libvirt's first start probes QEMU for 4 s
constexpr seconds kBoot{60};          // a debug kernel is silent for some ten
constexpr seconds kPowerOff{300};     // from the answer to `done` to the end of QEMU
constexpr seconds kState{10};         // no guest holds up the thread of QEMU that answers
constexpr seconds kServerQuit{60};
constexpr seconds kPlug{120};  // the guest lets go of a disk in less than ten; a busy host's later
constexpr seconds kWitness{60};  // QEMU takes a moment and gives it back
constexpr seconds kPower{60};    // the server waits 20 s for requests of the machine that is gone
constexpr seconds kNudge{5};
constexpr milliseconds kTurn{50};
constexpr milliseconds kLag{1000};  // who waited longer for a turn of 50 ms had no processor
constexpr milliseconds kStats{500};
constexpr milliseconds kMachineLook{250};
constexpr seconds kConsoleSilence{1};  // after a finding the console is read until it is silent
constexpr std::size_t kConsoleTail = 4096;
constexpr seconds kDump{60};  // of the guest's memory, some 512 MiB

// The testbed's own words on the guest's console.
constexpr const char* kAgentDied = "snapbed-init: agent died";
constexpr const char* kAgentSays = "snapbed-agent: ";  // its marks say the same, and more

// The scenario asks for what this host has not.
struct HostLacks : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The scenario asks for what the interface does not promise and this module has not.
struct ModuleLacks : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::uint64_t host_memory_mib() {
  const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
  return (pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))) >> 20U;
}

bool any_failed(const model::Report& report) {
  return std::any_of(report.checks.begin(), report.checks.end(), [](const auto& check) {
    return check.second.outcome == model::Outcome::fail;
  });
}

bool is_full(const std::string& words) {
  return words.find("No space left") != std::string::npos ||
         words.find("ENOSPC") != std::string::npos;
}

nlohmann::json object_of(const std::string& text) {
  auto value = nlohmann::json::parse(text, nullptr, false);
  return value.is_object() ? value : nlohmann::json::object();
}

std::string last_line(const std::string& text) {
  std::string last;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = vm::clean_console_line(text.substr(at, end - at));
    if (!line.empty() && line.find(kAgentSays) == std::string::npos) last = line;
    at = end + 1;
  }
  return last.empty() ? "nothing: it is empty" : last;
}

}  // namespace

Execution::Execution(const scenario::Scenario& scenario, const Options& options, const Host& host,
                     fs::path folder, std::uint64_t seed, std::uint32_t cycles)
    : scenario_(scenario),
      options_(options),
      host_(host),
      folder_(std::move(folder)),
      built_(scenario::build_plan(scenario, seed, cycles)),
      cycles_(cycles),
      expectations_(expectations(scenario, cycles, folder_)),
      console_(allowed_log(scenario)),
      nudged_(nudged_disks(scenario)),
      line_(fmt::format("{} seed {}", scenario.name, seed)) {
  live_.cycles = cycles;
  live_.phase = "preparing";
}

bool Execution::end(Ending ending, std::string what) {
  if (!over_) {
    over_ = true;
    run_.ending = ending;
    run_.what = std::move(what);
    run_.starved = starvation_.worst();
  }
  return false;
}

void Execution::run() {
  try {
    prepare();
    start();
    watch();
  } catch (const HostLacks& error) {
    end(Ending::host_lacks, error.what());
  } catch (const ModuleLacks& error) {
    end(Ending::module_lacks, error.what());
  } catch (const PartMissing& error) {
    end(Ending::part_missing, error.what());
  } catch (const std::system_error& error) {
    end(error.code() == std::errc::no_space_on_device ? Ending::host_disk_full : Ending::host_error,
        error.what());
  } catch (const std::exception& error) {
    end(is_full(error.what()) ? Ending::host_disk_full : Ending::host_error, error.what());
  }
  try {
    finish();
    judge_all();
  } catch (const std::exception& error) {
    end(Ending::host_error, error.what());
    if (run_.ending == Ending::done) run_.ending = Ending::host_error, run_.what = error.what();
  }
}

void Execution::require_module() const {
  const std::string what =
      lacking(scenario_, built_.plan, module_facts(parts_.module), parts_.module.string());
  if (!what.empty()) throw ModuleLacks(what);
}

void Execution::require_host() const {
  if (scenario::needs(scenario_, "kvm") && host_.accel != vm::Accel::kvm)
    throw HostLacks("the scenario needs KVM, this run has none (snapbed doctor tells why)");
  const std::uint64_t memory_mib = options_.memory_mib.value_or(static_cast<std::uint32_t>(
      std::min<std::uint64_t>(scenario_.memory_bytes >> 20U, ~std::uint32_t{0})));
  if (memory_mib > host_memory_mib())
    throw HostLacks(fmt::format("the guest is to have {} MiB of memory, the host has {} MiB",
                                memory_mib, host_memory_mib()));
}

// What the run is given, written where it can be found again.
void Execution::prepare() {
  require_host();
  require_programs();
  parts_ = find_parts(options_.parts, options_.program, scenario_.module_file);
  base::write_file(folder_ / (scenario_.name + ".toml"), scenario_.text);
  require_module();
  for (const scenario::Fio& fio : scenario_.fios) base::write_file(folder_ / fio.file, fio.text);
  const std::string text = plan::to_text(built_.plan);
  base::write_file(folder_ / "plan.json", text);
  const auto plan_bytes = plan::to_disk(text);
  base::write_file(
      folder_ / "plan.img",
      std::string_view(reinterpret_cast<const char*>(plan_bytes.data()), plan_bytes.size()));
  const std::uint64_t sectors = write_module_disk(parts_.module, folder_ / "module.img");
  built_.disks.push_back({static_cast<std::uint16_t>(built_.disks.size()), "module",
                          journal::Role::plan, journal::Initial::zero, sectors});
  if (!scenario::uses(scenario_, "amplify_code")) return;
  parts_.amplifier = find_amplifier(options_.parts.amplifier, parts_.module, options_.program);
  const std::uint64_t more = write_module_disk(parts_.amplifier, folder_ / "amplifier.img");
  built_.disks.push_back({static_cast<std::uint16_t>(built_.disks.size()), "amplifier",
                          journal::Role::plan, journal::Initial::zero, more});
}

void Execution::start() {
  sockets_.emplace();
  if (host_.guardian != nullptr) guarded_sockets_ = host_.guardian->directory(sockets_->path());
  const ServerOptions options{parts_.plugin, folder_, sockets_->path() / "nbd",
                              server_config(scenario_, built_, folder_)};
  server_.emplace(options, base::Deadline::after(kServerStart));
  if (host_.guardian != nullptr) guarded_server_ = host_.guardian->process(server_->pid());
  reader_.emplace(folder_);
  start_machine();
  base::write_file(folder_ / "machine.txt", machine_->description() + "\n");
  for (const journal::Disk& disk : built_.disks)
    if (disk.name == scenario_.second_opinion)
      witness_.emplace(*machine_, disk.name, disk.sectors * journal::kSectorBytes,
                       sockets_->path());
  live_.phase = "booting";
}

void Execution::start_machine() {
  machine_ = scenario_.second_opinion.empty() ? host_.make_machine(machine_config())
                                              : host_.make_direct_machine(machine_config());
  live_.phase = "starting";
  line_.show(live_);
  machine_->start(base::Deadline::after(kMachineStart));
  booting_ = true;
  const auto now = Clock::now();
  progress_.emplace(now, kBoot, milliseconds(scenario_.stall_ms));
  asked_ = looked_ = turned_ = now;
}

vm::MachineConfig Execution::machine_config() const {
  vm::MachineConfig config;
  config.name = "snapbed-" + std::to_string(::getpid());
  config.kernel = parts_.kernel;
  config.root_image = parts_.image;
  config.firmware = vm::quick_firmware();
  config.command_line =
      guest_command_line(scenario_.kernel_arguments, host_.accel, vm::host_counter_khz());
  config.memory_mib =
      options_.memory_mib.value_or(static_cast<std::uint32_t>(scenario_.memory_bytes >> 20U));
  config.vcpus = static_cast<std::uint16_t>(options_.vcpus.value_or(scenario_.vcpus));
  config.accel = host_.accel;
  config.console_file = folder_ / kConsoleFile;
  config.append_console = run_.booted;  // of a machine before a power cut
  config.work_dir = sockets_->path();
  const auto plugged = scenario::plugged_disks(built_.plan);
  for (const journal::Disk& disk : built_.disks) {
    const auto at_boot = plugged.find(disk.name);
    if (at_boot == plugged.end() || at_boot->second)
      config.disks.push_back(machine_disk(disk.name));
  }
  config.free_slots = static_cast<std::uint16_t>(plugged.size());
  return config;
}

vm::Disk Execution::machine_disk(const std::string& name) const {
  const auto disk = std::find_if(built_.disks.begin(), built_.disks.end(),
                                 [&](const journal::Disk& other) { return other.name == name; });
  vm::Disk out;
  out.name = name;
  out.socket = sockets_->path() / "nbd";
  out.read_only = disk->role == journal::Role::plan;
  out.removable = scenario::plugged_disks(built_.plan).contains(name);
  // libvirt cannot plug in a disk that does not merge.
  out.merge_requests = out.removable || scenario_.rules.empty();
  for (const scenario::Disk& asked : scenario_.disks)
    if (asked.name == name) {
      out.logical_block = asked.logical_block;
      out.physical_block = asked.physical_block;
      out.discard = asked.discard;
    }
  return out;
}

void Execution::watch() {
  while (step()) {
  }
}

bool Execution::step() {
  if (interrupted()) return end(Ending::interrupted, "interrupted by a signal");
  // Marks first: what the guest said before it died counts.
  for (auto event = server_->next(kTurn); event; event = server_->next(milliseconds(0)))
    if (!handle(*event)) return false;
  if (!look_at_console() || !look_at_machine() || !look_at_clock()) return false;
  line_.show(live_);
  return true;
}

bool Execution::handle(const ServerEvent& event) {
  switch (event.kind) {
    case ServerEvent::Kind::mark:
      mark_stamp_ = event.line.value("stamp", std::uint64_t{0});
      return handle_mark(event.mark);
    case ServerEvent::Kind::stats:
      live_.writes = event.line.value("writes", std::uint64_t{0});
      follow_server(event.line);
      return true;
    case ServerEvent::Kind::error:
      return end(is_full(event.what) ? Ending::host_disk_full : Ending::server_failed, event.what);
    case ServerEvent::Kind::ended:
      return end(Ending::server_failed, event.what);
    case ServerEvent::Kind::cut:
      return follow_power_cut();
    case ServerEvent::Kind::power:
    case ServerEvent::Kind::ready:
      return true;
  }
  return true;
}

// The watchdog asks what the guest does: reads that QEMU was asked for are no sign of life.
void Execution::follow_server(const nlohmann::json& stats) {
  const auto ended = stats.value("all_requests", std::uint64_t{0});
  const auto now = Clock::now();
  // Such a read may not have ended yet.
  guest_ended_ = std::max(guest_ended_, ended - std::min(ended, run_.nudges));
  progress_->health(now, {guest_ended_, milliseconds(stats.value("oldest_ms", std::int64_t{0}))});
  if (booting_ || nudged_.empty() ||
      !quiet_.sample(now, guest_ended_, stats.value("held", std::uint64_t{0})))
    return;
  try {
    for (const std::string& disk : nudged_) {
      machine_->nudge(disk, base::Deadline::after(kNudge));
      ++run_.nudges;
    }
  } catch (const std::exception&) {
    nudged_.clear();  // a disk that was pulled, a machine that ends: nobody waits for it then
  }
}

bool Execution::handle_mark(const plan::Mark& mark) {
  progress_->mark(Clock::now());
  live_.cycle = std::max(live_.cycle, mark.cycle);
  const nlohmann::json text = object_of(mark.text);
  switch (mark.kind) {
    case plan::MarkKind::boot:
      run_.booted = true;
      booting_ = false;
      kernel_ = text.value("kernel", "");
      return true;
    case plan::MarkKind::step_begin:
      live_.phase = text.value("op", "");
      starvation_.begin_step();
      return act(mark);
    case plan::MarkKind::cycle_end:
      return judge_cycle(mark);
    case plan::MarkKind::fatal:
      end(text.value("module", false) ? Ending::module_broke_interface : Ending::agent_failed,
          gave_up(text.value("what", mark.text)));
      run_.starved = starvation_.of_step();
      run_.late = text.value("late", false);
      return false;
    case plan::MarkKind::done:
      power_off_ = base::Deadline::after(kPowerOff);
      live_.phase = "powering off";
      server_->answer(mark.sequence);
      return true;
    default:
      return true;
  }
}

// What a step wants done from outside, while the guest waits to see it.
bool Execution::act(const plan::Mark& mark) {
  if (mark.step >= built_.plan.steps.size()) return true;
  const plan::Step& step = built_.plan.steps[mark.step];
  if (step.op != "plug" && step.op != "unplug") return true;
  const std::string disk = step.args.at("device");
  line_.show(live_);
  if (step.op == "plug") {
    machine_->attach_disk(machine_disk(disk), base::Deadline::after(kPlug));
    return true;
  }
  try {
    machine_->detach_disk(disk, base::Deadline::after(kPlug));
  } catch (const base::TimedOut& error) {
    return hung(std::string("disk ") + disk + " cannot be pulled: " + error.what());
  }
  return true;
}

// The server has cut the power: the machine dies without a chance to flush, the disks lose what
// they lose, and another machine boots from them. Nobody of the old one hears of anything in
// between.
bool Execution::follow_power_cut() {
  live_.phase = "power cut";
  line_.show(live_);
  machine_->kill();
  machine_.reset();
  read_console();
  server_->restore_power();
  const base::Deadline deadline = base::Deadline::after(kPower);
  for (;;) {
    const auto event = server_->next(kTurn);
    if (event && event->kind == ServerEvent::Kind::power) break;
    if (event && !handle(*event)) return false;
    if (deadline.passed())
      return end(Ending::server_stuck, "the recording server did not bring the power back");
  }
  start_machine();
  return true;
}

// The agent knows a number; why, the kernel has told its log: a module of another kernel, say.
std::string Execution::gave_up(const std::string& what) {
  read_console();
  return "the agent in the guest gave up: " + what +
         "; its console ends with: " + last_line(console_tail_);
}

bool Execution::judge_cycle(const plan::Mark& mark) {
  live_.phase = "judging";
  line_.show(live_);
  ask_qemu(mark);
  reader_->poll(journal_);
  const std::uint32_t first = judged_cycle_ == 0 ? 0 : mark.cycle;
  judged_cycle_ = mark.cycle;
  const model::Report report =
      model::judge(journal_, expectations_, files_reader(folder_), model::Scope{first, mark.cycle});
  live_.sectors_judged += report.sectors_judged;
  live_.snapshots += report.snapshots;
  progress_->forgive(Clock::now());
  if (any_failed(report))
    return end(Ending::finding, fmt::format("judging cycle {} found something", mark.cycle));
  server_->answer(mark.sequence);
  return true;
}

// While the guest waits: what QEMU kept since the last cycle's end is put beside the record, and
// the present moment is kept for the take of the next cycle.
void Execution::ask_qemu(const plan::Mark& mark) {
  if (!witness_) return;
  const base::Deadline deadline = base::Deadline::after(kWitness);
  if (witness_->begun()) {
    write_opinion(folder_, mark.cycle, scenario_.second_opinion, *witness_, asked_qemu_);
    witness_->end(deadline);
  }
  if (mark.cycle == cycles_) return;
  asked_qemu_ = {mark_stamp_, asked_qemu_.now};
  witness_->begin(deadline);
}

void Execution::read_console() {
  std::ifstream in(folder_ / kConsoleFile, std::ios::binary);
  if (!in) return;  // QEMU has not made it yet
  in.seekg(static_cast<std::streamoff>(console_offset_));
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (bytes.empty()) return;
  console_offset_ += bytes.size();
  console_.feed(bytes);
  console_tail_ += bytes;
  if (console_tail_.size() > kConsoleTail)
    console_tail_.erase(0, console_tail_.size() - kConsoleTail);
  console_changed_ = Clock::now();
  if (progress_) progress_->console(*console_changed_);
}

bool Execution::look_at_console() {
  read_console();
  // Before the first mark the reason is a boot that failed; look_at_machine and the clock tell it.
  if (console_.grave() == 0 || booting_) return true;
  const bool silent = console_changed_ && Clock::now() - *console_changed_ > kConsoleSilence;
  if (!silent) return true;
  return end(Ending::finding, "the guest's kernel complained");
}

bool Execution::look_at_machine() {
  const auto now = Clock::now();
  if (now - looked_ < kMachineLook) return true;
  looked_ = now;
  if (machine_->alive()) {
    const auto pid = machine_->pid();
    const auto use = pid ? base::processor_use(*pid) : std::nullopt;
    if (use) starvation_.sample(now, *use);
    if (power_off_ && power_off_->passed())
      return end(Ending::host_error,
                 fmt::format("the machine still makes requests {} s after its last step",
                             kPowerOff.count()));
    return true;
  }
  // Its last marks may still be in the channel.
  for (auto event = server_->next(kTurn); event; event = server_->next(milliseconds(0)))
    if (!handle(*event)) return false;
  read_console();
  if (power_off_) return end(Ending::done, "");
  const std::string last = last_line(console_tail_);
  // What the guest does ends QEMU in good order; the host's OOM killer, or a bug of QEMU, does not.
  const std::string broke = console_.grave() == 0 ? machine_->broke() : std::string();
  if (!broke.empty())
    return end(Ending::host_error, "QEMU did not end by itself but by the host (" + broke +
                                       ") while the guest was at " + live_.phase +
                                       "; its console ends with: " + last);
  if (booting_)
    return end(Ending::no_boot,
               "the machine ended before the agent's first mark; its console " +
                   (console_.findings().empty() ? "ends with: " + last
                                                : "says: " + console_.findings().front().title));
  if (console_tail_.find(kAgentDied) != std::string::npos)
    return end(Ending::agent_failed, "the agent died in the guest: " + last);
  return end(Ending::guest_died, "the machine ended in the middle of its plan (" + live_.phase +
                                     "); its console ends with: " + last);
}

bool Execution::look_at_clock() {
  const auto now = Clock::now();
  if (now - asked_ >= kStats) {
    asked_ = now;
    server_->ask_stats();
    progress_->asked(now);
  }
  if (now - turned_ > kLag) progress_->lag(now, now - turned_);
  turned_ = now;
  const auto stall = progress_->look(now);
  if (!stall) return true;
  const std::string what = progress_->describe(now) + " (" + live_.phase + ")";
  switch (*stall) {
    case Stall::boot:
      return end(Ending::no_boot, what + "; its console ends with: " + last_line(console_tail_));
    case Stall::server:
      return end(Ending::server_stuck, what);
    case Stall::guest:
      return hung(what);
  }
  return true;
}

// Nothing moves in the guest. Where its console tells of nothing but failed I/O, QEMU is asked
// first: a machine that the host has stopped (an error of KVM, say) is nothing that a module did.
bool Execution::hung(const std::string& what) {
  read_console();
  const std::string halted =
      console_.grave() == 0 ? machine_->halted(base::Deadline::after(kState)) : std::string();
  if (halted.empty()) return end(Ending::guest_hung, what);
  return end(Ending::host_error, what + "; the host has stopped the machine: " + halted);
}

// For crash or gdb, when it was asked for and the machine still shows what was found.
void Execution::dump_memory() {
  const bool found = run_.ending == Ending::finding || run_.ending == Ending::guest_hung ||
                     run_.ending == Ending::module_broke_interface;
  if (!options_.dump || !found || !machine_ || !machine_->alive()) return;
  try {
    machine_->dump_memory(folder_ / "memory.elf", base::Deadline::after(kDump));
  } catch (const std::exception& error) {
    fmt::print(stderr, "snapbed: the guest's memory was not dumped: {}\n", error.what());
  }
}

// The server's journal is closed by its orderly quit, whatever the machine's fate was.
void Execution::finish() {
  live_.phase = "ending";
  line_.show(live_);
  dump_memory();
  witness_.reset();
  if (machine_) machine_->kill();
  machine_.reset();
  if (server_) {
    try {
      server_->quit(base::Deadline::after(kServerQuit));
    } catch (const std::exception& error) {
      if (run_.ending == Ending::done)
        run_.ending = Ending::server_failed, run_.what = error.what();
    }
  }
  guarded_server_.release();
  server_.reset();
  guarded_sockets_.release();
  sockets_.reset();
  read_console();
  console_.finish();
  std::error_code ignored;
  if (!options_.keep)
    for (const char* file : {"plan.img", "module.img", "amplifier.img"})
      fs::remove(folder_ / file, ignored);
}

// The verdict's report: the whole run when it came to its end, else the cycles that did.
void Execution::judge_all() {
  if (reader_) {
    live_.phase = "judging";
    line_.show(live_);
    reader_->poll(journal_);
    const bool whole = run_.ending == Ending::done;
    if (whole || judged_cycle_ > 0)
      report_ = model::judge(journal_, expectations_, files_reader(folder_),
                             model::Scope{0, whole ? model::kAllCycles : judged_cycle_});
    if (whole && !journal_.complete && report_.broken.empty())
      report_.broken = "the journal is cut short: " + journal_.trouble;
    if (run_.booted) extract_fio(folder_, journal_);
    if (whole) run_.rules = tally_rules(scenario_, journal_);
    if (whole) run_.amplified = tally_amplifiers(journal_);
  }
  report_.checks["log"] = log_check(console_);
  report_.checks["watchdog"] = watchdog_check(journal_, run_);
}

}  // namespace snapbed::runner
