// SPDX-License-Identifier: GPL-2.0-or-later
// Steps: tokens of the compact form, arguments by the table of operations, references resolved.
#include "scenario/steps.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "scenario/operations.h"
#include "scenario/words.h"

namespace snapbed::scenario {
namespace {

constexpr std::uint64_t kRepeatLimit = 20000;  // steps; a plan is 16 MiB at most

constexpr std::array<std::pair<std::string_view, int>, 24> kErrors = {{
    {"EPERM", EPERM},
    {"ENOENT", ENOENT},
    {"ESRCH", ESRCH},
    {"EINTR", EINTR},
    {"EIO", EIO},
    {"ENXIO", ENXIO},
    {"EAGAIN", EAGAIN},
    {"ENOMEM", ENOMEM},
    {"EACCES", EACCES},
    {"EFAULT", EFAULT},
    {"EBUSY", EBUSY},
    {"EEXIST", EEXIST},
    {"ENODEV", ENODEV},
    {"EINVAL", EINVAL},
    {"ENOTTY", ENOTTY},
    {"EFBIG", EFBIG},
    {"ENOSPC", ENOSPC},
    {"EROFS", EROFS},
    {"ENODATA", ENODATA},
    {"EPROTO", EPROTO},
    {"EOPNOTSUPP", EOPNOTSUPP},
    {"EALREADY", EALREADY},
    {"ETIMEDOUT", ETIMEDOUT},
    {"EPIPE", EPIPE},
}};

// Steps that may run beside others: those that touch one disk and its snapshots, and nothing else.
const std::vector<std::string> kLaneOps = {
    "write",          "discard",    "zero",     "flush",      "create",      "append", "take",
    "collect_images", "copy_image", "read_map", "mark_dirty", "write_image", "destroy"};

bool fits_lane(const std::string& op) {
  return std::find(kLaneOps.begin(), kLaneOps.end(), op) != kLaneOps.end();
}

// A step as written, before its operation gives the arguments types.
struct Written {
  std::uint32_t line = 0;
  std::string op;
  std::vector<std::pair<std::string, std::string>> values;
};

class StepReader {
 public:
  StepReader(const Scenario& scenario, std::uint32_t line) : scenario_(scenario), line_(line) {}

  std::vector<Step> read(const Written& written);

 private:
  [[noreturn]] void refuse_here(const std::string& what) const {
    refuse(scenario_.file, line_, what);
  }
  std::string known_device(const std::string& op, const std::string& name) const;
  std::uint64_t sectors(const std::string& what, const std::string& value) const;
  nlohmann::json ranges(const std::string& what, const std::string& value) const;
  nlohmann::json value_of(const Operation& operation, const Argument& argument,
                          const std::string& value) const;
  std::vector<std::int32_t> expectation(const std::string& value) const;
  std::string word(const std::string& what, const std::string& value) const;
  void check_ranges_fit(const Step& step) const;
  void check_discards(const Step& step) const;
  void check_devices(const Step& step) const;
  void check_size_fits(const Step& step) const;
  void check_write_size(const Step& step) const;
  void check_ledger(const Step& step) const;
  void check_power_cut(const Step& step) const;

  const Scenario& scenario_;
  std::uint32_t line_;
};

std::vector<std::string> operation_names() {
  std::vector<std::string> names;
  for (const Operation& operation : operations()) names.push_back(operation.op);
  return names;
}

std::vector<std::string> argument_names(const Operation& operation) {
  std::vector<std::string> names;
  for (const Argument& argument : operation.arguments) names.push_back(argument.key);
  for (const char* any : {"expect", "lane", "label"}) names.emplace_back(any);
  return names;
}

std::string StepReader::known_device(const std::string& op, const std::string& name) const {
  const auto names = device_names(scenario_);
  if (std::find(names.begin(), names.end(), name) != names.end()) return name;
  refuse_here("step \"" + op + "\" names the device \"" + name +
              "\", which the scenario does not have; " + "expected one of " + joined(names) +
              nearest_note(name, names));
}

std::uint64_t StepReader::sectors(const std::string& what, const std::string& value) const {
  const auto bytes = parse_size(value);
  if (!bytes || *bytes % journal::kSectorBytes != 0)
    refuse_here(what + " is \"" + value +
                "\"; expected a size in whole sectors like 8s, 4K, 1M (a bare number is only 0)");
  return *bytes / journal::kSectorBytes;
}

nlohmann::json StepReader::ranges(const std::string& what, const std::string& value) const {
  nlohmann::json list = nlohmann::json::array();
  for (const std::string& part : split(value, ',')) {
    const auto pair = split(part, '+');
    if (pair.size() != 2)
      refuse_here(what + " holds \"" + part + "\"; expected FIRST+COUNT, for example 0+16M,32M+8s");
    list.push_back({sectors(what, pair[0]), sectors(what, pair[1])});
  }
  return list;
}

nlohmann::json StepReader::value_of(const Operation& operation, const Argument& argument,
                                    const std::string& value) const {
  const std::string what = "\"" + argument.key + "\" of step \"" + operation.op + "\"";
  switch (argument.type) {
    case Type::text:
      return value;
    case Type::word:
      return word(what, value);
    case Type::choice: {
      const auto choices = split(argument.choices, ' ');
      if (std::find(choices.begin(), choices.end(), value) == choices.end())
        refuse_here(what + " is \"" + value + "\"; expected one of " + joined(choices) +
                    nearest_note(value, choices));
      return value;
    }
    case Type::number: {
      const auto number = parse_number(value);
      if (!number) refuse_here(what + " is \"" + value + "\"; expected a whole number");
      return *number;
    }
    case Type::sectors:
      return sectors(what, value);
    case Type::bytes: {
      const std::uint64_t count = sectors(what, value);
      if (count == 0) refuse_here(what + " is 0; expected at least 512B");
      return count * journal::kSectorBytes;
    }
    case Type::device:
      return known_device(operation.op, value);
    case Type::disk: {
      const auto names = disk_names(scenario_);
      if (std::find(names.begin(), names.end(), value) == names.end())
        refuse_here(what + " is \"" + value + "\"; expected a [[disk]] of the scenario: " +
                    joined(names) + nearest_note(value, names));
      return value;
    }
    case Type::devices:
    case Type::each: {
      nlohmann::json list = nlohmann::json::array();
      for (const std::string& name : split(value, ','))
        list.push_back(known_device(operation.op, name));
      return list;
    }
    case Type::dm:
    case Type::md: {
      const Kind kind = argument.type == Type::dm ? Kind::dm : Kind::md;
      std::vector<std::string> names;
      for (const Device& device : scenario_.devices)
        if (device.kind == kind) names.push_back(device.name);
      if (std::find(names.begin(), names.end(), value) == names.end())
        refuse_here(what + " is \"" + value + "\"; expected a " +
                    (kind == Kind::dm ? "[[dm]] or [[linear]]" : "[[md]]") +
                    " of the scenario: " + joined(names) + nearest_note(value, names));
      return value;
    }
    case Type::fio: {
      std::vector<std::string> names;
      for (const Fio& fio : scenario_.fios) names.push_back(fio.name);
      if (std::find(names.begin(), names.end(), value) == names.end())
        refuse_here(what + " is \"" + value + "\"; expected a [[fio]] of the scenario: " +
                    joined(names) + nearest_note(value, names));
      return value;
    }
    case Type::ranges:
      return ranges(what, value);
  }
  refuse_here(what + " has no type");
}

std::string StepReader::word(const std::string& what, const std::string& value) const {
  if (value.empty() ||
      value.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") != std::string::npos)
    refuse_here(what + " is \"" + value + "\"; expected a word of a-z, 0-9 and -");
  return value;
}

std::vector<std::int32_t> StepReader::expectation(const std::string& value) const {
  std::vector<std::int32_t> list;
  for (const std::string& part : split(value, ',')) {
    if (const auto number = parse_number(part); number && *number < 256) {
      list.push_back(static_cast<std::int32_t>(*number));
      continue;
    }
    std::vector<std::string> names;
    const auto before = list.size();
    for (const auto& [name, number] : kErrors) {
      names.emplace_back(name);
      if (part == name) list.push_back(number);
    }
    if (list.size() == before)
      refuse_here("\"expect\" holds \"" + part + "\"; expected errno names or numbers 0..255" +
                  nearest_note(part, names));
  }
  return list;
}

void StepReader::check_size_fits(const Step& step) const {
  if (step.op != "dm_reload") return;
  const auto size = step.args["size"].get<std::uint64_t>();
  const std::string name = step.args["name"];
  const plan::Device where = device_where(scenario_, name);
  if (where.disk.empty() || !where.stripes.empty())
    refuse_here("step \"dm_reload\" names " + name + "; expected a device that lies on one disk");
  const std::uint64_t room = device_sectors(scenario_, where.disk) - where.first;
  if (size == 0 || size > room)
    refuse_here("step \"dm_reload\" makes " + name + " " + std::to_string(size) +
                " sectors large; expected 1 to " + std::to_string(room) + ", the end of " +
                where.disk);
}

// What the guest has memory for.
void StepReader::check_write_size(const Step& step) const {
  if (step.op != "write" && step.op != "write_image") return;
  const auto limit = step.args.contains("lane") ? plan::kLaneWriteBytes : plan::kWriteBytes;
  const auto bytes = step.args["max"].get<std::uint64_t>() * kSector;
  if (bytes == 0 || bytes > limit)
    refuse_here("step \"" + step.op + "\" writes up to " + std::to_string(bytes) +
                " bytes at a time; expected 512 to " + std::to_string(limit) +
                (step.args.contains("lane") ? " in a lane" : ""));
}

void StepReader::check_ranges_fit(const Step& step) const {
  if (!step.args.contains("device")) return;
  const auto size = device_sectors(scenario_, step.args["device"].get<std::string>());
  nlohmann::json list = nlohmann::json::array();
  if (step.args.contains("ranges")) list = step.args["ranges"];
  if (step.args.contains("first") != step.args.contains("count"))
    refuse_here("step \"" + step.op + "\" has only one of \"first\" and \"count\"; expected both " +
                "or none");
  if (step.args.contains("first")) list.push_back({step.args["first"], step.args["count"]});
  // A step that expects an error may ask for the impossible on purpose.
  if (step.expect != std::vector<std::int32_t>{0}) return;
  for (const auto& range : list) {
    const auto first = range[0].get<std::uint64_t>();
    const auto count = range[1].get<std::uint64_t>();
    if (count == 0 || first > size || count > size - first)
      refuse_here("step \"" + step.op + "\" asks for sectors [" + std::to_string(first) + ", +" +
                  std::to_string(count) + ") of a device of " + std::to_string(size) +
                  "; expected a range inside it, or \"expect\" with the error");
  }
}

// The guest is offered no discards by a disk that takes none, unless libvirt plugs it in: then QEMU
// swallows them, and the judge would miss them.
void StepReader::check_discards(const Step& step) const {
  std::vector<std::string> names;
  const bool ledger = step.op == "ledger_start" && step.args["discards"].get<std::uint64_t>() > 0;
  if (ledger) names = step.args["devices"].get<std::vector<std::string>>();
  if (step.op == "plug" || (step.op == "discard" && step.expect == std::vector<std::int32_t>{0}))
    names.push_back(step.args["device"]);
  for (const std::string& name : names) {
    const plan::Device where = device_where(scenario_, name);
    for (const Disk& disk : scenario_.disks) {
      const bool on = disk.name == where.disk || std::find(where.below.begin(), where.below.end(),
                                                           disk.name) != where.below.end();
      if (on && !disk.discard)
        refuse_here("step \"" + step.op + "\" names " + name + ", but " + disk.name +
                    " takes no discards; expected another device" +
                    (step.op == "discard" ? ", or \"expect\" with the error" : ""));
    }
  }
}

// What the judge must find on one disk, and what the guest must know how to make.
void StepReader::check_devices(const Step& step) const {
  for (const char* key : {"device", "low"}) {
    if (!step.args.contains(key) || (step.op != "append" && std::string(key) == "device")) continue;
    const std::string name = step.args[key];
    if (device_where(scenario_, name).disk.empty())
      refuse_here("step \"" + step.op + "\" gives storage on " + name +
                  ", whose sectors lie on no one disk; expected a disk or a piece of one");
  }
  if (step.op != "partition") return;
  const std::string disk = step.args["device"];
  if (std::none_of(scenario_.devices.begin(), scenario_.devices.end(), [&](const Device& device) {
        return device.kind == Kind::partition && device.where.disk == disk;
      }))
    refuse_here("step \"partition\" names " + disk + ", of which there is no [[partition]]; " +
                "expected a disk with partitions");
}

// Numbers of a ledger that its writers can live with; every buffer of theirs is locked memory.
void StepReader::check_ledger(const Step& step) const {
  if (step.op != "ledger_start") return;
  struct Bound {
    const char* key;
    std::uint64_t least, most;
  };
  constexpr Bound kBounds[] = {
      {"writers", 1, 16},   {"depth", 1, 32},          {"max", 1, 2048},    {"overlap", 0, 100},
      {"discards", 0, 100}, {"zeroes", 0, 100},        {"flushes", 0, 100}, {"durables", 0, 100},
      {"rate", 0, 1000000}, {"operations", 1, 1000000}};
  for (const Bound& bound : kBounds) {
    const auto value = step.args.at(bound.key).get<std::uint64_t>();
    if (value < bound.least || value > bound.most)
      refuse_here("\"" + std::string(bound.key) + "\" of step \"ledger_start\" is " +
                  std::to_string(value) + "; expected " + std::to_string(bound.least) + " to " +
                  std::to_string(bound.most));
  }
  const auto percent = [&](const char* key) { return step.args.at(key).get<std::uint64_t>(); };
  if (percent("discards") + percent("zeroes") + percent("flushes") + percent("durables") > 100)
    refuse_here(
        "discards, zeroes, flushes and durables of step \"ledger_start\" are more than 100 "
        "percent");
}

void StepReader::check_power_cut(const Step& step) const {
  if (step.op != "power_cut") return;
  if (!scenario_.second_opinion.empty())
    refuse_here(
        "step \"power_cut\" stands beside \"second_opinion\"; expected only one of them: "
        "what QEMU keeps dies with it");
  if (!step.args.contains("writes")) return;
  const auto writes = step.args["writes"].get<std::uint64_t>();
  constexpr std::uint64_t kMost = 1000000;
  if (writes == 0 || writes > kMost)
    refuse_here("\"writes\" of step \"power_cut\" is " + std::to_string(writes) +
                "; expected 1 to " + std::to_string(kMost) + ", or none for a cut at once");
}

std::vector<Step> StepReader::read(const Written& written) {
  const Operation* operation = find_operation(written.op);
  if (operation == nullptr)
    refuse_here("unknown operation \"" + written.op + "\"; expected one of " +
                joined(operation_names()) + nearest_note(written.op, operation_names()));
  Step step{line_, written.op, nlohmann::json::object(), {0}};
  for (const auto& [key, value] : written.values) {
    const auto known = argument_names(*operation);
    if (std::find(known.begin(), known.end(), key) == known.end())
      refuse_here("step \"" + written.op + "\" has no argument \"" + key + "\"; expected one of " +
                  joined(known) + nearest_note(key, known));
    const auto same = std::count_if(written.values.begin(), written.values.end(),
                                    [&key = key](const auto& other) { return other.first == key; });
    if (same > 1)
      refuse_here("step \"" + written.op + "\" has \"" + key + "\" twice; expected once");
    if (key == "expect") step.expect = expectation(value);
    if (key == "lane" || key == "label") step.args[key] = word(key, value);
    if (key == "lane" && !fits_lane(written.op))
      refuse_here("step \"" + written.op + "\" has a lane; expected one of " + joined(kLaneOps));
  }
  std::vector<std::string> repeat;
  for (const Argument& argument : operation->arguments) {
    const auto found = std::find_if(written.values.begin(), written.values.end(),
                                    [&](const auto& pair) { return pair.first == argument.key; });
    if (found == written.values.end() && argument.required)
      refuse_here("step \"" + written.op + "\" has no \"" + argument.key + "\"; expected " +
                  joined(argument_names(*operation)));
    const std::string& value = found == written.values.end() ? argument.fallback : found->second;
    if (found == written.values.end() && value.empty()) continue;
    const nlohmann::json parsed = value_of(*operation, argument, value);
    if (argument.type == Type::each)
      repeat = parsed.get<std::vector<std::string>>();
    else
      step.args[argument.key] = parsed;
  }
  std::vector<Step> steps;
  for (const std::string& device : repeat) {
    step.args["device"] = device;
    steps.push_back(step);
  }
  if (repeat.empty()) steps.push_back(step);
  for (const Step& each : steps) {
    check_ranges_fit(each);
    check_discards(each);
    check_devices(each);
    check_size_fits(each);
    check_write_size(each);
    check_ledger(each);
    check_power_cut(each);
  }
  return steps;
}

// "op key=value key='a b'". Refuses a token without "=".
Written tokens(const std::string& file, std::uint32_t line, const std::string& text) {
  Written written{line, "", {}};
  std::size_t at = 0;
  while ((at = text.find_first_not_of(' ', at)) != std::string::npos) {
    if (written.op.empty()) {
      const std::size_t end = std::min(text.find(' ', at), text.size());
      written.op = text.substr(at, end - at);
      at = end;
      continue;
    }
    const std::size_t equals = text.find_first_of("= ", at);
    if (equals == std::string::npos || text[equals] == ' ')
      refuse(file, line,
             "step \"" + text + "\" has the word \"" +
                 text.substr(at, std::min(equals, text.size()) - at) +
                 "\" without a value; expected \"op key=value ...\"");
    const bool quoted = equals + 1 < text.size() && text[equals + 1] == '\'';
    const std::size_t first = equals + (quoted ? 2 : 1);
    const std::size_t end = text.find(quoted ? '\'' : ' ', first);
    if (quoted && end == std::string::npos)
      refuse(file, line, "step \"" + text + "\" opens a quote that is not closed; expected '...'");
    written.values.emplace_back(text.substr(at, equals - at),
                                text.substr(first, std::min(end, text.size()) - first));
    at = end == std::string::npos ? text.size() : end + (quoted ? 1 : 0);
  }
  if (written.op.empty()) refuse(file, line, "an empty step; expected \"op key=value ...\"");
  return written;
}

Written from_table(const std::string& file, const toml::table& table) {
  const Table view(table, file, "a step");
  Written written{view.line(), view.text("op"), {}};
  for (const auto& [key, node] : table) {
    if (key.str() == "op") continue;
    std::string value;
    if (const auto* text = node.as_string())
      value = text->get();
    else if (const auto* number = node.as_integer())
      value = std::to_string(number->get());
    else
      refuse(file, line_of(node),
             "\"" + std::string(key.str()) + "\" of step \"" + written.op + "\" is " +
                 type_name(node) + "; expected a string or a number");
    written.values.emplace_back(std::string(key.str()), value);
  }
  return written;
}

}  // namespace

std::vector<std::string> disk_names(const Scenario& scenario) {
  std::vector<std::string> names;
  for (const Disk& disk : scenario.disks) names.push_back(disk.name);
  return names;
}

std::vector<std::string> device_names(const Scenario& scenario) {
  std::vector<std::string> names = disk_names(scenario);
  for (const Device& device : scenario.devices) names.push_back(device.name);
  return names;
}

std::uint64_t device_sectors(const Scenario& scenario, const std::string& name) {
  return device_where(scenario, name).sectors;
}

namespace {

class ListReader {
 public:
  ListReader(const std::string& file, const std::string& key, const Scenario& scenario)
      : file_(file), key_(key), scenario_(scenario) {}

  std::vector<Step> read(const toml::array& array) const {
    std::vector<Step> steps;
    for (const toml::node& node : array) append(steps, read_element(node));
    return steps;
  }

 private:
  static void append(std::vector<Step>& steps, const std::vector<Step>& more) {
    steps.insert(steps.end(), more.begin(), more.end());
  }

  std::vector<Step> read_element(const toml::node& node) const {
    const std::uint32_t line = line_of(node);
    const auto* table = node.as_table();
    if (table != nullptr && table->contains("repeat")) return read_repeat(*table);
    if (const auto* text = node.as_string())
      return StepReader(scenario_, line).read(tokens(file_, line, text->get()));
    if (table != nullptr) return StepReader(scenario_, line).read(from_table(file_, *table));
    refuse(file_, line,
           "an element of \"" + key_ + "\" is " + type_name(node) +
               "; expected a step: \"op key=value ...\" or {op = \"...\", ...}, or {repeat = N, "
               "steps = [...]}");
  }

  // {repeat = 100, steps = [...]}: the steps, that often.
  std::vector<Step> read_repeat(const toml::table& table) const {
    const Table view(table, file_, "a repetition");
    view.only({"repeat", "steps"});
    const std::uint64_t times = view.number_or("repeat", 1, 1, kRepeatLimit);
    const toml::array* inner = view.array_or_null("steps");
    if (inner == nullptr) view.refuse_at("repeat", "a repetition has no \"steps\"; expected [...]");
    const std::vector<Step> once = read(*inner);
    if (once.size() * times > kRepeatLimit)
      view.refuse_at("repeat", "a repetition makes " + std::to_string(once.size() * times) +
                                   " steps; expected at most " + std::to_string(kRepeatLimit));
    std::vector<Step> steps;
    for (std::uint64_t i = 0; i < times; ++i) append(steps, once);
    return steps;
  }

  const std::string& file_;
  const std::string& key_;
  const Scenario& scenario_;
};

}  // namespace

std::vector<Step> parse_steps(const Table& root, const std::string& key, const Scenario& scenario) {
  const toml::array* array = root.array_or_null(key);
  if (array == nullptr) return {};
  return ListReader(root.file(), key, scenario).read(*array);
}

std::vector<std::vector<Step>> parse_turns(const Table& root, const std::string& key,
                                           const Scenario& scenario) {
  const toml::array* array = root.array_or_null(key);
  if (array == nullptr) return {};
  if (array->empty() || !array->front().is_array())
    return {ListReader(root.file(), key, scenario).read(*array)};
  std::vector<std::vector<Step>> turns;
  for (const toml::node& node : *array) {
    const auto* steps = node.as_array();
    if (steps == nullptr || steps->empty())
      refuse(root.file(), line_of(node),
             "an element of \"" + key + "\" is " + type_name(node) +
                 "; expected lists of steps, none empty, when the first is one");
    turns.push_back(ListReader(root.file(), key, scenario).read(*steps));
  }
  return turns;
}

}  // namespace snapbed::scenario
