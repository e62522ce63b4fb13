// SPDX-License-Identifier: GPL-2.0-or-later
// A second cut, slow and obvious, agrees with the real one on many small journals: it tries every
// stamp of the take as P and asks of every sector whether it held then what the image shows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/random.h"
#include "model/journal_builder.h"

namespace snapbed::model::test {
namespace {

constexpr std::uint64_t kSectors = 6;

struct Case {
  JournalBuilder builder;
  std::vector<std::uint16_t> data;
  std::vector<std::vector<std::uint64_t>> image;  // per disk
  journal::Stamp called = 0, returned = 0;
};

std::uint64_t content_at(const Case& made, std::uint16_t disk, std::uint64_t sector,
                         journal::Stamp p) {
  std::uint64_t hash = journal::sector_hash(journal::SectorBytes{});
  journal::Stamp newest = 0;
  for (const journal::Request& request : made.builder.journal.requests) {
    if (request.disk != disk || request.moved > p || request.moved < newest) continue;
    if (request.op != journal::Op::write || sector < request.first ||
        sector >= request.first + request.count) {
      continue;
    }
    newest = request.moved;
    hash = made.builder.journal.hashes_of(request)[sector - request.first];
  }
  return hash;
}

bool fits(const Case& made, journal::Stamp p) {
  for (std::size_t d = 0; d < made.data.size(); ++d) {
    for (const journal::Request& request : made.builder.journal.requests) {
      if (request.disk == made.data[d] && request.begin <= p && request.end > p) return false;
    }
    for (std::uint64_t s = 0; s < kSectors; ++s) {
      if (content_at(made, made.data[d], s, p) != made.image[d][s]) return false;
    }
  }
  return true;
}

bool obvious_cut(const Case& made) {
  for (journal::Stamp p = made.called; p < made.returned; ++p) {
    if (fits(made, p)) return true;
  }
  return false;
}

// Overlapping writes around a take with few different contents; the image is the state at a
// random stamp, in half of the cases with one sector of another time.
Case make_case(std::uint64_t seed) {
  Case made;
  base::Random random(seed);
  JournalBuilder& b = made.builder;
  for (int i = 0; i < 2; ++i) {
    made.data.push_back(b.disk("data" + std::to_string(i), journal::Role::data, kSectors));
  }
  const std::uint16_t evidence = b.disk("evidence", journal::Role::evidence, 64);
  const std::uint16_t scratch = b.disk("scratch", journal::Role::scratch, 512);
  b.plan.module_parameters["diff_storage_minimum"] = "1";
  b.selftest("scratch", scratch);
  b.done(b.call("run", {{"command", "a storm"}}));
  b.done(b.call("create", {{"snapshot", "s"}, {"devices", {"data0", "data1"}}}));
  std::vector<std::pair<std::size_t, int>> open;  // request, stage
  std::uint32_t take = 0;
  for (int turn = 0; turn < 30; ++turn) {
    if (turn == 8) {
      take = b.call("take", {{"snapshot", "s"}});
      made.called = b.stamp;
    }
    if (turn == 24) {
      b.done(take);
      made.returned = b.journal.marks.back().begin;
    }
    if (open.size() < 2 && random.chance(0.5)) {
      const std::uint64_t first = random.below(kSectors - 1);
      open.emplace_back(
          b.begin(made.data[random.below(2)], journal::Op::write, first, random.between(1, 2)), 0);
    } else if (!open.empty()) {
      auto& [request, stage] = open[random.below(open.size())];
      if (stage++ == 0) {
        std::vector<std::uint64_t> hashes(b.journal.requests[request].count);
        for (auto& hash : hashes) hash = random.between(1, 4);
        b.move(request, hashes);
      } else {
        b.end(request);
        std::swap(open[0], open.back());
        std::erase_if(open, [](const auto& entry) { return entry.second == 2; });
      }
    }
  }
  const journal::Stamp at = random.between(made.called, made.returned - 1);
  for (const std::uint16_t disk : made.data) {
    made.image.emplace_back();
    for (std::uint64_t s = 0; s < kSectors; ++s) {
      const journal::Stamp p = random.chance(0.04) ? random.between(1, b.stamp) : at;
      made.image.back().push_back(content_at(made, disk, s, p));
    }
  }
  for (std::size_t d = 0; d < 2; ++d) {
    const std::uint64_t base = d * kSectors;
    const std::uint32_t id = b.call(
        "copy_image", {{"snapshot", "s"}, {"device", "data" + std::to_string(d)}, {"base", base}});
    b.write(evidence, base, made.image[d]);
    b.done(id);
  }
  return made;
}

// SNAPBED_SEEDS=n sets the number of journals.
std::uint64_t journals() {
  const char* given = std::getenv("SNAPBED_SEEDS");
  return given == nullptr ? 4000 : std::strtoull(given, nullptr, 10);
}

TEST(Cut, AgreesWithASlowObviousOne) {
  std::uint64_t right = 0;
  std::uint64_t wrong = 0;
  for (std::uint64_t seed = 1; seed <= journals(); ++seed) {
    Case made = make_case(seed);
    const Report report = made.builder.judge();
    ASSERT_EQ(report.broken, "");
    const CheckResult& cut = report.checks.at("cut");
    const bool obvious = obvious_cut(made);
    (obvious ? right : wrong) += 1;
    ASSERT_EQ(cut.outcome == Outcome::pass, obvious)
        << "seed " << seed << (cut.findings.empty() ? "" : "\n" + cut.findings[0].text);
  }
  EXPECT_GT(right, journals() / 8);
  EXPECT_GT(wrong, journals() / 8);
}

}  // namespace
}  // namespace snapbed::model::test
