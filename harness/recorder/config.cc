// SPDX-License-Identifier: GPL-2.0-or-later
// Every error names the place ("disks[2].bytes"), the value and what would have been right: it is
// the one line that a user sees when nbdkit does not start.
#include "recorder/config.h"

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>

#include "base/file.h"
#include "journal/names.h"
#include "plan/mark.h"

namespace snapbed::recorder {

namespace {

using nlohmann::json;

constexpr std::uint64_t kDiskBytesLimit = std::uint64_t{256} << 40;
constexpr std::size_t kDiskCountLimit = 256;
constexpr std::size_t kNameLimit = 20;  // a virtio serial holds no more

[[noreturn]] void wrong(const std::string& where, const std::string& what) {
  throw std::runtime_error("recorder configuration: " + where + ": " + what);
}

// One JSON object and the name of its place.
class Object {
 public:
  Object(const json& value, std::string where, std::initializer_list<std::string_view> keys)
      : value_(value), where_(std::move(where)) {
    if (!value.is_object()) wrong(where_, "must be an object, is " + value.dump());
    for (const auto& [key, ignored] : value.items()) {
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) wrong(at(key), "unknown key");
    }
  }
  std::string at(const std::string& key) const { return where_.empty() ? key : where_ + "." + key; }
  const json* find(const std::string& key) const {
    const auto found = value_.find(key);
    return found == value_.end() ? nullptr : &*found;
  }
  std::uint64_t number(const std::string& key, std::uint64_t low, std::uint64_t high,
                       std::uint64_t otherwise) const {
    const json* found = find(key);
    if (found == nullptr) return otherwise;
    if (!found->is_number_unsigned() || found->get<std::uint64_t>() < low ||
        found->get<std::uint64_t>() > high) {
      wrong(at(key), "must be a number from " + std::to_string(low) + " to " +
                         std::to_string(high) + ", is " + found->dump());
    }
    return found->get<std::uint64_t>();
  }
  std::string text(const std::string& key, const std::string& otherwise) const {
    const json* found = find(key);
    if (found == nullptr) return otherwise;
    if (!found->is_string()) wrong(at(key), "must be a string, is " + found->dump());
    return found->get<std::string>();
  }
  bool flag(const std::string& key, bool otherwise) const {
    const json* found = find(key);
    if (found == nullptr) return otherwise;
    if (!found->is_boolean()) wrong(at(key), "must be true or false, is " + found->dump());
    return found->get<bool>();
  }

 private:
  const json& value_;
  std::string where_;
};

template <typename T>
std::uint64_t most() {
  return std::numeric_limits<T>::max();
}

std::uint64_t disk_bytes(const Object& object, std::uint32_t block) {
  if (object.find("bytes") == nullptr) wrong(object.at("bytes"), "is missing");
  const auto bytes = object.number("bytes", 0, most<std::uint64_t>(), 0);
  if (bytes == 0) wrong(object.at("bytes"), "a disk of 0 bytes cannot be served");
  if (bytes > kDiskBytesLimit) {
    wrong(object.at("bytes"), std::to_string(bytes) + " is more than the limit of " +
                                  std::to_string(kDiskBytesLimit) + " bytes (256 TiB)");
  }
  if (bytes % block != 0) {
    wrong(object.at("bytes"), std::to_string(bytes) + " is not a multiple of the disk's block of " +
                                  std::to_string(block) + " bytes");
  }
  return bytes;
}

std::string disk_name(const Object& object) {
  const std::string name = object.text("name", "");
  const bool spelled = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
  if (name.empty() || name.size() > kNameLimit || !spelled) {
    wrong(object.at("name"), "\"" + name + "\" must be 1 to 20 of the characters a-zA-Z0-9._-");
  }
  return name;
}

DiskConfig parse_disk(const json& value, const std::string& where, std::uint16_t id) {
  const Object object(value, where,
                      {"name", "role", "initial", "bytes", "content", "logical_block", "discard"});
  DiskConfig config;
  config.disk.id = id;
  config.disk.name = disk_name(object);
  const auto role = journal::parse_role(object.text("role", ""));
  if (!role) {
    wrong(object.at("role"),
          "\"" + object.text("role", "") +
              "\" is none of plan, marks, evidence, files, data, storage, scratch");
  }
  config.disk.role = *role;
  const auto initial = journal::parse_initial(object.text("initial", "zero"));
  if (!initial) wrong(object.at("initial"), "must be \"zero\" or \"seeded\"");
  config.disk.initial = *initial;
  config.logical_block = static_cast<std::uint32_t>(object.number("logical_block", 512, 4096, 512));
  if (config.logical_block != 512 && config.logical_block != 4096) {
    wrong(object.at("logical_block"), "must be 512 or 4096");
  }
  config.disk.sectors = disk_bytes(object, config.logical_block) / journal::kSectorBytes;
  config.content = object.text("content", "");
  config.discard = object.flag("discard", true);
  if ((*role == journal::Role::plan) == config.content.empty()) {
    wrong(object.at("content"), "belongs to a plan disk, and a plan disk needs it");
  }
  return config;
}

std::uint16_t disk_id(const Object& object, const std::vector<DiskConfig>& disks) {
  const std::string name = object.text("disk", "");
  for (const DiskConfig& config : disks) {
    if (config.disk.name != name) continue;
    const auto role = config.disk.role;
    if (role != journal::Role::data && role != journal::Role::storage &&
        role != journal::Role::scratch) {
      wrong(object.at("disk"), "\"" + name + "\" is a " + journal::to_string(role) +
                                   " disk: only data, storage and scratch disks take rules");
    }
    return config.disk.id;
  }
  wrong(object.at("disk"), "there is no disk \"" + name + "\"");
}

// The keys of a request filter, out of an object that may have more.
RequestFilter parse_filter(const Object& object, const std::vector<DiskConfig>& disks) {
  RequestFilter filter;
  filter.disk = disk_id(object, disks);
  const json* ops = object.find("op");
  std::vector<std::string> words;
  if (ops != nullptr && ops->is_array()) {
    for (const auto& word : *ops) words.push_back(word.is_string() ? word.get<std::string>() : "");
  } else {
    words.push_back(object.text("op", "any"));
  }
  for (const std::string& word : words) {
    if (word == "any") continue;
    const auto op = journal::parse_op(word);
    if (!op)
      wrong(object.at("op"), "\"" + word + "\" is none of read, write, trim, zero, flush, any");
    filter.ops = static_cast<std::uint8_t>(filter.ops | (1U << static_cast<unsigned>(*op)));
  }
  const std::uint64_t sectors = disks[filter.disk].disk.sectors;
  filter.first = object.number("first", 0, sectors - 1, 0);
  filter.count = object.number("count", 1, sectors - filter.first, 0);
  if (filter.first != 0 && filter.count == 0) wrong(object.at("count"), "goes with first");
  return filter;
}

MarkFilter parse_mark(const json* value, const std::string& where) {
  MarkFilter filter;
  if (value == nullptr) return filter;
  const Object object(*value, where, {"kind", "op", "label", "cycle"});
  const std::string word = object.text("kind", "");
  for (std::uint16_t kind = 1; kind <= static_cast<std::uint16_t>(plan::MarkKind::note); ++kind) {
    if (word == plan::to_string(static_cast<plan::MarkKind>(kind))) filter.kind = kind;
  }
  if (filter.kind == 0) wrong(object.at("kind"), "\"" + word + "\" is no kind of mark");
  filter.op = object.text("op", "");
  filter.label = object.text("label", "");
  filter.cycle = static_cast<std::uint32_t>(object.number("cycle", 0, most<std::uint32_t>(), 0));
  return filter;
}

// Without a time a hold ends soon, and a disconnect (`lasting`) not at all.
Release parse_release(const json* value, const std::string& where,
                      const std::vector<DiskConfig>& disks, bool lasting) {
  Release release;
  if (lasting) release.time_ms = 0;
  if (value == nullptr) return release;
  const Object object(*value, where, {"match", "mark", "count", "time_ms"});
  if (const json* match = object.find("match")) {
    const Object inner(*match, object.at("match"),
                       {"disk", "op", "first", "count", "same_chunk_bytes", "at"});
    release.by_match = true;
    release.match = parse_filter(inner, disks);
    release.same_chunk_bytes = inner.number("same_chunk_bytes", 0, std::uint64_t{1} << 40, 0);
    if (release.same_chunk_bytes % journal::kSectorBytes != 0) {
      wrong(inner.at("same_chunk_bytes"), "must be a multiple of 512");
    }
    const std::string at = inner.text("at", "end");
    if (at != "begin" && at != "end") wrong(inner.at("at"), "must be \"begin\" or \"end\"");
    release.at_begin = at == "begin";
  }
  release.mark = parse_mark(object.find("mark"), object.at("mark"));
  release.count = static_cast<std::uint32_t>(object.number("count", 0, most<std::uint32_t>(), 0));
  release.time_ms = static_cast<std::uint32_t>(
      object.number("time_ms", 1, kHoldMillisecondsLimit, release.time_ms));
  return release;
}

double parse_probability(const Object& object) {
  const json* value = object.find("probability");
  if (value == nullptr) return 1;
  if (!value->is_number() || value->get<double>() <= 0 || value->get<double>() > 1) {
    wrong(object.at("probability"), "must be more than 0 and at most 1, is " + value->dump());
  }
  return value->get<double>();
}

// The entry of `table` that the key's text names; `otherwise` when the key is absent.
template <typename T, std::size_t N>
T parse_word(const Object& object, const std::string& key, const std::string& otherwise,
             const std::pair<const char*, T> (&table)[N]) {
  const std::string word = object.text(key, otherwise);
  std::string known;
  for (const auto& [name, value] : table) {
    if (word == name) return value;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  wrong(object.at(key), "\"" + word + "\" is none of " + known);
}

constexpr std::pair<const char*, Action> kActions[] = {
    {"hold", Action::hold}, {"delay", Action::delay}, {"reorder", Action::reorder},
    {"fail", Action::fail}, {"tear", Action::tear},   {"disconnect", Action::disconnect}};
constexpr std::pair<const char*, HoldWhat> kWhats[] = {{"data", HoldWhat::data},
                                                       {"reply", HoldWhat::reply}};
constexpr std::pair<const char*, Fate> kFates[] = {
    {"seeded", Fate::seeded}, {"lost", Fate::lost}, {"torn", Fate::torn}, {"moved", Fate::moved}};

// A key that belongs to one action. That a key is needed is what `needed` says.
void require_owner(const Object& object, const char* key, bool owner, const char* action,
                   bool needed) {
  const bool there = object.find(key) != nullptr;
  if (there && !owner) wrong(object.at(key), std::string("belongs to the action ") + action);
  if (!there && owner && needed)
    wrong(object.at(key), std::string("is missing: the action ") + action + " needs it");
}

void require_fitting_keys(const Object& object, const Rule& rule) {
  require_owner(object, "delay_ms", rule.action == Action::delay, "delay", true);
  require_owner(object, "window", rule.action == Action::reorder, "reorder", true);
  require_owner(object, "sectors", rule.action == Action::tear, "tear", false);
  require_owner(object, "fate", rule.action == Action::disconnect, "disconnect", false);
  constexpr std::uint8_t kWrite = 1U << static_cast<unsigned>(journal::Op::write);
  if (rule.action == Action::tear && rule.match.ops != kWrite) {
    wrong(object.at("op"), "only a write can be torn");
  }
}

Rule parse_rule(const json& value, const std::string& where, const std::vector<DiskConfig>& disks) {
  const Object object(
      value, where,
      {"action", "disk", "op", "first", "count", "occurrence", "probability", "after", "until",
       "what", "release", "delay_ms", "error", "window", "sectors", "fate"});
  Rule rule;
  rule.action = parse_word(object, "action", "", kActions);
  rule.match = parse_filter(object, disks);
  rule.occurrence =
      static_cast<std::uint32_t>(object.number("occurrence", 0, most<std::uint32_t>(), 0));
  rule.probability = parse_probability(object);
  rule.after = parse_mark(object.find("after"), object.at("after"));
  rule.until = parse_mark(object.find("until"), object.at("until"));
  rule.what = parse_word(object, "what", "data", kWhats);
  rule.release = parse_release(object.find("release"), object.at("release"), disks,
                               rule.action == Action::disconnect);
  rule.delay_ms =
      static_cast<std::uint32_t>(object.number("delay_ms", 1, kHoldMillisecondsLimit, 0));
  rule.error = static_cast<std::int32_t>(object.number("error", 1, 133, 5));
  rule.window = static_cast<std::uint32_t>(object.number("window", 2, kHeldPerDiskLimit, 0));
  rule.sectors = object.number("sectors", 1, most<std::uint32_t>(), 0);
  rule.fate = parse_word(object, "fate", "seeded", kFates);
  require_fitting_keys(object, rule);
  return rule;
}

void require_sound_set(const std::vector<DiskConfig>& disks) {
  std::size_t files = 0;
  for (const DiskConfig& config : disks) {
    files += config.disk.role == journal::Role::files;
    const auto same = std::count_if(disks.begin(), disks.end(), [&](const DiskConfig& other) {
      return other.disk.name == config.disk.name;
    });
    if (same > 1) wrong("disks", "the name \"" + config.disk.name + "\" is there twice");
  }
  if (files > 1) wrong("disks", "at most one files disk: its bytes go to one files.img");
}

const json& array_of(const Object& object, const std::string& key) {
  static const json none = json::array();
  const json* value = object.find(key);
  if (value == nullptr) return none;
  if (!value->is_array()) wrong(key, "must be an array");
  return *value;
}

}  // namespace

Config parse_config(const std::string& text) {
  json document;
  try {
    document = json::parse(text);
  } catch (const json::parse_error& error) {
    wrong("JSON", error.what());
  }
  const Object object(document, "",
                      {"seed", "dir", "disks", "plan", "rules", "control_fd", "journal_limit_bytes",
                       "volatile_disks"});
  Config config;
  config.seed = object.number("seed", 0, most<std::uint64_t>(), 0);
  config.dir = object.text("dir", "");
  if (config.dir.empty()) wrong("dir", "is missing");
  const json& disks = array_of(object, "disks");
  if (disks.empty() || disks.size() > kDiskCountLimit) {
    wrong("disks", "must be 1 to 256 disks, are " + std::to_string(disks.size()));
  }
  for (std::size_t i = 0; i < disks.size(); ++i) {
    config.disks.push_back(
        parse_disk(disks[i], "disks[" + std::to_string(i) + "]", static_cast<std::uint16_t>(i)));
  }
  require_sound_set(config.disks);
  const json& rules = array_of(object, "rules");
  for (std::size_t i = 0; i < rules.size(); ++i) {
    config.rules.push_back(parse_rule(rules[i], "rules[" + std::to_string(i) + "]", config.disks));
  }
  config.volatile_disks = object.flag("volatile_disks", false);
  if (const json* fd = object.find("control_fd"); fd != nullptr && *fd != -1) {
    config.control_fd = static_cast<int>(object.number("control_fd", 0, 1U << 20, 0));
  }
  config.journal_limit_bytes = object.number("journal_limit_bytes", 1U << 20, most<std::int64_t>(),
                                             config.journal_limit_bytes);
  return config;
}

Config load_config(const std::filesystem::path& path) {
  const std::string text = base::read_file(path);
  Config config = parse_config(text);
  const json document = json::parse(text);
  if (const auto plan = document.find("plan"); plan != document.end()) {
    if (!plan->is_string()) wrong("plan", "must be the path of the plan's text");
    config.plan = base::read_file(plan->get<std::string>());
  }
  return config;
}

}  // namespace snapbed::recorder
