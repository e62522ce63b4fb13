// SPDX-License-Identifier: GPL-2.0-or-later
// A run made by hand, for tests: one snapshot with two copies and a map, a write in between, its
// old data stored. A test bends it at named places. Not thread safe.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/journal_builder.h"

namespace snapbed::model::test {

using journal::Op;
using journal::Role;

inline constexpr std::uint64_t kSectors = 512;  // four map blocks of 128 sectors

// One disk, one storage disk, and a story of steps that a test may bend at named places.
class Story {
 public:
  Story() {
    data = b.disk("data0", Role::data, kSectors);
    store = b.disk("store0", Role::storage, 4096);
    evidence = b.disk("evidence", Role::evidence, 1 << 16);
    scratch = b.disk("scratch", Role::scratch, 512);
    content.assign(kSectors, journal::sector_hash(journal::SectorBytes{}));
  }

  std::function<void()> before_take, in_take, after_take, before_write, before_copy_2,
      before_destroy, after_destroy;
  std::uint64_t overwritten = 8;  // first sector of the write during the hold
  bool reads_first = true;
  std::uint64_t stored_at = 16;
  std::uint64_t stored = 0;  // content stored instead of the old one
  std::uint64_t image_lies_at = kSectors;
  std::uint64_t copy_2_lies_at = kSectors;
  std::uint64_t low_sectors = 2097152;
  std::vector<std::uint8_t> map{1, 0, 0, 0};
  Json map_answer = Json::object();
  bool self = true;
  bool unheard = false;  // nobody fetches events
  bool low = true;
  std::string job = "[a]\nfilename=/dev/snapbed/data0\n";

  void write(std::uint64_t first, std::uint64_t count, std::uint64_t hash) {
    b.write(data, first, std::vector<std::uint64_t>(count, hash));
    for (std::uint64_t s = first; s < first + count; ++s) content[s] = hash;
  }

  void copy(std::uint64_t lies_at) {
    const std::uint32_t id =
        b.call("copy_image", {{"snapshot", "s"}, {"device", "data0"}, {"base", evidence_base}});
    std::vector<std::uint64_t> shown = image;
    if (lies_at < kSectors) shown[lies_at] = 0xbad;
    b.write(evidence, evidence_base, shown);
    evidence_base += kSectors;
    b.done(id);
  }

  // A copy whose last 8 sectors could not be read, as a mark of `told` says (of the copy itself).
  void short_copy(std::optional<std::uint32_t> told = std::nullopt) {
    const std::uint32_t id =
        b.call("copy_image", {{"snapshot", "s"}, {"device", "data0"}, {"base", evidence_base}});
    b.write(evidence, evidence_base, std::vector<std::uint64_t>(image.begin(), image.end() - 8));
    b.mark(plan::MarkKind::read_error, told.value_or(id),
           {{"device", "data0"}, {"first", kSectors - 8}, {"count", 8}, {"error", 5}});
    b.done(id);
  }

  // A copy of some sectors of which none could be read.
  void refused_copy(std::uint64_t first, std::uint64_t count) {
    const std::uint32_t id = b.call("copy_image", {{"snapshot", "s"},
                                                   {"device", "data0"},
                                                   {"base", evidence_base},
                                                   {"first", first},
                                                   {"count", count}});
    b.mark(plan::MarkKind::read_error, id,
           {{"device", "data0"}, {"first", first}, {"count", count}, {"error", 5}});
    b.done(id);
    evidence_base += count;
  }

  void call(const std::function<void()>& hook) {
    if (hook) hook();
  }

  void start() {
    if (self) b.selftest("scratch", scratch);
    b.done(b.call("insmod"));
    const std::uint32_t fio = b.call("fio_start", {{"name", "f"}, {"job", job}});
    b.done(fio);
    write(0, 8, 0x11);
  }

  // Up to the end of TAKE.
  void hold_begun(std::uint32_t cycle = 1) {
    b.cycle = cycle;
    nlohmann::json args = {{"snapshot", "s"}, {"devices", {"data0"}}};
    if (unheard) args["events"] = "no";
    const std::uint32_t create = b.call("create", args);
    if (low) {
      b.mark(plan::MarkKind::event, create,
             {{"snapshot", "s"}, {"code", "low"}, {"sectors", low_sectors}});
    }
    b.done(create);
    b.done(b.call("append", {{"snapshot", "s"}, {"device", "store0"}, {"ranges", {{0, 1024}}}}));
    write(8, 8, 0x22 + cycle);
    call(before_take);
    const std::uint32_t take = b.call("take", {{"snapshot", "s"}});
    image = content;
    call(in_take);
    b.done(take);
  }

  void hold(std::uint32_t cycle) {
    hold_begun(cycle);
    call(after_take);
    copy(image_lies_at);
    call(before_write);
    if (reads_first) b.read(data, 8, 8);
    write(overwritten, 8, 0x33 + cycle);
    b.write(store, stored_at, std::vector<std::uint64_t>(8, stored ? stored : image[8]));
    call(before_copy_2);
    copy(copy_2_lies_at);
    read_map();
    call(before_destroy);
    b.done(b.call("destroy", {{"snapshot", "s"}}));
    call(after_destroy);
    b.mark(plan::MarkKind::cycle_end, 0);
  }

  void read_map() {
    const std::uint32_t id =
        b.call("read_map", {{"snapshot", "s"}, {"device", "data0"}, {"window_bytes", 64}});
    Json answer = {{"base", b.put(map)},   {"bytes", map.size()},        {"blk_size", 65536},
                   {"blk_count", 4},       {"capacity", kSectors * 512}, {"generation", "aa"},
                   {"snap_number", number}};
    answer.update(map_answer);
    b.done(id, answer);
  }

  void stop(std::uint64_t told = 0) {
    b.done(b.call("fio_stop", {{"name", "f"}}), {{"bytes_written", told}});
    b.mark(plan::MarkKind::done, 0);
  }

  Report run(const Expectations& expectations = {}) {
    start();
    hold(1);
    stop();
    return b.judge(expectations);
  }

  JournalBuilder b;
  std::uint16_t data = 0, store = 0, evidence = 0, scratch = 0;
  std::vector<std::uint64_t> content, image;
  std::uint64_t evidence_base = 0;
  std::uint32_t number = 1;
};

// QEMU as a second witness of a story: asked right before each take. Outlives the judging.
class Witnesses {
 public:
  explicit Witnesses(Story& story) {
    story.before_take = [this, &story] {
      Opinion opinion;
      opinion.device = "data0";
      opinion.asked_before = asked_;
      opinion.asked = asked_ = story.b.stamp;
      opinion.hashes = story.content;
      if (lies_at < kSectors) opinion.hashes[lies_at] = 0xbad;
      opinion.knows_changes = !opinions_.empty();
      opinion.block_bytes = 65536;
      for (const journal::Request& request : story.b.journal.requests) {
        const bool change = request.op == Op::write || request.op == Op::trim;
        if (request.disk == story.data && change && request.begin > opinion.asked_before) {
          opinion.changes.push_back({request.first, request.count});
        }
      }
      opinions_[story.b.cycle] = opinion;
    };
  }
  Witnesses(const Witnesses&) = delete;
  Witnesses& operator=(const Witnesses&) = delete;

  Expectations expectations() const {
    Expectations out;
    out.opinion = [this](std::uint32_t cycle) -> std::optional<Opinion> {
      const auto found = opinions_.find(cycle);
      if (found == opinions_.end()) return std::nullopt;
      return found->second;
    };
    return out;
  }

  std::uint64_t lies_at = kSectors;

 private:
  std::map<std::uint32_t, Opinion> opinions_;
  journal::Stamp asked_ = 0;
};

inline std::string all(const Report& report) {
  std::string text = report.broken;
  for (const auto& [name, check] : report.checks) {
    for (const Finding& finding : check.findings) text += "\n" + name + ": " + finding.text;
  }
  return text;
}

}  // namespace snapbed::model::test
