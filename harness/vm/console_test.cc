// SPDX-License-Identifier: GPL-2.0-or-later
// Saved logs with their titles on line 1, and what happens to them when they arrive in pieces.
#include "vm/console.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

namespace snapbed::vm {
namespace {

struct Saved {
  std::string titles;  // "a | b", "none"
  std::string text;
};

Saved load(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  Saved saved;
  std::getline(file, saved.titles);
  saved.text.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  return saved;
}

std::string titles(const ConsoleParser& parser) {
  std::string text;
  for (const auto& finding : parser.findings()) text += (text.empty() ? "" : " | ") + finding.title;
  return text.empty() ? "none" : text;
}

std::vector<std::filesystem::path> corpus() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(SNAPBED_VM_TESTDATA))
    if (entry.path().extension() == ".log") files.push_back(entry.path());
  return files;
}

class Corpus : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(Corpus, HasTheTitlesOfItsFirstLine) {
  const Saved saved = load(GetParam());
  ConsoleParser parser;
  parser.feed(saved.text);
  parser.finish();
  EXPECT_EQ(titles(parser), saved.titles);
}

TEST_P(Corpus, ReadsTheSameByteByByte) {
  const Saved saved = load(GetParam());
  ConsoleParser parser;
  for (const char& c : saved.text) parser.feed({&c, 1});
  parser.finish();
  EXPECT_EQ(titles(parser), saved.titles);
}

TEST(Console, CutAnywhereACleanLogStaysClean) {
  const Saved saved = load(std::string(SNAPBED_VM_TESTDATA) + "/clean.log");
  for (std::size_t size = 0; size < saved.text.size(); ++size) {
    ConsoleParser parser;
    parser.feed(saved.text.substr(0, size));
    parser.finish();
    ASSERT_EQ(titles(parser), "none") << "cut at byte " << size;
  }
}

INSTANTIATE_TEST_SUITE_P(Saved, Corpus, testing::ValuesIn(corpus()), [](const auto& file) {
  std::string name = file.param.stem();
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

TEST(Console, SaysWhereAReportIs) {
  ConsoleParser parser;
  parser.feed(load(std::string(SNAPBED_VM_TESTDATA) + "/warn.log").text);
  ASSERT_EQ(parser.findings().size(), 1u);
  const auto& finding = parser.findings().front();
  EXPECT_EQ(finding.kind, ConsoleKind::warning);
  EXPECT_EQ(finding.first_line, 1u);
  EXPECT_EQ(finding.last_line, 16u);
  EXPECT_THAT(finding.excerpt, testing::HasSubstr("ctrl_unlocked_ioctl"));
  EXPECT_THAT(finding.excerpt, testing::Not(testing::HasSubstr("12.3457")));
  EXPECT_FALSE(parser.open());
}

TEST(Console, AnAllowedReportIsCountedAndDropped) {
  std::vector<std::regex> allowed;
  allowed.emplace_back("snapshot\\.c:412");
  ConsoleParser parser(std::move(allowed));
  parser.feed(load(std::string(SNAPBED_VM_TESTDATA) + "/warn.log").text);
  parser.feed(load(std::string(SNAPBED_VM_TESTDATA) + "/kasan.log").text);
  parser.finish();
  EXPECT_EQ(titles(parser), "KASAN: use-after-free in tracker_submit_bio");
  EXPECT_EQ(parser.allowed(), 1u);
}

TEST(Console, IsOpenWhileAReportIsPrinted) {
  ConsoleParser parser;
  parser.feed("[ 1.0] BUG: kernel NULL pointer dereference, address: 0\n");
  EXPECT_TRUE(parser.open());
  EXPECT_TRUE(parser.findings().empty());
  parser.feed("[ 1.1] RIP: 0010:f+0x1/0x2\n[ 1.2] ---[ end trace 0000000000000000 ]---\n");
  EXPECT_FALSE(parser.open());
  EXPECT_EQ(titles(parser), "NULL pointer dereference in f");
}

TEST(Console, FailedIoIsNoReasonToStopAKernel) {
  ConsoleParser parser;
  parser.feed(
      "[ 4.0] fio: attempt to access beyond end of device\n"
      "[ 4.0] vdg2: rw=0, sector=5000, nr_sectors = 32 limit=4096\n"
      "[ 4.1] EXT4-fs error (device vdb): ext4_lookup:1823: inode #2: comm fio: bad entry\n");
  parser.finish();
  EXPECT_EQ(parser.found(), 2u);
  EXPECT_EQ(parser.grave(), 0u);
  parser.feed(load(std::string(SNAPBED_VM_TESTDATA) + "/warn.log").text);
  parser.finish();
  EXPECT_EQ(parser.grave(), 1u);
}

TEST(Console, ALineWithoutAnEndDoesNotGrowForEver) {
  ConsoleParser parser;
  for (int i = 0; i < 1000; ++i) parser.feed(std::string(1000, 'x'));
  EXPECT_GE(parser.lines(), 200u);
}

TEST(Console, AFloodIsCountedAndBounded) {
  ConsoleParser parser;
  for (int i = 0; i < 1000; ++i) parser.feed("BUG: scheduling while atomic: fio/1/0x2\n </TASK>\n");
  EXPECT_EQ(parser.found(), 1000u);
  EXPECT_EQ(parser.findings().size(), kConsoleFindingLimit);
}

}  // namespace
}  // namespace snapbed::vm
