// SPDX-License-Identifier: GPL-2.0-or-later
// A run made by hand, for tests, in which the power is cut: sectors 0 to 7 are promised, 8 to 15
// written after the flush. A test bends it at named places. Not thread safe.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/journal_builder.h"

namespace snapbed::model::test {

class CutStory {
 public:
  CutStory() {
    data = b.disk("data0", journal::Role::data, 512);
    evidence = b.disk("evidence", journal::Role::evidence, 1 << 16);
    content.assign(512, journal::sector_hash(journal::SectorBytes{}));
  }

  // At the places of the same name; what they change of `content` the copy shows.
  std::function<void()> before_flush, lose, before_copy;
  std::function<void(std::uint32_t copy)> in_copy;
  bool passes_down = true;  // the flush reaches the disk
  std::int64_t flush_result = 0;
  Json knowledge = {{"trackers", Json::array()}, {"foreign", 0}, {"snapshots", 0}};
  std::int64_t old_take_result = 3;

  void write(std::uint64_t first, std::uint64_t count, std::uint64_t hash) {
    b.write(data, first, std::vector<std::uint64_t>(count, hash));
    show(first, count, hash);
  }
  void show(std::uint64_t first, std::uint64_t count, std::uint64_t hash) {
    for (std::uint64_t s = first; s < first + count; ++s) content[s] = hash;
  }
  void flush() {
    const std::uint32_t id = b.call("flush", {{"device", "data0"}}, {0, 5});
    if (passes_down) b.other(data, journal::Op::flush, 0, 0);
    b.done(id, {{"result", flush_result}});
  }
  void hold(const std::string& generation) {
    const std::uint32_t create = b.call("create", {{"snapshot", "s"}, {"devices", {"data0"}}});
    b.mark(plan::MarkKind::event, create,
           {{"snapshot", "s"}, {"code", "low"}, {"sectors", 2097152}});
    b.done(create);
    b.done(b.call("take", {{"snapshot", "s"}}));
    const std::uint32_t map =
        b.call("read_map", {{"snapshot", "s"}, {"device", "data0"}, {"window_bytes", 64}});
    b.done(map, {{"base", b.put({0, 0, 0, 0})},
                 {"bytes", 4},
                 {"blk_size", 65536},
                 {"blk_count", 4},
                 {"capacity", 512 * 512},
                 {"generation", generation},
                 {"snap_number", 1}});
  }
  void cut() {
    b.call("power_cut");
    const journal::Stamp at = ++b.stamp;
    if (lose) lose();
    b.journal.power.push_back({at, ++b.stamp});
    b.mark(plan::MarkKind::boot, 0);
  }
  void copy() {
    const std::uint32_t id = b.call("copy_origin", {{"device", "data0"}, {"base", base_}});
    std::vector<std::uint64_t> shown = content;
    if (in_copy) {
      in_copy(id);
      shown.resize(shown.size() - unread);
    }
    b.write(evidence, base_, shown);
    base_ += content.size();
    b.done(id);
  }

  void start() {
    b.selftest("data0", data);
    show(64, 8, 0);
    for (std::uint64_t s = 64; s < 72; ++s) content[s] = b.pattern(0, s);
    b.done(b.call("insmod"));
    b.done(b.call("run", {{"command", "writes"}}));
    b.cycle = 1;
  }
  // Everything up to the copy.
  void until_copy() {
    start();
    write(0, 8, 0x11);
    if (before_flush) before_flush();
    flush();
    write(8, 8, 0x22);
    hold("aa");
    cut();
    b.done(b.call("collect_trackers"), knowledge);
    b.done(b.call("take", {{"snapshot", "s"}}, {3}), {{"result", old_take_result}});
    if (before_copy) before_copy();
  }
  void finish() {
    hold("bb");
    b.mark(plan::MarkKind::done, 0);
  }
  void run() {
    until_copy();
    copy();
    finish();
  }

  JournalBuilder b;
  std::uint16_t data = 0, evidence = 0;
  std::vector<std::uint64_t> content;
  std::uint64_t unread = 0;  // sectors at the end that the copy reports as bad

 private:
  std::uint64_t base_ = 0;
};

}  // namespace snapbed::model::test
