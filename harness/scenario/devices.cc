// SPDX-License-Identifier: GPL-2.0-or-later
// Devices that the guest makes of its disks: [[partition]], [[linear]], [[device]], [[md]], [[dm]],
// in this order, so that each may stand on those before it. What matters of each is where its
// sectors lie: on one disk, in stripes over several, or nowhere that the host can see.
#include <algorithm>
#include <set>
#include <sstream>

#include "base/overlap.h"
#include "scenario/steps.h"
#include "scenario/words.h"

namespace snapbed::scenario {
namespace {

const Disk* find_disk(const Scenario& scenario, const std::string& name) {
  for (const Disk& disk : scenario.disks)
    if (disk.name == name) return &disk;
  return nullptr;
}

void add_below(plan::Device& where, const plan::Device& base) {
  for (const std::string& disk : base.below)
    if (std::find(where.below.begin(), where.below.end(), disk) == where.below.end())
      where.below.push_back(disk);
}

// "size" of a table, in sectors that the base has from `first` on.
std::uint64_t piece_of(const Table& table, const Scenario& scenario, const std::string& base,
                       std::uint64_t first) {
  const std::uint64_t sectors = whole_sectors(table, "size", table.size("size"), kSector);
  const std::uint64_t all = device_sectors(scenario, base);
  if (first > all || sectors > all - first)
    table.refuse_at("size", "\"size\" ends at sector " + std::to_string(first + sectors) + " of " +
                                base + "; expected at most " + std::to_string(all) + ", its end");
  return sectors;
}

std::uint64_t first_of(const Table& table) {
  const std::uint64_t first = table.size_or("first", 0);
  return first == 0 ? 0 : whole_sectors(table, "first", first, kSector);
}

Device named(const Table& table, const Scenario& scenario, Kind kind) {
  Device device;
  device.name = table.text("name");
  device.kind = kind;
  check_name(table, "name", device.name, device_names(scenario));
  return device;
}

Device read_linear(const Table& table, const Scenario& scenario) {
  table.only({"name", "disk", "first", "size"});
  Device device = named(table, scenario, Kind::dm);
  const std::string disk = table.choice_or("disk", "", disk_names(scenario));
  const std::uint64_t first = first_of(table);
  const std::uint64_t sectors = piece_of(table, scenario, disk, first);
  device.where = {"/dev/mapper/" + device.name, disk, first, sectors, 0, {}, {disk}};
  device.make["table"] =
      "0 " + std::to_string(sectors) + " linear %" + disk + "% " + std::to_string(first);
  return device;
}

Device read_partition(const Table& table, const Scenario& scenario) {
  constexpr std::size_t kPrimaries = 4;
  table.only({"name", "disk", "first", "size"});
  Device device = named(table, scenario, Kind::partition);
  const std::string name = table.choice_or("disk", "", disk_names(scenario));
  const Disk& disk = *find_disk(scenario, name);
  const std::uint64_t first =
      whole_sectors(table, "first", table.size("first"), disk.logical_block);
  const std::uint64_t sectors = piece_of(table, scenario, name, first);
  whole_sectors(table, "size", table.size("size"), disk.logical_block);
  std::size_t number = 1;
  for (const Device& other : scenario.devices) {
    if (other.kind != Kind::partition || other.where.disk != name) continue;
    ++number;
    if (base::overlap(first, sectors, other.where.first, other.where.sectors))
      table.refuse_at("first", "the partition overlaps " + other.name + "; expected a free range");
  }
  if (number > kPrimaries)
    table.refuse_at("disk", name + " has more partitions than an MBR holds; expected at most 4");
  device.where = {"/dev/snapbed/" + device.name, name, first, sectors, 0, {}, {name}};
  device.make["number"] = number;
  return device;
}

// A node that a `run` step or the kernel makes: brd, zram, loop, null_blk.
Device read_other(const Table& table, const Scenario& scenario) {
  table.only({"name", "path", "size", "disk", "first", "below"});
  Device device = named(table, scenario, Kind::other);
  device.where.path = table.text("path");
  if (!device.where.path.starts_with("/dev/"))
    table.refuse_at("path", "\"path\" is \"" + device.where.path + "\"; expected /dev/...");
  device.where.below = table.texts_or_empty("below");
  for (const std::string& disk : device.where.below)
    if (find_disk(scenario, disk) == nullptr)
      table.refuse_at("below", "\"below\" holds \"" + disk + "\"; expected disks" +
                                   nearest_note(disk, disk_names(scenario)));
  if (!table.has("disk")) {
    device.where.sectors = whole_sectors(table, "size", table.size("size"), kSector);
    return device;
  }
  device.where.disk = table.choice_or("disk", "", disk_names(scenario));
  device.where.first = first_of(table);
  device.where.sectors = piece_of(table, scenario, device.where.disk, device.where.first);
  device.where.below = {device.where.disk};
  return device;
}

// The initial contents of a striped device are not a function of its sectors, unless all are zero.
void check_zero(const Table& table, std::string_view key, const Scenario& scenario,
                const plan::Device& where) {
  for (const plan::Stripe& stripe : where.stripes)
    if (find_disk(scenario, stripe.disk)->initial != journal::Initial::zero)
      table.refuse_at(key, "stripes lie on " + stripe.disk +
                               ", which is not zero at first; expected initial = \"zero\"");
}

Device read_md(const Table& table, const Scenario& scenario) {
  table.only({"name", "level", "on", "chunk"});
  Device device = named(table, scenario, Kind::md);
  const std::uint64_t level = table.number_or("level", 0, 0, 5);
  if (level > 1 && level != 5)
    table.refuse_at("level", "\"level\" is " + std::to_string(level) + "; expected 0, 1 or 5");
  const std::uint64_t chunk = whole_sectors(table, "chunk", table.size_or("chunk", 64 << 10), 4096);
  const auto members = table.texts_or_empty("on");
  const auto known = device_names(scenario);
  const std::size_t least = level == 5 ? 3 : 2;
  if (members.size() < least)
    table.refuse_at("on", "\"on\" names " + std::to_string(members.size()) +
                              " devices; expected at least " + std::to_string(least));
  std::uint64_t smallest = ~0ULL;
  for (const std::string& member : members) {
    if (std::find(known.begin(), known.end(), member) == known.end())
      table.refuse_at(
          "on", "\"on\" holds \"" + member + "\"; expected devices" + nearest_note(member, known));
    const plan::Device where = device_where(scenario, member);
    smallest = std::min(smallest, where.sectors);
    add_below(device.where, where);
    if (level == 0) device.where.stripes.push_back({where.disk, where.first});
  }
  const plan::Device first = device_where(scenario, members.front());
  if (level != 1) smallest = smallest / chunk * chunk;
  if (smallest == 0) table.refuse_at("chunk", "a member is shorter than a chunk; expected more");
  device.where.sectors = level == 1   ? smallest
                         : level == 0 ? smallest * members.size()
                                      : smallest * (members.size() - 1);
  if (level == 1) {  // a mirror is read from its first member
    device.where.disk = first.disk;
    device.where.first = first.first;
  }
  const bool plain = std::all_of(device.where.stripes.begin(), device.where.stripes.end(),
                                 [](const plan::Stripe& stripe) { return !stripe.disk.empty(); });
  if (!plain) device.where.stripes.clear();
  device.where.stripe_sectors = device.where.stripes.empty() ? 0 : chunk;
  if (level == 0)
    for (const std::string& member : members)
      if (device_where(scenario, member).sectors / chunk * chunk != smallest)
        table.refuse_at("on",
                        "the stripes of level 0 are not equally long; expected members of "
                        "one size");
  check_zero(table, "on", scenario, device.where);
  const auto number = std::count_if(scenario.devices.begin(), scenario.devices.end(),
                                    [](const Device& other) { return other.kind == Kind::md; });
  device.where.path = "/dev/md" + std::to_string(number);
  device.make = {
      {"number", number}, {"level", level}, {"chunk_sectors", chunk}, {"devices", members}};
  return device;
}

// The device that a word of a table stands for, %NAME%.
const std::string* reference(const Table& table, const Scenario& scenario, const std::string& word,
                             std::vector<std::string>& known) {
  if (word.size() < 3 || word.front() != '%' || word.back() != '%') return nullptr;
  const std::string name = word.substr(1, word.size() - 2);
  known = device_names(scenario);
  const auto found = std::find(known.begin(), known.end(), name);
  if (found == known.end())
    table.refuse_at("table", "%" + name + "% stands for nothing; expected a device" +
                                 nearest_note(name, known));
  return &*found;
}

// Where the sectors of a table of one line lie, as far as the target keeps them in place.
void map_target(const Table& table, const Scenario& scenario, const std::vector<std::string>& words,
                plan::Device& where) {
  static const std::set<std::string> kStraight = {"linear", "delay", "flakey", "snapshot-origin"};
  std::vector<std::string> known;
  const auto base = [&](std::size_t at, std::uint64_t& offset) {
    offset = at + 1 < words.size() ? parse_number(words[at + 1]).value_or(0) : 0;
    const std::string* name =
        at < words.size() ? reference(table, scenario, words[at], known) : nullptr;
    return name == nullptr ? plan::Device{} : device_where(scenario, *name);
  };
  std::uint64_t offset = 0;
  if (kStraight.contains(words[2])) {
    const plan::Device below = base(3, offset);
    if (words[2] == "snapshot-origin") offset = 0;
    where.disk = below.disk;
    where.first = below.disk.empty() ? 0 : below.first + offset;
  } else if (words[2] == "striped" && words.size() > 4) {
    where.stripe_sectors = parse_number(words[4]).value_or(0);
    for (std::size_t at = 5; at < words.size(); at += 2) {
      const plan::Device below = base(at, offset);
      where.stripes.push_back({below.disk, below.first + offset});
    }
    const bool plain = std::all_of(where.stripes.begin(), where.stripes.end(),
                                   [](const plan::Stripe& stripe) { return !stripe.disk.empty(); });
    if (!plain || where.stripes.size() < 2 || where.stripe_sectors == 0) {
      where.stripes.clear();
      where.stripe_sectors = 0;
    }
  }
}

Device read_dm(const Table& table, const Scenario& scenario) {
  table.only({"name", "table"});
  Device device = named(table, scenario, Kind::dm);
  plan::Device& where = device.where;
  where.path = "/dev/mapper/" + device.name;
  const std::string text = table.text("table");
  std::vector<std::vector<std::string>> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    std::vector<std::string> words;
    std::istringstream parts(line);
    for (std::string word; parts >> word;) words.push_back(word);
    if (words.size() < 3 || parse_number(words[0]) != where.sectors ||
        parse_number(words[1]).value_or(0) == 0)
      table.refuse_at("table", "the line \"" + line + "\" is no \"FIRST COUNT TARGET ...\" from " +
                                   "sector " + std::to_string(where.sectors) +
                                   " on; expected a device-mapper table");
    where.sectors += *parse_number(words[1]);
    lines.push_back(std::move(words));
  }
  if (lines.empty()) table.refuse_at("table", "\"table\" is empty; expected at least one line");
  std::vector<std::string> known;
  for (const auto& words : lines)
    for (const std::string& word : words)
      if (const std::string* name = reference(table, scenario, word, known))
        add_below(where, device_where(scenario, *name));
  if (lines.size() == 1) map_target(table, scenario, lines.front(), where);
  check_zero(table, "table", scenario, where);
  device.make["table"] = text;
  return device;
}

}  // namespace

void read_devices(const Table& root, Scenario& scenario) {
  using Read = Device (*)(const Table&, const Scenario&);
  const std::pair<const char*, Read> kinds[] = {{"partition", read_partition},
                                                {"linear", read_linear},
                                                {"device", read_other},
                                                {"md", read_md},
                                                {"dm", read_dm}};
  for (const auto& [key, read] : kinds)
    for (const Table& table : root.tables(key)) scenario.devices.push_back(read(table, scenario));
}

plan::Device device_where(const Scenario& scenario, const std::string& name) {
  for (const Disk& disk : scenario.disks)
    if (disk.name == name)
      return {"/dev/snapbed/" + disk.name, disk.name, 0, disk.sectors, 0, {}, {disk.name}};
  for (const Device& device : scenario.devices)
    if (device.name == name) return device.where;
  throw std::logic_error("device_where: no device " + name);
}

std::uint64_t logical_sectors(const Scenario& scenario, const std::string& name) {
  std::uint32_t bytes = kSector;
  for (const std::string& disk : device_where(scenario, name).below)
    bytes = std::max(bytes, find_disk(scenario, disk)->logical_block);
  return bytes / kSector;
}

}  // namespace snapbed::scenario
