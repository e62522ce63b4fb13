// SPDX-License-Identifier: GPL-2.0-or-later
// What is written is read back; what is damaged is read up to the damage and never passed.
#define XXH_INLINE_ALL
#include <gtest/gtest.h>
#include <xxhash.h>

#include <array>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "base/random.h"
#include "journal/format.h"
#include "journal/names.h"
#include "journal/pattern.h"
#include "journal/print.h"
#include "journal/reader.h"
#include "journal/writer.h"

namespace snapbed::journal {
namespace {

namespace fs = std::filesystem;

class TemporaryDir {
 public:
  TemporaryDir() {
    std::string name = testing::TempDir() + "snapbed-journal-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
    path_ = name;
  }
  ~TemporaryDir() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

WriterOptions options_for(const fs::path& dir) {
  WriterOptions options;
  options.dir = dir;
  options.seed = 42;
  options.plan = R"({"steps":[]})";
  options.disks = {{0, "data0", Role::data, Initial::seeded, 1U << 19},
                   {1, "marks", Role::marks, Initial::zero, 64}};
  options.segment_bytes = 64U << 10;
  return options;
}

Request write_of(Stamp begin, std::uint64_t first, std::uint64_t count, Stamp end) {
  Request request;
  request.op = Op::write;
  request.first = first;
  request.count = count;
  request.begin = begin;
  request.moved = end == kNever ? kNever : begin + 1;
  request.end = end;
  return request;
}

std::vector<std::uint64_t> hashes_from(std::uint64_t first, std::uint64_t count) {
  std::vector<std::uint64_t> hashes(count);
  for (std::uint64_t i = 0; i < count; ++i) hashes[i] = mix(first + i);
  return hashes;
}

void append_write(Writer& writer, Stamp begin, std::uint64_t count) {
  writer.append(write_of(begin, begin, count, begin + 2), hashes_from(begin, count), {}, begin);
}

std::vector<std::uint8_t> mark_bytes(std::uint8_t fill) {
  return std::vector<std::uint8_t>(512, fill);
}

void append_mark(Writer& writer, Stamp begin, Stamp end, std::uint8_t fill) {
  Request request = write_of(begin, 3, 1, end);
  request.disk = 1;
  request.moved = begin + 1;
  writer.append(request, hashes_from(begin, 1), mark_bytes(fill), 1);
}

// Every request that survived is one that append_write() wrote.
void expect_true_writes(const Journal& journal) {
  Stamp before = 0;
  for (const Request& request : journal.requests) {
    ASSERT_GT(request.begin, before);
    before = request.begin;
    if (request.disk != 0 || request.op != Op::write) continue;
    ASSERT_EQ(request.first, request.begin);
    const auto expected = hashes_from(request.begin, request.count);
    ASSERT_TRUE(std::equal(expected.begin(), expected.end(), journal.hashes_of(request).begin()));
  }
}

TEST(Journal, ReadsBackWhatWasWritten) {
  TemporaryDir dir;
  Writer writer(options_for(dir.path()));
  for (Stamp begin = 10; begin < 3000; begin += 10) append_write(writer, begin, 1 + begin % 7);
  append_mark(writer, 3000, 3002, 7);
  writer.append(RuleAction{3, 0, 10, 12, "match"});
  Request trim = write_of(5, 100, 1000, 8);
  trim.op = Op::trim;
  trim.fua = true;
  trim.error = 5;
  writer.append(trim, {}, {}, 0);
  ASSERT_TRUE(writer.close());

  const Journal journal = read_journal(dir.path());
  EXPECT_TRUE(journal.complete);
  EXPECT_EQ(journal.trouble, "");
  EXPECT_EQ(journal.seed, 42U);
  EXPECT_EQ(journal.plan, R"({"steps":[]})");
  ASSERT_EQ(journal.disks.size(), 2U);
  EXPECT_EQ(journal.disks[0].name, "data0");
  EXPECT_EQ(journal.disks[0].initial, Initial::seeded);
  ASSERT_EQ(journal.requests.size(), 301U);
  expect_true_writes(journal);
  EXPECT_EQ(journal.requests[0].op, Op::trim);
  EXPECT_TRUE(journal.requests[0].fua);
  EXPECT_EQ(journal.requests[0].error, 5);
  EXPECT_EQ(journal.requests[0].count, 1000U);
  ASSERT_EQ(journal.marks.size(), 1U);
  EXPECT_EQ(journal.marks[0].bytes, mark_bytes(7));
  EXPECT_EQ(journal.marks[0].end, 3002U);
  ASSERT_EQ(journal.rule_actions.size(), 1U);
  EXPECT_EQ(journal.rule_actions[0].how, "match");
  EXPECT_EQ(journal.rule_actions[0].rule, 3U);
}

TEST(Journal, CutsOfThePowerAreKept) {
  TemporaryDir dir;
  Writer writer(options_for(dir.path()));
  append_write(writer, 10, 1);
  append_write(writer, 15, 1);
  append_write(writer, 30, 1);
  writer.append(PowerCut{14, 20});
  writer.append(PowerCut{40, 41});
  ASSERT_TRUE(writer.close());
  const Journal journal = read_journal(dir.path());
  EXPECT_TRUE(journal.complete) << journal.trouble;
  ASSERT_EQ(journal.power.size(), 2U);
  EXPECT_EQ(journal.power[0].cut, 14U);
  EXPECT_EQ(journal.power[1].back, 41U);
  EXPECT_FALSE(journal.is_loss(journal.requests[0]));
  EXPECT_TRUE(journal.is_loss(journal.requests[1]));
  EXPECT_FALSE(journal.is_loss(journal.requests[2]));
}

TEST(Journal, CutsOutOfOrderAreDamage) {
  TemporaryDir dir;
  Writer writer(options_for(dir.path()));
  writer.append(PowerCut{14, 20});
  writer.append(PowerCut{18, 30});
  ASSERT_TRUE(writer.close());
  EXPECT_FALSE(read_journal(dir.path()).complete);
}

TEST(Journal, ManyThreadsManySegments) {
  TemporaryDir dir;
  Writer writer(options_for(dir.path()));
  std::vector<std::thread> threads;
  for (Stamp thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&writer, thread] {
      for (Stamp i = 1; i < 5000; ++i) append_write(writer, (i * 4 + thread) * 4, 16);
    });
  }
  for (auto& thread : threads) thread.join();
  ASSERT_TRUE(writer.close());
  EXPECT_TRUE(fs::exists(dir.path() / format::segment_name(3)));
  const Journal journal = read_journal(dir.path());
  EXPECT_TRUE(journal.complete) << journal.trouble;
  EXPECT_EQ(journal.requests.size(), 4U * 4999U);
  expect_true_writes(journal);
}

TEST(Journal, FollowsAGrowingJournal) {
  TemporaryDir dir;
  Writer writer(options_for(dir.path()));
  JournalReader reader(dir.path());
  Journal journal;
  reader.poll(journal);
  EXPECT_EQ(journal.requests.size(), 0U);

  append_write(writer, 100, 2);
  writer.append(write_of(50, 50, 4, kNever), {}, {}, 0);  // in flight
  append_mark(writer, 110, kNever, 9);                    // moved, held
  ASSERT_TRUE(writer.flush());
  reader.poll(journal);
  ASSERT_EQ(journal.requests.size(), 3U);
  EXPECT_EQ(journal.requests[0].begin, 50U);
  EXPECT_EQ(journal.requests[0].end, kNever);
  ASSERT_EQ(journal.marks.size(), 1U);
  EXPECT_EQ(journal.marks[0].end, kNever);
  EXPECT_FALSE(journal.complete);

  append_write(writer, 120, 1);
  append_write(writer, 50, 4);
  writer.append(write_of(50, 50, 4, kNever), {}, {}, 0);  // an open record that came late
  append_mark(writer, 110, 130, 9);
  append_write(writer, 90, 1);  // began before what the last poll saw
  ASSERT_TRUE(writer.flush());
  reader.poll(journal);
  ASSERT_EQ(journal.requests.size(), 5U);
  EXPECT_EQ(journal.requests[0].end, 52U);
  EXPECT_EQ(journal.requests[1].begin, 90U);
  EXPECT_EQ(journal.marks.size(), 1U);
  EXPECT_EQ(journal.marks[0].end, 130U);
  expect_true_writes(journal);

  for (Stamp begin = 1000; begin < 40000; begin += 10) append_write(writer, begin, 8);
  ASSERT_TRUE(writer.close());
  reader.poll(journal);
  EXPECT_TRUE(journal.complete) << journal.trouble;
  EXPECT_EQ(journal.requests.size(), 3905U);
  expect_true_writes(journal);
}

TEST(Journal, FollowsWhileAThreadWrites) {
  TemporaryDir dir;
  Writer writer(options_for(dir.path()));
  std::thread thread([&writer] {
    for (Stamp begin = 10; begin < 400000; begin += 10) append_write(writer, begin, 8);
    writer.close();
  });
  JournalReader reader(dir.path());
  Journal journal;
  std::size_t polls = 0;
  while (!journal.complete && polls < 1000000) {
    reader.poll(journal);
    ++polls;
  }
  thread.join();
  EXPECT_TRUE(journal.complete) << journal.trouble;
  EXPECT_EQ(journal.requests.size(), 39999U);
  expect_true_writes(journal);
}

TEST(Journal, WithoutAnEndItIsNotComplete) {
  TemporaryDir dir;
  {
    Writer writer(options_for(dir.path()));
    append_write(writer, 10, 1);
    writer.flush();
    append_write(writer, 20, 1);
  }
  const Journal journal = read_journal(dir.path());
  EXPECT_FALSE(journal.complete);
  EXPECT_EQ(journal.requests.size(), 1U);
  EXPECT_NE(journal.trouble.find("journal-000000.seg, byte"), std::string::npos);
}

TEST(Journal, RefusesToMixWithAnotherRun) {
  TemporaryDir dir;
  { Writer(options_for(dir.path())).close(); }
  EXPECT_THROW(Writer(options_for(dir.path())), std::runtime_error);
  EXPECT_THROW(read_journal(dir.path() / "nowhere"), std::runtime_error);
}

TEST(Journal, TheLimitIsAStickyError) {
  TemporaryDir dir;
  auto options = options_for(dir.path());
  options.limit_bytes = 1U << 20;
  std::vector<std::string> told;
  options.on_error = [&told](const std::string& what) { told.push_back(what); };
  Writer writer(options);
  for (Stamp begin = 10; begin < 400000; begin += 10) append_write(writer, begin, 8);
  EXPECT_FALSE(writer.close());
  ASSERT_EQ(told.size(), 1U);
  EXPECT_NE(told[0].find("limit of 1048576 bytes"), std::string::npos) << told[0];
  EXPECT_EQ(writer.error(), told[0]);
  const Journal journal = read_journal(dir.path());
  EXPECT_FALSE(journal.complete);
  EXPECT_GT(journal.requests.size(), 1000U);
  expect_true_writes(journal);
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(dir.path())) bytes += entry.file_size();
  EXPECT_LE(bytes, options.limit_bytes);
}

// A small journal of two segments as file contents, to be damaged.
std::vector<std::string> small_journal(const fs::path& dir) {
  auto options = options_for(dir);
  options.segment_bytes = 1024;
  Writer writer(options);
  for (Stamp begin = 10; begin < 60; begin += 10) {
    append_write(writer, begin, 4);
    writer.flush();
  }
  append_mark(writer, 70, 72, 1);
  writer.close();
  std::vector<std::string> segments;
  for (std::uint32_t i = 0; fs::exists(dir / format::segment_name(i)); ++i) {
    segments.push_back(base::read_file(dir / format::segment_name(i)));
  }
  return segments;
}

void put_journal(const fs::path& dir, const std::vector<std::string>& segments) {
  for (std::uint32_t i = 0; i < segments.size(); ++i) {
    std::ofstream(dir / format::segment_name(i), std::ios::binary) << segments[i];
  }
}

// Reads a damaged journal: it must not crash, not be complete, and hold only the truth.
void expect_honest(const fs::path& dir, bool header_may_be_gone) {
  try {
    const Journal journal = read_journal(dir);
    EXPECT_FALSE(journal.complete);
    EXPECT_FALSE(journal.trouble.empty());
    EXPECT_EQ(journal.trouble.find('\n'), std::string::npos);
    expect_true_writes(journal);
  } catch (const std::runtime_error&) {
    EXPECT_TRUE(header_may_be_gone);
  }
}

TEST(JournalDamage, TruncatedAtEveryLength) {
  TemporaryDir dir;
  const auto segments = small_journal(dir.path());
  ASSERT_EQ(segments.size(), 2U);
  for (std::size_t s = 0; s < segments.size(); ++s) {
    for (std::size_t length = 0; length < segments[s].size(); ++length) {
      auto cut = segments;
      cut[s].resize(length);
      put_journal(dir.path(), cut);
      SCOPED_TRACE(std::to_string(s) + " cut to " + std::to_string(length));
      expect_honest(dir.path(), s == 0 && length < 300);
    }
  }
}

TEST(JournalDamage, EveryByteFlipped) {
  TemporaryDir dir;
  const auto segments = small_journal(dir.path());
  base::Random random(1);
  for (std::size_t s = 0; s < segments.size(); ++s) {
    for (std::size_t at = 0; at < segments[s].size(); ++at) {
      auto flipped = segments;
      flipped[s][at] = static_cast<char>(flipped[s][at] ^ (1 << random.below(8)));
      put_journal(dir.path(), flipped);
      SCOPED_TRACE(std::to_string(s) + " flipped at " + std::to_string(at));
      expect_honest(dir.path(), s == 0 && at < 300);
    }
  }
}

// Recomputes the checksum of every block, as a writer gone mad would.
void seal(std::string& segment) {
  auto* bytes = reinterpret_cast<std::uint8_t*>(segment.data());
  std::size_t at = sizeof(format::SegmentHeader);
  while (at + sizeof(format::BlockHeader) <= segment.size()) {
    const auto size = base::load_le<std::uint32_t>(bytes + at + 12) + sizeof(format::BlockHeader);
    if (size > segment.size() - at) return;
    base::store_le(bytes + at, sector_hash({bytes + at + 8, size - 8}));
    at += size;
  }
}

TEST(JournalDamage, SenselessRecordsUnderGoodChecksums) {
  TemporaryDir dir;
  const auto segments = small_journal(dir.path());
  base::Random random(2);
  std::size_t senseless = 0;
  for (int round = 0; round < 6000; ++round) {
    auto mad = segments;
    auto& segment = mad[random.below(mad.size())];
    for (std::uint64_t n = random.between(1, 4); n > 0; --n) {
      segment[sizeof(format::SegmentHeader) +
              random.below(segment.size() - sizeof(format::SegmentHeader))] =
          static_cast<char>(random.chance(0.3) ? 0xff : random.below(256));
    }
    for (auto& each : mad) seal(each);
    put_journal(dir.path(), mad);
    try {
      const Journal journal = read_journal(dir.path());
      senseless += journal.trouble.find("senseless") != std::string::npos;
      for (const Request& request : journal.requests) {
        if (request.op == Op::write && request.moved != kNever) {
          ASSERT_LE(request.hash_index + request.count, journal.hashes.size());
        }
        ASSERT_LT(request.disk, journal.disks.size());
      }
      std::ostringstream text;
      print(journal, text);
    } catch (const std::runtime_error&) {
      ++senseless;
    }
  }
  EXPECT_GT(senseless, 300U);
}

TEST(JournalPrint, OneLineEach) {
  TemporaryDir dir;
  Writer writer(options_for(dir.path()));
  append_write(writer, 10, 2);
  append_mark(writer, 20, kNever, 1);
  writer.append(RuleAction{3, 0, 10, 12, "time"});
  writer.flush();
  std::ostringstream text;
  print(read_journal(dir.path()), text,
        [](auto bytes) { return "text of " + std::to_string(bytes.size()) + " bytes"; });
  EXPECT_NE(text.str().find("disk 0 data0 data seeded 256M\n"), std::string::npos) << text.str();
  EXPECT_NE(text.str().find("10 data0 write [10,12) moved 11 end 12 hash "), std::string::npos);
  EXPECT_NE(text.str().find("10 rule 3 on data0 time released 12\n"), std::string::npos);
  EXPECT_NE(text.str().find("20 mark text of 512 bytes end never\n"), std::string::npos);
  EXPECT_NE(text.str().find("cut short: journal-000000.seg"), std::string::npos);
}

TEST(Pattern, IsAFunctionOfKeyAndSector) {
  SectorBytes a{}, b{}, c{};
  fill_sector(1, 2, a);
  fill_sector(1, 2, b);
  fill_sector(1, 3, c);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
  EXPECT_EQ(base::load_le<std::uint64_t>(a.data() + 8), mix((mix(1) ^ mix(2)) + 1));
  EXPECT_EQ(sector_hash(a), sector_hash(b));
  EXPECT_NE(sector_hash(a), sector_hash(c));
}

// The journal of one machine is judged on another: values must not depend on the processor.
TEST(Pattern, HashIsPlainXxh3) {
  SectorBytes bytes{};
  EXPECT_EQ(sector_hash(bytes), XXH3_64bits(bytes.data(), bytes.size()));
  fill_sector(5, 6, bytes);
  EXPECT_EQ(sector_hash(bytes), XXH3_64bits(bytes.data(), bytes.size()));
  EXPECT_EQ(sector_hash(std::span(bytes).first(40)), XXH3_64bits(bytes.data(), 40));
}

TEST(Names, ReadBackWhatTheySay) {
  for (int op = 1; op <= 5; ++op) {
    EXPECT_EQ(parse_op(to_string(static_cast<Op>(op))), static_cast<Op>(op));
  }
  for (int role = 1; role <= 7; ++role) {
    EXPECT_EQ(parse_role(to_string(static_cast<Role>(role))), static_cast<Role>(role));
  }
  EXPECT_EQ(parse_initial("seeded"), Initial::seeded);
  EXPECT_EQ(parse_op("any"), std::nullopt);
}

}  // namespace
}  // namespace snapbed::journal
