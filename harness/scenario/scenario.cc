// SPDX-License-Identifier: GPL-2.0-or-later
// The scenario file from top to bottom: head, disks, linear devices, fio jobs, steps, rules,
// minima.
#include "scenario/scenario.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <system_error>

#include "scenario/steps.h"
#include "scenario/table.h"
#include "scenario/words.h"

namespace snapbed::scenario {
namespace {

const std::vector<std::string> kChecks = {"cut",      "twice",  "map",    "chain",  "order",
                                          "store",    "origin", "events", "errno",  "log",
                                          "watchdog", "abi",    "leak",   "second", "power"};
const std::vector<std::string> kCycleCounters = {
    "writes",         "bytes_written",       "writes_across_take",
    "sectors_judged", "sectors_overwritten", "snapshots"};
const std::vector<std::string> kNeeds = {"kvm", "debugfs"};
const std::vector<std::string> kOurDisks = {"plan",  "marks",  "evidence",
                                            "files", "module", "amplifier"};

std::string read_text(const std::filesystem::path& path, const std::string& where) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    throw BadScenario(
        where + " " + path.string() +
        (std::filesystem::exists(path, error) ? " is no regular file" : " is not there") +
        "; expected a regular file");
  const auto bytes = std::filesystem::file_size(path, error);
  if (error || bytes > kFileBytesLimit)
    throw BadScenario(where + " " + path.string() + " has " + std::to_string(bytes) +
                      " bytes; expected at most " + std::to_string(kFileBytesLimit));
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in)
    throw BadScenario(where + " " + path.string() + " cannot be read; expected a readable file");
  return text.str();
}

// 512 or 4096 bytes, and not less than `least`, which it is unless the table says more.
std::uint32_t block_size(const Table& table, const char* key, std::uint32_t least) {
  const auto bytes = static_cast<std::uint32_t>(table.number_or(key, least, least, 4096));
  if (bytes != 512 && bytes != 4096)
    table.refuse_at(
        key, "\"" + std::string(key) + "\" is " + std::to_string(bytes) + "; expected 512 or 4096");
  return bytes;
}

Disk read_disk(const Table& table, const Scenario& scenario) {
  table.only({"name", "size", "role", "initial", "logical_block", "physical_block", "discard"});
  Disk disk;
  disk.name = table.text("name");
  check_name(table, "name", disk.name, device_names(scenario));
  const std::string role = table.choice_or("role", "data", {"data", "storage", "scratch"});
  disk.role = role == "data"      ? journal::Role::data
              : role == "storage" ? journal::Role::storage
                                  : journal::Role::scratch;
  const std::string fallback = role == "data" ? "seeded" : "zero";
  disk.initial = table.choice_or("initial", fallback, {"zero", "seeded"}) == "zero"
                     ? journal::Initial::zero
                     : journal::Initial::seeded;
  disk.logical_block = block_size(table, "logical_block", 512);
  disk.physical_block = block_size(table, "physical_block", disk.logical_block);
  disk.discard = table.flag_or("discard", true);
  disk.sectors = whole_sectors(table, "size", table.size("size"), disk.logical_block);
  return disk;
}

// Every %word% of a fio file is a device, or %seed%.
void check_references(const Table& table, const Fio& fio, const Scenario& scenario) {
  static const std::regex reference("%([A-Za-z][A-Za-z0-9_-]*)%");
  std::uint32_t line = 0;
  std::istringstream lines(fio.text);
  for (std::string text; std::getline(lines, text);) {
    ++line;
    auto names = device_names(scenario);
    names.emplace_back("seed");
    for (std::sregex_iterator at(text.begin(), text.end(), reference), end; at != end; ++at) {
      const std::string name = (*at)[1];
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      const std::string path = std::filesystem::path(table.file()).parent_path() / fio.file;
      refuse(path, line,
             "%" + name + "% stands for nothing; expected %seed% or a device of " + table.file() +
                 nearest_note(name, names));
    }
  }
}

Fio read_fio(const Table& table, const Scenario& scenario, const std::filesystem::path& folder) {
  table.only({"name", "file"});
  Fio fio;
  fio.name = table.text("name");
  std::vector<std::string> taken;
  for (const Fio& other : scenario.fios) taken.push_back(other.name);
  check_name(table, "name", fio.name, taken);
  fio.file = table.text("file");
  // The archive keeps fio files by their name in one folder.
  const std::filesystem::path path(fio.file);
  if (path.filename() != path || path.extension() != ".fio")
    table.refuse_at("file", "fio job file \"" + fio.file +
                                "\" is not usable; expected the name NAME.fio of a file beside " +
                                "the scenario");
  fio.text = read_text(folder / fio.file,
                       table.file() + ":" + std::to_string(table.line("file")) + ": fio job file");
  if (fio.text.find('[') == std::string::npos)
    table.refuse_at("file",
                    "fio job file " + fio.file + " has no [job]; expected at least one section");
  check_references(table, fio, scenario);
  return fio;
}

void check_regexes(const Table& root, const std::vector<std::string>& patterns) {
  // Compiling and matching go as deep as the pattern is long.
  constexpr std::size_t kPatternLimit = 300;
  for (const std::string& pattern : patterns) {
    if (pattern.size() > kPatternLimit)
      root.refuse_at("allow_log",
                     "\"allow_log\" holds a pattern of " + std::to_string(pattern.size()) +
                         " characters; expected at most " + std::to_string(kPatternLimit));
    try {
      const std::regex compiled(pattern);
    } catch (const std::regex_error& error) {
      root.refuse_at("allow_log", "\"allow_log\" holds \"" + pattern +
                                      "\", which is no regular expression (" + error.what() +
                                      "); expected ECMAScript syntax");
    }
  }
}

// The families of docs/testing.md and how many classes each has.
constexpr std::array<std::pair<char, std::uint64_t>, 4> kFamilies = {
    {{'C', 34}, {'T', 13}, {'S', 9}, {'L', 21}}};

bool is_class(const std::string& name) {
  constexpr std::size_t kLength = 3;  // a letter and two digits
  if (name.size() != kLength) return false;
  const auto number = parse_number(name.substr(1));
  return number && std::any_of(kFamilies.begin(), kFamilies.end(), [&](const auto& family) {
           return name[0] == family.first && *number >= 1 && *number <= family.second;
         });
}

std::vector<std::string> read_classes(const Table& root) {
  const std::vector<std::string> classes = root.texts_or_empty("classes");
  for (const std::string& name : classes) {
    if (!is_class(name))
      root.refuse_at("classes", "\"classes\" holds \"" + name +
                                    "\", which is no class; expected C01-C34, T01-T13, S01-S09 or "
                                    "L01-L21");
    if (std::count(classes.begin(), classes.end(), name) > 1)
      root.refuse_at("classes", "\"classes\" holds \"" + name + "\" twice; expected it once");
  }
  return classes;
}

void read_head(const Table& root, Scenario& scenario) {
  scenario.promise = root.text("promise");
  scenario.tags = root.texts_or_empty("tags");
  for (const std::string& tag : scenario.tags) {
    const std::vector<std::string> known = {"smoke", "meta", "full", "stress", "debug"};
    if (std::find(known.begin(), known.end(), tag) == known.end())
      root.refuse_at("tags", "the tag \"" + tag +
                                 "\" is unknown; expected smoke, meta, full, stress or debug" +
                                 nearest_note(tag, known));
  }
  scenario.classes = read_classes(root);
  scenario.cycles = static_cast<std::uint32_t>(root.number_or("cycles", 1, 1, kCycleLimit));
  scenario.vcpus = static_cast<std::uint32_t>(root.number_or("vcpus", 2, 1, 64));
  scenario.memory_bytes = root.size_or("memory", scenario.memory_bytes);
  if (scenario.memory_bytes < (64ULL << 20U))
    root.refuse_at("memory", "\"memory\" is " + std::to_string(scenario.memory_bytes) +
                                 " bytes; expected at least 64M");
  scenario.stall_ms = root.number_or("stall_ms", scenario.stall_ms, 1000, 3600000);
  scenario.module = root.flag_or("module", true);
  scenario.module_file = root.text_or("module_file", scenario.module_file);
  if (scenario.module_file != "blksnap.ko" && scenario.module_file != "blksnap_kunit.ko")
    root.refuse_at("module_file", "\"module_file\" is \"" + scenario.module_file +
                                      "\"; expected blksnap.ko or blksnap_kunit.ko");
  scenario.strict = root.flag_or("strict", true);
  scenario.budget_bytes = root.size_or("budget", 0);
  scenario.judged = root.texts_or_empty("judged");
  for (const std::string& check : scenario.judged)
    if (std::find(kChecks.begin(), kChecks.end(), check) == kChecks.end())
      root.refuse_at("judged", "\"judged\" holds \"" + check + "\"; expected checks" +
                                   nearest_note(check, kChecks));
  scenario.needs = root.texts_or_empty("needs");
  for (const std::string& need : scenario.needs)
    if (std::find(kNeeds.begin(), kNeeds.end(), need) == kNeeds.end())
      root.refuse_at("needs", "\"needs\" holds \"" + need + "\"; expected one of " +
                                  joined(kNeeds) + nearest_note(need, kNeeds));
  scenario.kernel_arguments = root.texts_or_empty("kernel_arguments");
  scenario.allow_log = root.texts_or_empty("allow_log");
  check_regexes(root, scenario.allow_log);
}

void read_second_opinion(const Table& root, Scenario& scenario) {
  scenario.second_opinion = root.text_or("second_opinion", "");
  if (scenario.second_opinion.empty()) return;
  const bool known =
      std::any_of(scenario.disks.begin(), scenario.disks.end(), [&](const Disk& disk) {
        return disk.name == scenario.second_opinion && disk.role == journal::Role::data;
      });
  if (!known)
    root.refuse_at("second_opinion", "\"second_opinion\" is \"" + scenario.second_opinion +
                                         "\"; expected the name of a data disk");
}

void read_module_parameters(const Table& root, Scenario& scenario) {
  const toml::table* table = root.table_or_null("module_parameters");
  if (table == nullptr) return;
  for (const auto& [key, node] : *table) {
    std::string& value = scenario.module_parameters[std::string(key.str())];
    if (const auto* number = node.as_integer())
      value = std::to_string(number->get());
    else if (const auto* text = node.as_string())
      value = text->get();
    else
      refuse(root.file(), line_of(node),
             "module parameter \"" + std::string(key.str()) + "\" is " + type_name(node) +
                 "; expected a number or a string");
  }
}

// [minimum] "check.counter" = n and [each_cycle] counter = n.
void read_minima(const Table& root, Scenario& scenario) {
  if (const toml::table* table = root.table_or_null("minimum")) {
    const Table view(*table, root.file(), "[minimum]");
    for (const auto& [key, node] : *table) {
      const std::string name(key.str());
      const auto parts = split(name, '.');
      if (parts.size() != 2 || std::find(kChecks.begin(), kChecks.end(), parts[0]) == kChecks.end())
        refuse(root.file(), key.source().begin.line,
               "[minimum] names \"" + name +
                   "\"; expected \"CHECK.COUNTER\" = number, for example "
                   "\"twice.sectors_overwritten\" = 1000" +
                   nearest_note(parts[0], kChecks));
      scenario.minimum[name] = view.number_or(name, 0, 1, ~0ULL >> 1U);
    }
  }
  if (const toml::table* table = root.table_or_null("each_cycle")) {
    const Table view(*table, root.file(), "[each_cycle]");
    view.only(kCycleCounters);
    for (const std::string& counter : kCycleCounters)
      if (view.has(counter))
        scenario.each_cycle[counter] = view.number_or(counter, 0, 1, ~0ULL >> 1U);
  }
}

void read_expect(const Table& root, Scenario& scenario) {
  const toml::table* table = root.table_or_null("expect");
  if (table == nullptr) return;
  const Table view(*table, root.file(), "[expect]");
  view.only({"verdict", "reason", "check"});
  Expect expect;
  expect.verdict = view.choice_or("verdict", "", {"pass", "fail", "broken", "skip"});
  if (view.has("reason")) expect.reason = view.text("reason");
  if (view.has("check")) expect.check = view.choice_or("check", "", kChecks);
  scenario.expect = expect;
}

// The agent proves at boot that requests arrive; it does so on a data disk.
void check_whole(const Table& root, const Scenario& scenario) {
  if (std::none_of(scenario.disks.begin(), scenario.disks.end(), takes_selftest))
    root.refuse_at("disk",
                   "the scenario has no disk of role data that takes discards; expected at least "
                   "one [[disk]], on which the agent shows that requests arrive");
  if (scenario.disks.size() > kDiskLimit)
    root.refuse_at("disk", "the scenario has " + std::to_string(scenario.disks.size()) +
                               " disks; expected at most " + std::to_string(kDiskLimit));
  if (scenario.cycle.empty() || scenario.cycle.front().empty())
    root.refuse_at("cycle",
                   "the scenario does nothing in a cycle; expected cycle = [\"op ...\", ...]");
}

}  // namespace

// Names become export names, virtio serials, file names and device-mapper names.
void check_name(const Table& table, std::string_view key, const std::string& name,
                const std::vector<std::string>& taken) {
  constexpr std::size_t kNameLimit = 15;
  const bool good =
      !name.empty() && name.size() <= kNameLimit && name[0] >= 'a' && name[0] <= 'z' &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
  if (!good)
    table.refuse_at(key, "the name \"" + name +
                             "\" is not usable; expected a-z, then a-z, 0-9 and -, " +
                             "at most 15 characters");
  if (std::find(taken.begin(), taken.end(), name) != taken.end())
    table.refuse_at(key, "the name \"" + name + "\" is used twice; expected a name of its own");
  if (std::find(kOurDisks.begin(), kOurDisks.end(), name) != kOurDisks.end())
    table.refuse_at(
        key, "the name \"" + name + "\" is one of the testbed's own disks; expected another");
}

std::uint64_t whole_sectors(const Table& table, std::string_view key, std::uint64_t bytes,
                            std::uint64_t unit) {
  if (bytes == 0)
    table.refuse_at(key, "\"" + std::string(key) + "\" is 0 bytes; expected at least one sector");
  if (bytes % unit != 0)
    table.refuse_at(key, "\"" + std::string(key) + "\" is " + std::to_string(bytes) +
                             " bytes; expected a multiple of " + std::to_string(unit));
  if (bytes / journal::kSectorBytes > kDiskSectorsLimit)
    table.refuse_at(key, "\"" + std::string(key) + "\" is " + std::to_string(bytes) +
                             " bytes; expected at most 1 PiB");
  return bytes / journal::kSectorBytes;
}

bool takes_selftest(const Disk& disk) {
  return disk.role == journal::Role::data && disk.discard;
}

std::vector<const Step*> steps_of(const Scenario& scenario) {
  std::vector<const Step*> all;
  const auto add = [&](const std::vector<Step>& steps) {
    for (const Step& step : steps) all.push_back(&step);
  };
  add(scenario.setup);
  for (const auto& turn : scenario.cycle) add(turn);
  add(scenario.teardown);
  return all;
}

bool uses(const Scenario& scenario, std::string_view op) {
  const auto steps = steps_of(scenario);
  return std::any_of(steps.begin(), steps.end(), [&](const Step* step) { return step->op == op; });
}

bool needs(const Scenario& scenario, std::string_view what) {
  return std::find(scenario.needs.begin(), scenario.needs.end(), what) != scenario.needs.end();
}

Scenario parse(const std::string& text, const std::filesystem::path& file,
               const std::filesystem::path& folder) {
  toml::table table;
  try {
    table = toml::parse(std::string_view(text), file.string());
  } catch (const toml::parse_error& error) {
    refuse(file.string(), error.source().begin.line,
           std::string(error.description()) + "; expected TOML");
  }
  Scenario scenario;
  scenario.name = file.stem().string();
  scenario.file = file.string();
  scenario.text = text;
  const Table root(table, scenario.file, "the scenario");
  root.only({"promise",
             "tags",
             "classes",
             "cycles",
             "vcpus",
             "memory",
             "stall_ms",
             "module",
             "strict",
             "budget",
             "needs",
             "judged",
             "kernel_arguments",
             "allow_log",
             "module_parameters",
             "disk",
             "partition",
             "linear",
             "device",
             "md",
             "dm",
             "fio",
             "setup",
             "cycle",
             "teardown",
             "rule",
             "rules",
             "minimum",
             "second_opinion",
             "each_cycle",
             "expect",
             "module_file"});
  read_head(root, scenario);
  read_module_parameters(root, scenario);
  for (const Table& disk : root.tables("disk")) scenario.disks.push_back(read_disk(disk, scenario));
  read_devices(root, scenario);
  for (const Table& fio : root.tables("fio"))
    scenario.fios.push_back(read_fio(fio, scenario, folder));
  read_second_opinion(root, scenario);
  scenario.setup = parse_steps(root, "setup", scenario);
  scenario.cycle = parse_turns(root, "cycle", scenario);
  scenario.teardown = parse_steps(root, "teardown", scenario);
  scenario.rules = parse_rules(root, scenario);
  for (std::uint32_t rule = 0; rule < scenario.rules.size(); ++rule)
    if (scenario.rules[rule].must_meet) scenario.met.push_back(rule);
  read_minima(root, scenario);
  read_expect(root, scenario);
  check_whole(root, scenario);
  return scenario;
}

void grow(Scenario& scenario, std::uint64_t sectors) {
  for (Disk& disk : scenario.disks) {
    if (disk.role != journal::Role::data) continue;
    const std::uint64_t block = disk.logical_block / journal::kSectorBytes;
    disk.sectors = std::min(disk.sectors + (sectors + block - 1) / block * block,
                            kDiskSectorsLimit / block * block);
  }
}

const std::vector<std::string>& check_names() {
  return kChecks;
}

Scenario load(const std::filesystem::path& file) {
  return parse(read_text(file, "scenario"), file, file.parent_path());
}

}  // namespace snapbed::scenario
