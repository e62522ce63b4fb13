// SPDX-License-Identifier: GPL-2.0-or-later
// The plan as JSON text and as disk bytes, and the ranges that are functions of it. Reading is
// strict: a key or an operation nobody knows would silently weaken what a run proves.
#include "plan/plan.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <stdexcept>
#include <string_view>

#include "plan/bytes.h"

namespace snapbed::plan {
namespace {

using nlohmann::json;

constexpr int kNestingLimit = 16;
constexpr std::string_view kMagic = "SNAPPLAN";
constexpr std::uint32_t kDiskVersion = 1;
constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kLengthAt = 16;
constexpr std::size_t kChecksumAt = 24;

constexpr std::string_view kOps[] = {
    "selftest",
    "insmod",
    "rmmod",
    "fio_start",
    "fio_stop",
    "fio_wait",
    "ledger_start",
    "ledger_stop",
    "wait_writes",
    "write",
    "discard",
    "zero",
    "flush",
    "mkfs",
    "mount",
    "umount",
    "dm_create",
    "dm_remove",
    "dm_reload",
    "dm_suspend",
    "dm_resume",
    "partition",
    "md_create",
    "md_stop",
    "run",
    "kunit",
    "create",
    "append",
    "take",
    "collect_images",
    "collect_trackers",
    "copy_image",
    "read_map",
    "mark_dirty",
    "write_image",
    "check_image",
    "destroy",
    "remove_tracker",
    "wait_event",
    "abi",
    "call_storm",
    "fail_allocations",
    "amplify_code",
    "amplify_cpus",
    "amplify_priority",
    "amplify_memory",
    "amplify_kill",
    "calm",
    "limit_group",
    "plug",
    "unplug",
    "power_cut",
    "copy_origin",
    "cycle_end",
};

[[noreturn]] void wrong(const std::string& where, const std::string& what) {
  throw std::runtime_error("plan: " + where + ": " + what);
}

// All of `keys`, perhaps some of `more`, and nothing else.
void expect_object(const json& value, const std::string& where,
                   std::initializer_list<std::string_view> keys,
                   std::initializer_list<std::string_view> more = {}) {
  if (!value.is_object()) wrong(where, "is not an object");
  for (const auto& item : value.items()) {
    if (std::find(keys.begin(), keys.end(), item.key()) == keys.end() &&
        std::find(more.begin(), more.end(), item.key()) == more.end()) {
      wrong(where, "unknown key \"" + item.key() + "\"");
    }
  }
  for (const std::string_view key : keys) {
    if (!value.contains(key)) wrong(where, "key \"" + std::string(key) + "\" is missing");
  }
}

std::uint64_t number(const json& value, const std::string& where, std::uint64_t limit) {
  if (!value.is_number_unsigned()) wrong(where, "is not a number from 0 on: " + value.dump());
  const auto result = value.get<std::uint64_t>();
  if (result > limit) wrong(where, value.dump() + " is more than " + std::to_string(limit));
  return result;
}

std::string text(const json& value, const std::string& where) {
  if (!value.is_string()) wrong(where, "is not a string: " + value.dump());
  return value.get<std::string>();
}

void read_stripes(const json& value, const std::string& where, Device& device) {
  device.stripe_sectors = number(value.at("sectors"), where + ".sectors", ~std::uint64_t{0});
  if (!value.at("on").is_array()) wrong(where + ".on", "is not a list");
  for (const json& stripe : value["on"]) {
    expect_object(stripe, where + ".on", {"disk", "first"});
    device.stripes.push_back({text(stripe["disk"], where + ".on.disk"),
                              number(stripe["first"], where + ".on.first", ~std::uint64_t{0})});
  }
  if (device.stripe_sectors == 0 || device.stripes.size() < 2 || !device.disk.empty()) {
    wrong(where, "is no round of at least two disks in stripes of at least a sector");
  }
}

Device read_device(const json& value, const std::string& where) {
  expect_object(value, where, {"path", "disk", "first", "sectors"}, {"stripes", "below"});
  Device device;
  device.path = text(value["path"], where + ".path");
  device.disk = text(value["disk"], where + ".disk");
  device.first = number(value["first"], where + ".first", ~std::uint64_t{0});
  device.sectors = number(value["sectors"], where + ".sectors", ~std::uint64_t{0});
  if (value.contains("stripes")) {
    expect_object(value["stripes"], where + ".stripes", {"sectors", "on"});
    read_stripes(value["stripes"], where + ".stripes", device);
  }
  if (!device.disk.empty()) device.below = {device.disk};
  if (value.contains("below")) {
    if (!value["below"].is_array()) wrong(where + ".below", "is not a list");
    device.below.clear();
    for (const json& disk : value["below"]) device.below.push_back(text(disk, where + ".below"));
  }
  return device;
}

std::vector<std::int32_t> read_expect(const json& value, const std::string& where) {
  if (!value.is_array() || value.empty()) wrong(where, "is not a list of at least one result");
  std::vector<std::int32_t> results;
  for (const json& entry : value) {
    results.push_back(static_cast<std::int32_t>(number(entry, where, 0x7fffffff)));
  }
  return results;
}

Step read_step(const json& value, std::size_t index) {
  const std::string where = "steps[" + std::to_string(index) + "]";
  expect_object(value, where, {"id", "cycle", "op", "args", "expect"});
  Step step;
  step.id = static_cast<std::uint32_t>(number(value["id"], where + ".id", 0xffffffff));
  if (step.id != index) wrong(where, "its id is " + std::to_string(step.id));
  step.cycle = static_cast<std::uint32_t>(number(value["cycle"], where + ".cycle", 0xffffffff));
  step.op = text(value["op"], where + ".op");
  if (!is_op(step.op)) wrong(where, "no step is called \"" + step.op + "\"");
  step.args = value["args"];
  if (!step.args.is_object()) wrong(where + ".args", "is not an object");
  step.expect = read_expect(value["expect"], where + ".expect");
  return step;
}

// Own generator: the plan and the journal are siblings, and this order must never change with it.
class Sequence {
 public:
  explicit Sequence(std::uint64_t state) : state_(state) {}
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t x = state_;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
  }
  // In [0, bound); the bias of the remainder is below 2^-20 for every bound used here.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }

 private:
  std::uint64_t state_;
};

}  // namespace

bool is_op(std::string_view op) {
  return std::find(std::begin(kOps), std::end(kOps), op) != std::end(kOps);
}

std::string to_text(const Plan& plan) {
  json devices = json::object();
  for (const auto& [name, device] : plan.devices) {
    devices[name] = {{"path", device.path},
                     {"disk", device.disk},
                     {"first", device.first},
                     {"sectors", device.sectors}};
    // Most devices lie on one disk, which says it all.
    if (!device.below.empty() && device.below != std::vector{device.disk})
      devices[name]["below"] = device.below;
    if (device.stripes.empty()) continue;
    json on = json::array();
    for (const Stripe& stripe : device.stripes) {
      on.push_back({{"disk", stripe.disk}, {"first", stripe.first}});
    }
    devices[name]["stripes"] = {{"sectors", device.stripe_sectors}, {"on", std::move(on)}};
  }
  json steps = json::array();
  for (const Step& step : plan.steps) {
    steps.push_back({{"id", step.id},
                     {"cycle", step.cycle},
                     {"op", step.op},
                     {"args", step.args},
                     {"expect", step.expect}});
  }
  const json document = {{"version", plan.version},
                         {"seed", plan.seed},
                         {"scenario", plan.scenario},
                         {"devices", std::move(devices)},
                         {"module_parameters", plan.module_parameters},
                         {"steps", std::move(steps)}};
  return document.dump(1) + "\n";
}

Plan from_text(const std::string& source) {
  // Whatever is refused is shown, and showing goes as deep as the text is nested.
  const auto shallow = [](int depth, json::parse_event_t, json&) {
    if (depth > kNestingLimit) wrong("text", "is nested deeper than any plan");
    return true;
  };
  json document;
  try {
    document = json::parse(source, shallow);
  } catch (const json::exception& error) {
    wrong("text", error.what());
  }
  expect_object(document, "document",
                {"version", "seed", "scenario", "devices", "module_parameters", "steps"});
  Plan plan;
  plan.version = static_cast<std::uint32_t>(number(document["version"], "version", 0xffffffff));
  if (plan.version != kPlanVersion) {
    wrong("version",
          std::to_string(plan.version) + ", this program knows " + std::to_string(kPlanVersion));
  }
  plan.seed = number(document["seed"], "seed", ~std::uint64_t{0});
  plan.scenario = text(document["scenario"], "scenario");
  if (!document["devices"].is_object()) wrong("devices", "is not an object");
  for (const auto& item : document["devices"].items()) {
    plan.devices[item.key()] = read_device(item.value(), "devices." + item.key());
  }
  if (!document["module_parameters"].is_object()) wrong("module_parameters", "is not an object");
  for (const auto& item : document["module_parameters"].items()) {
    plan.module_parameters[item.key()] = text(item.value(), "module_parameters." + item.key());
  }
  if (!document["steps"].is_array()) wrong("steps", "is not a list");
  for (const json& step : document["steps"]) {
    plan.steps.push_back(read_step(step, plan.steps.size()));
  }
  return plan;
}

std::vector<std::uint8_t> to_disk(const std::string& source) {
  const std::size_t sectors = 1 + (source.size() + kPlanSector - 1) / kPlanSector;
  std::vector<std::uint8_t> bytes(sectors * kPlanSector, 0);
  std::copy(kMagic.begin(), kMagic.end(), bytes.begin());
  put_le<std::uint32_t>(bytes, kVersionAt, kDiskVersion);
  put_le<std::uint64_t>(bytes, kLengthAt, source.size());
  put_le<std::uint64_t>(bytes, kChecksumAt, XXH3_64bits(source.data(), source.size()));
  std::copy(source.begin(), source.end(), bytes.begin() + kPlanSector);
  return bytes;
}

std::uint64_t disk_text_length(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < kPlanSector) wrong("disk", std::to_string(bytes.size()) + " bytes, no header");
  if (std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) {
    wrong("disk", "does not begin with " + std::string(kMagic));
  }
  const auto version = get_le<std::uint32_t>(bytes, kVersionAt);
  if (version != kDiskVersion) wrong("disk", "has version " + std::to_string(version));
  const auto length = get_le<std::uint64_t>(bytes, kLengthAt);
  if (length > kPlanTextLimit)
    wrong("disk", "claims a text of " + std::to_string(length) + " bytes");
  return length;
}

std::string from_disk(std::span<const std::uint8_t> bytes) {
  const std::uint64_t length = disk_text_length(bytes);
  if (bytes.size() - kPlanSector < length) {
    wrong("disk", "holds " + std::to_string(bytes.size() - kPlanSector) + " of " +
                      std::to_string(length) + " bytes of text");
  }
  const std::span<const std::uint8_t> body = bytes.subspan(kPlanSector, length);
  if (XXH3_64bits(body.data(), body.size()) != get_le<std::uint64_t>(bytes, kChecksumAt)) {
    wrong("disk", "checksum of the text of " + std::to_string(length) + " bytes is wrong");
  }
  return {body.begin(), body.end()};
}

std::vector<Range> scattered_ranges(std::uint64_t seed, std::uint32_t step, std::uint64_t units,
                                    std::uint32_t writes, std::uint64_t max_units) {
  if (units == 0 || max_units == 0) wrong("ranges", "nothing to write to or with");
  if (writes > kWritesLimit) wrong("ranges", std::to_string(writes) + " writes in one step");
  Sequence sequence(seed ^ (std::uint64_t{step} << 32) ^ 0x5ca77e2edULL);
  std::vector<Range> ranges(writes);
  const std::uint64_t longest = std::min(max_units, units);
  for (Range& range : ranges) {
    range.count = 1 + sequence.below(longest);
    range.first = sequence.below(units - range.count + 1);
  }
  return ranges;
}

std::vector<Range> written_ranges(std::uint64_t seed, const Step& step, std::uint64_t sectors) {
  const std::uint64_t unit = step.args.value("unit", std::uint64_t{1});
  const std::uint64_t start = step.args.value("first", std::uint64_t{0});
  if (unit == 0 || start > sectors) wrong("ranges", "begin outside the device");
  const std::uint64_t count = std::min(step.args.value("count", sectors), sectors - start);
  auto ranges =
      scattered_ranges(seed, step.id, count / unit, step.args.at("writes").get<std::uint32_t>(),
                       step.args.at("max_sectors").get<std::uint64_t>() / unit);
  for (Range& range : ranges) range = {start + range.first * unit, range.count * unit};
  return ranges;
}

}  // namespace snapbed::plan
