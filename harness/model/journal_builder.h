// SPDX-License-Identifier: GPL-2.0-or-later
// Journals made by hand, for tests: requests and marks in the order of the calls, every call one
// stamp. The plan grows with its steps. Not thread safe.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "journal/pattern.h"
#include "journal/record.h"
#include "model/judge.h"
#include "plan/mark.h"
#include "plan/plan.h"

namespace snapbed::model::test {

using Json = nlohmann::json;

class JournalBuilder {
 public:
  explicit JournalBuilder(std::uint64_t seed = 1) {
    journal.version = 1;
    journal.seed = seed;
    plan.seed = seed;
    plan.scenario = "by-hand";
  }

  // A disk and the device of the same name that spans it.
  std::uint16_t disk(const std::string& name, journal::Role role, std::uint64_t sectors,
                     journal::Initial initial = journal::Initial::zero) {
    const auto id = static_cast<std::uint16_t>(journal.disks.size());
    journal.disks.push_back({id, name, role, initial, sectors});
    plan.devices[name] = {"/dev/snapbed/" + name, name, 0, sectors, 0, {}, {name}};
    return id;
  }

  std::uint32_t step(const std::string& op, Json args = Json::object(),
                     std::vector<std::int32_t> expect = {0}) {
    plan::Step step;
    step.id = static_cast<std::uint32_t>(plan.steps.size());
    step.cycle = cycle;
    step.op = op;
    step.args = std::move(args);
    step.expect = std::move(expect);
    plan.steps.push_back(step);
    return step.id;
  }

  std::size_t begin_mark(plan::MarkKind kind, std::uint32_t step, const Json& text) {
    plan::Mark mark;
    mark.kind = kind;
    mark.sequence = journal.marks.size();
    mark.step = step;
    mark.cycle = cycle;
    mark.text = text.dump();
    const auto bytes = plan::encode_mark(mark);
    journal.marks.push_back({++stamp, journal::kNever, {bytes.begin(), bytes.end()}});
    return journal.marks.size() - 1;
  }
  void end_mark(std::size_t mark) { journal.marks[mark].end = ++stamp; }
  void mark(plan::MarkKind kind, std::uint32_t step, const Json& text = Json::object()) {
    end_mark(begin_mark(kind, step, text));
  }
  std::uint32_t call(const std::string& op, Json args = Json::object(),
                     std::vector<std::int32_t> expect = {0}) {
    const std::uint32_t id = step(op, std::move(args), std::move(expect));
    mark(plan::MarkKind::step_begin, id, {{"op", op}});
    return id;
  }
  void done(std::uint32_t id, Json answer = Json::object()) {
    if (!answer.contains("result")) answer["result"] = 0;
    mark(plan::MarkKind::step_end, id, answer);
  }

  std::size_t begin(std::uint16_t disk, journal::Op op, std::uint64_t first, std::uint64_t count) {
    journal::Request request;
    request.disk = disk;
    request.op = op;
    request.first = first;
    request.count = count;
    request.begin = ++stamp;
    journal.requests.push_back(request);
    return journal.requests.size() - 1;
  }
  void move(std::size_t request, const std::vector<std::uint64_t>& hashes = {}) {
    journal.requests[request].moved = ++stamp;
    journal.requests[request].hash_index = journal.hashes.size();
    journal.hashes.insert(journal.hashes.end(), hashes.begin(), hashes.end());
  }
  void end(std::size_t request, std::int32_t error = 0) {
    journal.requests[request].end = ++stamp;
    journal.requests[request].error = error;
  }
  std::size_t write(std::uint16_t disk, std::uint64_t first,
                    const std::vector<std::uint64_t>& hashes) {
    const std::size_t request = begin(disk, journal::Op::write, first, hashes.size());
    move(request, hashes);
    end(request);
    return request;
  }
  void read(std::uint16_t disk, std::uint64_t first, std::uint64_t count) {
    const std::size_t request = begin(disk, journal::Op::read, first, count);
    move(request);
    end(request);
  }
  // One that fails before it has moved anything.
  void fail(std::uint16_t disk, journal::Op op, std::uint64_t first, std::uint64_t count) {
    end(begin(disk, op, first, count), 5);
  }
  void other(std::uint16_t disk, journal::Op op, std::uint64_t first, std::uint64_t count) {
    const std::size_t request = begin(disk, op, first, count);
    move(request);
    end(request);
  }

  // What the agent does first on a device of at least 320 sectors.
  void selftest(const std::string& device, std::uint16_t on) {
    const std::uint32_t id = call("selftest", {{"device", device}});
    std::vector<std::uint64_t> hashes;
    for (std::uint64_t s = 64; s < 72; ++s) hashes.push_back(pattern(id, s));
    write(on, 64, hashes);
    other(on, journal::Op::trim, 128, 64);
    other(on, journal::Op::zero, 256, 64);
    other(on, journal::Op::flush, 0, 0);
    done(id);
  }

  // Hash of what the agent writes in a step.
  std::uint64_t pattern(std::uint32_t step, std::uint64_t sector) const {
    journal::SectorBytes bytes;
    journal::fill_sector(journal::step_key(plan.seed, step), sector, bytes);
    return journal::sector_hash(bytes);
  }
  // Puts bytes on the files disk; returns where.
  std::uint64_t put(const std::vector<std::uint8_t>& bytes) {
    const std::uint64_t base = files.size();
    files.insert(files.end(), bytes.begin(), bytes.end());
    return base;
  }

  FilesReader reader() const {
    return [this](std::uint64_t offset, std::span<std::uint8_t> out) {
      if (offset + out.size() > files.size()) return false;
      std::copy_n(files.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
      return true;
    };
  }
  Report judge(const Expectations& expectations = {}, Scope scope = {}) {
    journal.complete = true;
    journal.plan = plan::to_text(plan);
    return model::judge(journal, expectations, reader(), scope);
  }

  journal::Journal journal;
  plan::Plan plan;
  journal::Stamp stamp = 0;
  std::uint32_t cycle = 0;
  std::vector<std::uint8_t> files;
};

}  // namespace snapbed::model::test
