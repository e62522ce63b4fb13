// SPDX-License-Identifier: GPL-2.0-or-later
#include "scenario/scripts.h"

#include <algorithm>
#include <array>

namespace snapbed::scenario {
namespace {

using Acts = std::vector<Act>;

constexpr std::array<const char*, kActs> kNames = {
    "write-inside", "write-across", "discard",    "zero",        "flush",      "take",
    "destroy",      "append",       "read-image", "write-image", "mark-dirty", "read-map"};

bool takes(const Acts& acts) {
  return std::find(acts.begin(), acts.end(), Act::take) != acts.end();
}

// Every sequence of `length` acts.
std::vector<Acts> sequences(std::size_t length) {
  std::vector<Acts> all{{}};
  for (std::size_t i = 0; i < length; ++i) {
    std::vector<Acts> longer;
    for (const Acts& acts : all) {
      for (std::size_t act = 0; act < kActs; ++act) {
        longer.push_back(acts);
        longer.back().push_back(static_cast<Act>(act));
      }
    }
    all = std::move(longer);
  }
  return all;
}

std::vector<Script> make_scripts() {
  std::vector<Script> scripts;
  const auto pairs = sequences(2);
  for (const Start start : {Start::tracked, Start::held}) {
    const bool held = start == Start::held;
    for (const std::size_t length : {1, 2, 3}) {
      for (const Acts& acts : sequences(length))
        if (held || takes(acts)) scripts.push_back({start, {acts}});
    }
    for (std::size_t a = 0; a < pairs.size(); ++a) {
      for (std::size_t b = a; b < pairs.size(); ++b)
        if (held || takes(pairs[a]) || takes(pairs[b]))
          scripts.push_back({start, {pairs[a], pairs[b]}});
    }
  }
  return scripts;
}

// Disks of 64 KiB to 1 MiB, most of them no whole number of chunks.
constexpr std::array<std::uint64_t, kScriptsPerCycle> kDiskSectors = {
    512, 128, 129, 191, 136, 255, 256, 257, 144, 320, 383, 200, 135, 1024, 160, 2048};
constexpr std::uint64_t kSlotSectors = 16384;  // of the storage disk, for one disk's snapshots

// The steps of one script: names, places and labels of one disk in one cycle.
class Writer {
 public:
  Writer(const Geometry& geometry, const Script& script, std::size_t disk, std::size_t cycle,
         bool hold_second)
      : script_(script),
        disk_("d" + std::to_string(disk)),
        cycle_(cycle),
        chunk_((std::uint64_t{1} << geometry.chunk_shift) / 512),
        sectors_(kDiskSectors[disk]),
        storage_(disk * kSlotSectors),
        hold_second_(hold_second) {}

  std::vector<std::string> prologue() {
    lane_ = disk_;
    out_.clear();
    step("create", "devices=" + disk_ + " snapshot=" + id("s"), {0});
    append("s", {0});
    if (script_.start == Start::held) {
      step("take", "snapshot=" + id("s"), {0});
      step("collect_images", "snapshot=" + id("s"), {0});
      copy("s", {0});
    }
    return out_;
  }

  // Also finds out what rules make the two actors overlap.
  std::vector<std::string> script() {
    std::vector<std::vector<Planned>> planned;
    for (std::size_t a = 0; a < script_.actors.size(); ++a) planned.push_back(plan_actor(a));
    std::vector<std::vector<Call>> calls;
    for (const auto& actor : planned) {
      calls.emplace_back();
      for (const Planned& one : actor) calls.back().push_back(one.call);
    }
    const auto results = possible_results(script_.start, calls);
    out_.clear();
    for (std::size_t a = 0; a < planned.size(); ++a) {
      lane_ = disk_ + static_cast<char>('a' + a);
      for (std::size_t i = 0; i < planned[a].size(); ++i)
        step(planned[a][i].call.op, planned[a][i].words, results[a][i]);
    }
    make_rules(planned);
    return out_;
  }

  std::vector<std::string> epilogue() {
    lane_ = disk_;
    out_.clear();
    for (const std::string& name : names_) {
      copy(name, {0, 2});
      step("read_map", "device=" + disk_ + " snapshot=" + id(name), {0, 1});
      step("destroy", "snapshot=" + id(name), {0, 19});
    }
    step("create", "devices=" + disk_ + " snapshot=" + id("e"), {0});
    append("e", {0});
    step("take", "snapshot=" + id("e"), {0});
    step("collect_images", "snapshot=" + id("e"), {0});
    copy("e", {0});
    step("read_map", "device=" + disk_ + " snapshot=" + id("e"), {0});
    step("destroy", "snapshot=" + id("e"), {0});
    return out_;
  }

  const std::vector<std::string>& rules() const { return rules_; }

 private:
  struct Planned {
    Call call;
    std::string words;
    bool requests = false;  // surely makes one on the disk when it does its work
    std::string label;      // of the act's chief call
  };

  // The disks' snapshots live side by side.
  std::string id(const std::string& name) const { return disk_ + name; }
  static std::string sectors(std::uint64_t count) { return std::to_string(count) + "s"; }

  void step(const std::string& op, const std::string& words, const std::vector<int>& expect) {
    std::string line = op + " lane=" + lane_ + " " + words + " expect=";
    for (std::size_t i = 0; i < expect.size(); ++i)
      line += (i == 0 ? "" : ",") + std::to_string(expect[i]);
    out_.push_back(line);
  }

  void copy(const std::string& name, const std::vector<int>& expect) {
    step("copy_image", "device=" + disk_ + " snapshot=" + id(name), expect);
  }

  // Room for all of the disk, and some.
  std::string storage_words(const std::string& name, std::uint64_t count) {
    const std::string words = "snapshot=" + id(name) +
                              " device=store0 ranges=" + sectors(storage_) + "+" + sectors(count);
    storage_ += count;
    return words;
  }
  void append(const std::string& name, const std::vector<int>& expect) {
    step("append", storage_words(name, sectors_ + 128), expect);
  }

  // One write of just this range.
  std::string write_words(std::uint64_t first, std::uint64_t count) const {
    const std::string whole = sectors(std::min(count, sectors_ - std::min(first, sectors_ - 1)));
    return range(first, count) + " writes=1 max=" + whole + " unit=" + whole;
  }

  // A range of the disk, cut off at its end.
  std::string range(std::uint64_t first, std::uint64_t count) const {
    first = std::min(first, sectors_ - 1);
    return "first=" + (first == 0 ? std::string("0") : sectors(first)) +
           " count=" + sectors(std::min(count, sectors_ - first));
  }

  std::vector<Planned> plan_actor(std::size_t actor) {
    std::vector<Planned> planned;
    std::string held = "s";  // the snapshot that the actor believes to be there
    const auto& acts = script_.actors[actor];
    for (std::size_t i = 0; i < acts.size(); ++i) plan_act(actor, i, acts[i], held, planned);
    return planned;
  }

  void add(std::vector<Planned>& planned, const std::string& label, Call call,
           const std::string& words, bool requests = false) {
    planned.push_back(
        {std::move(call), words + (label.empty() ? "" : " label=" + label), requests, label});
  }

  // Ranges of the two actors meet, and are not the same.
  void plan_act(std::size_t actor, std::size_t number, Act act, std::string& held,
                std::vector<Planned>& planned) {
    const std::string label = disk_ + static_cast<char>('a' + actor) + std::to_string(number + 1);
    const std::string device = "device=" + disk_;
    const std::uint64_t shift = actor * 3 + number;
    const std::string named = device + " snapshot=" + id(held);
    switch (act) {
      case Act::write_inside:
        return add(planned, label, {"write", ""},
                   device + " " + write_words(chunk_ + shift, 5 + actor), true);
      case Act::write_across:
        return add(planned, label, {"write", ""},
                   device + " " + write_words(2 * chunk_ - 4 + shift, chunk_ + 9), true);
      case Act::discard:
        return add(planned, label, {"discard", ""},
                   device + " " + range(chunk_ + 8 * actor, chunk_), true);
      case Act::zero:
        return add(planned, label, {"zero", ""}, device + " " + range(chunk_ + 8 * actor, 16),
                   true);
      case Act::flush:
        return add(planned, label, {"flush", ""}, device, true);
      case Act::take:
        return plan_take(actor, number, label, held, planned);
      case Act::destroy:
        add(planned, label, {"destroy", held}, "snapshot=" + id(held));
        gone_[actor] = true;
        return;
      case Act::append:
        return add(planned, label, {"append", held}, storage_words(held, 64));
      case Act::read_image:
        return add(planned, label, {"copy_image", held}, named, true);
      case Act::write_image:
        return add(planned, label, {"write_image", held},
                   named + " " + write_words(chunk_ + 6 + shift, 8), true);
      case Act::mark_dirty:
        return add(planned, label, {"mark_dirty", ""},
                   device + " ranges=0+8s," + sectors(3 * chunk_) + "+8s");
      case Act::read_map:
        return add(planned, label, {"read_map", held}, named);
    }
  }

  // Takes the snapshot that is there; after a destroy of its own the actor makes another.
  void plan_take(std::size_t actor, std::size_t number, const std::string& label, std::string& held,
                 std::vector<Planned>& planned) {
    if (gone_[actor]) {
      held = std::string("s") + static_cast<char>('a' + actor) + std::to_string(number + 1);
      names_.push_back(held);
      gone_[actor] = false;
      add(planned, "", {"create", held}, "devices=" + disk_ + " snapshot=" + id(held));
      add(planned, "", {"append", held}, storage_words(held, sectors_ + 128));
    }
    add(planned, label, {"take", held}, "snapshot=" + id(held));
    add(planned, "", {"collect_images", held}, "snapshot=" + id(held));
  }

  // Of each pair of acts one is held at its first request until the other has begun.
  void make_rules(const std::vector<std::vector<Planned>>& planned) {
    if (planned.size() < 2) return;
    std::vector<std::vector<const Planned*>> chief(2);
    for (std::size_t a = 0; a < 2; ++a)
      for (const Planned& one : planned[a])
        if (!one.label.empty()) chief[a].push_back(&one);
    for (std::size_t i = 0; i < std::min(chief[0].size(), chief[1].size()); ++i) {
      const bool second = hold_second_ != (i % 2 == 1);
      const Planned* held = chief[second ? 1 : 0][i];
      const Planned* other = chief[second ? 0 : 1][i];
      if (!held->requests) std::swap(held, other);
      if (!held->requests) continue;
      const std::string at = "@" + std::to_string(cycle_);
      rules_.push_back("hold any of " + disk_ + " while=" + held->call.op + "#" + held->label + at +
                       " first until=" + other->call.op + "#" + other->label + at +
                       "-begins within=100ms optional");
    }
  }

  const Script& script_;
  const std::string disk_;
  const std::size_t cycle_;
  const std::uint64_t chunk_;
  const std::uint64_t sectors_;
  std::uint64_t storage_;
  const bool hold_second_;
  std::string lane_;
  std::array<bool, 2> gone_{};
  std::vector<std::string> names_ = {"s"};
  std::vector<std::string> out_;
  std::vector<std::string> rules_;
};

std::string quoted(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "  \"" + line + "\",\n";
  return text;
}

std::string head(const Geometry& geometry) {
  std::string text =
      "promise = \"what short scripts do to one disk each is judged like everything else\"\n"
      "tags = [\"full\"]\n";
  text += "[module_parameters]\ntracking_block_minimum_shift = " +
          std::to_string(geometry.tracking_shift) +
          "\nchunk_minimum_shift = " + std::to_string(geometry.chunk_shift) +
          "\ndiff_storage_minimum = 16\n";
  for (std::size_t i = 0; i < kScriptsPerCycle; ++i)
    text += "[[disk]]\nname = \"d" + std::to_string(i) + "\"\nsize = \"" +
            std::to_string(kDiskSectors[i]) + "s\"\n";
  return text + "[[disk]]\nname = \"store0\"\nrole = \"storage\"\nsize = \"" +
         std::to_string(kScriptsPerCycle * kSlotSectors) + "s\"\n";
}

}  // namespace

const std::vector<Script>& all_scripts() {
  static const std::vector<Script> scripts = make_scripts();
  return scripts;
}

std::string to_string(const Script& script) {
  std::string text = script.start == Start::held ? "held" : "tracked";
  for (const Acts& acts : script.actors) {
    text += " |";
    for (const Act act : acts) text += std::string(" ") + kNames[static_cast<std::size_t>(act)];
  }
  return text;
}

const std::vector<Geometry>& geometries() {
  static const std::vector<Geometry> known = {{"small", 12, 14}, {"least", 9, 12}};
  return known;
}

std::string scripts_toml(const Geometry& geometry, std::span<const std::size_t> scripts) {
  std::string cycles;
  std::vector<std::string> rules;
  std::size_t count = 0;
  for (std::size_t at = 0; at < scripts.size(); at += kScriptsPerCycle) {
    std::vector<std::string> parts[3];
    ++count;
    for (std::size_t i = 0; i < kScriptsPerCycle && at + i < scripts.size(); ++i) {
      const std::size_t index = scripts[at + i];
      Writer writer(geometry, all_scripts().at(index), i, count, index % 2 == 1);
      const auto put = [](std::vector<std::string>& part, const std::vector<std::string>& lines) {
        part.insert(part.end(), lines.begin(), lines.end());
      };
      put(parts[0], writer.prologue());
      put(parts[1], writer.script());
      put(parts[2], writer.epilogue());
      put(rules, writer.rules());
    }
    // A step without a lane waits for all lanes.
    cycles += " [\n" + quoted(parts[0]) + "  \"collect_trackers\",\n" + quoted(parts[1]) +
              "  \"collect_trackers\",\n" + quoted(parts[2]) + " ],\n";
  }
  return "cycles = " + std::to_string(count) + "\ncycle = [\n" + cycles + "]\nrules = [\n" +
         quoted(rules) + "]\n" + head(geometry);
}

}  // namespace snapbed::scenario
