// SPDX-License-Identifier: GPL-2.0-or-later
// Scenario files that are right, wrong in every way a person gets them wrong, and garbage.
#include "scenario/scenario.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "scenario/words.h"

namespace snapbed::scenario {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kGood = R"(promise = "nothing changes by itself"
tags = ["smoke"]
cycles = 3
memory = "256M"
setup = ["write device=data0,data1 writes=8"]
cycle = [
  "create devices=data0,data1 low=store0 low_piece=1M",
  "append device=store0 ranges=0+8M,8M+8s",
  {op = "run", command = "echo a b; exit 3", expect = 3},
  "take expect=EBUSY,0",
  "run command='sleep 1'",
  "copy_image device=data0 mode=shuffled threads=4 block=64K",
]
[[disk]]
name = "data0"
size = "64M"
[[disk]]
name = "data1"
size = "1s"
[[disk]]
name = "store0"
size = "32M"
role = "storage"
[minimum]
"twice.sectors_overwritten" = 1000
[each_cycle]
sectors_overwritten = 1000
[expect]
verdict = "fail"
check = "log"
[[rule]]
action = "hold"
disk = "data0"
op = "read"
after = {kind = "step_end", op = "take", cycle = 2}
release = {match = {disk = "data0", op = "write", same_chunk = "256K"}, time_ms = 500}
)";

Scenario read(const std::string& text) {
  return parse(text, "promises.toml", "/nonexistent");
}

std::string error_of(const std::string& text) {
  try {
    read(text);
  } catch (const BadScenario& error) {
    return error.what();
  }
  return "accepted";
}

std::string changed(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Scenario, ReadsValues) {
  const Scenario scenario = read(kGood);
  EXPECT_EQ(scenario.name, "promises");
  EXPECT_EQ(scenario.cycles, 3U);
  EXPECT_EQ(scenario.memory_bytes, 256ULL << 20U);
  ASSERT_EQ(scenario.disks.size(), 3U);
  EXPECT_EQ(scenario.disks[0].initial, journal::Initial::seeded);
  EXPECT_EQ(scenario.disks[1].sectors, 1U);
  EXPECT_EQ(scenario.disks[2].role, journal::Role::storage);
  EXPECT_EQ(scenario.disks[2].initial, journal::Initial::zero);
  ASSERT_EQ(scenario.setup.size(), 2U) << "device=a,b repeats the step";
  EXPECT_EQ(scenario.setup[1].args["device"], "data1");
  ASSERT_EQ(scenario.cycle.at(0).size(), 6U);
  EXPECT_EQ(scenario.cycle[0][1].args["ranges"].dump(), "[[0,16384],[16384,8]]");
  EXPECT_EQ(scenario.cycle[0][2].args["command"], "echo a b; exit 3");
  EXPECT_EQ(scenario.cycle[0][2].expect, std::vector<std::int32_t>{3});
  EXPECT_EQ(scenario.cycle[0][3].expect, (std::vector<std::int32_t>{16, 0}));
  EXPECT_EQ(scenario.cycle[0][4].args["command"], "sleep 1");
  EXPECT_EQ(scenario.cycle[0][5].args["block"], 65536);
  EXPECT_EQ(scenario.minimum.at("twice.sectors_overwritten"), 1000U);
  EXPECT_EQ(scenario.each_cycle.at("sectors_overwritten"), 1000U);
  EXPECT_EQ(scenario.expect->verdict, "fail");
  EXPECT_EQ(scenario.rules[0].config["release"]["match"]["same_chunk_bytes"], 262144);
  EXPECT_EQ(scenario.rules[0].config["after"]["cycle"], 2);
}

TEST(Scenario, ReadsClasses) {
  EXPECT_TRUE(read(kGood).classes.empty());
  EXPECT_EQ(read(changed("cycles = 3", "classes = [\"C33\", \"L01\"]")).classes,
            (std::vector<std::string>{"C33", "L01"}));
}

const std::string kZero =
    "\n[[disk]]\nname = \"z0\"\nsize = \"1M\"\ninitial = \"zero\"\n"
    "[[disk]]\nname = \"z1\"\nsize = \"1M\"\ninitial = \"zero\"\n";

TEST(Scenario, WhereADevicesSectorsLieFollowsFromHowItIsMade) {
  const Scenario scenario = read(kGood + kZero + R"(
[[partition]]
name = "part"
disk = "data0"
first = "63s"
size = "1M"
[[md]]
name = "stripes"
level = 0
on = ["z0", "z1"]
chunk = "16K"
[[md]]
name = "mirror"
level = 1
on = ["z1", "part"]
[[dm]]
name = "on-part"
table = "0 100 linear %part% 8"
[[dm]]
name = "round"
table = "0 512 striped 2 64 %z0% 0 %z1% 128"
[[dm]]
name = "secret"
table = "0 100 crypt null - 0 %on-part% 0"
)");
  const auto where = [&](std::size_t index) { return scenario.devices[index].where; };
  EXPECT_EQ(where(0).first, 63U);
  EXPECT_EQ(where(1).sectors, 4096U);
  EXPECT_EQ(where(1).stripe_sectors, 32U);
  EXPECT_EQ(where(1).disk, "");
  EXPECT_EQ(where(1).path, "/dev/md0");
  EXPECT_EQ(where(2).disk, "z1");
  EXPECT_EQ(where(2).below, (std::vector<std::string>{"z1", "data0"}));
  EXPECT_EQ(where(3).disk, "data0");
  EXPECT_EQ(where(3).first, 71U);
  EXPECT_EQ(where(4).stripes[1].first, 128U);
  EXPECT_EQ(where(5).disk, "");
  EXPECT_EQ(where(5).below, std::vector<std::string>{"data0"});
}

TEST(Scenario, DevicesThatCannotBeAreRefused) {
  const auto says = [](const std::string& text) { return error_of(kGood + kZero + text); };
  EXPECT_THAT(says("[[md]]\nname = \"m\"\nlevel = 0\non = [\"data0\", \"z0\"]\n"),
              HasSubstr("not equally long"));
  EXPECT_THAT(says("[[dm]]\nname = \"d\"\ntable = \"0 512 striped 2 64 %data0% 0 %z0% 0\"\n"),
              HasSubstr("not zero at first"));
  EXPECT_THAT(says("[[dm]]\nname = \"d\"\ntable = \"8 512 linear %data0% 0\"\n"),
              HasSubstr("from sector 0 on"));
  EXPECT_THAT(says("[[dm]]\nname = \"d\"\ntable = \"0 512 linear %dat0% 0\"\n"),
              HasSubstr("(nearest: data0)"));
  EXPECT_THAT(says("[[partition]]\nname = \"p\"\ndisk = \"z0\"\nfirst = \"8s\"\nsize = \"1M\"\n"),
              HasSubstr("at most 2048"));
  EXPECT_THAT(error_of(changed("disk = \"data0\"\nop = \"read\"",
                               "disk = \"data0\"\nmust_meet = true\nop = \"read\"")),
              ::testing::StrEq("accepted"));
}

TEST(Scenario, ARepetitionIsUnrolled) {
  const Scenario scenario =
      read(changed("cycle = [",
                   "cycle = [{repeat = 3, steps = [\"flush device=data0\", {repeat = 2, steps = "
                   "[\"collect_trackers\"]}]},"));
  ASSERT_EQ(scenario.cycle.at(0).size(), 6U + 9U);
  EXPECT_EQ(scenario.cycle[0][0].op, "flush");
  EXPECT_EQ(scenario.cycle[0][2].op, "collect_trackers");
  EXPECT_EQ(scenario.cycle[0][3].op, "flush");
  EXPECT_THAT(error_of(changed("cycle = [", "cycle = [{repeat = 3},")), HasSubstr("no \"steps\""));
  EXPECT_THAT(error_of(changed("cycle = [",
                               "cycle = [{repeat = 20000, steps = [\"take\", "
                               "\"destroy\"]},")),
              HasSubstr("makes 40000 steps; expected at most 20000"));
}

TEST(Scenario, CyclesTakeListsInTurnAndLanesRunSideBySide) {
  const Scenario scenario = read(
      changed("cycle = [\n",
              "cycle = [[\"flush lane=a device=data0\", \"write lane=b label=x device=data1\"], [\n"
              "  \"flush device=data0\",\n ]]\nteardown = [\n"));
  ASSERT_EQ(scenario.cycle.size(), 2U);
  EXPECT_EQ(scenario.cycle[0][1].args["lane"], "b");
  EXPECT_EQ(scenario.cycle[0][1].args["label"], "x");
  EXPECT_EQ(scenario.cycle[1].size(), 1U);
}

TEST(Scenario, UnknownKeyNamesLineAndNearest) {
  const std::string error = error_of(changed("cycles = 3", "cylces = 3"));
  EXPECT_THAT(error, StartsWith("promises.toml:3: unknown key \"cylces\""));
  EXPECT_THAT(error, HasSubstr("(nearest: cycles)"));
}

struct Wrong {
  const char* from;
  const char* to;
  const char* says;
};

class WrongScenario : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongScenario, IsRefusedWithALineAndWhatWasExpected) {
  const std::string error = error_of(changed(GetParam().from, GetParam().to));
  EXPECT_THAT(error, ::testing::MatchesRegex("promises\\.toml:[1-9][0-9]*: .*expected.*"));
  EXPECT_THAT(error, HasSubstr(GetParam().says));
  EXPECT_THAT(error, ::testing::Not(HasSubstr("\n")));
}

INSTANTIATE_TEST_SUITE_P(
    Each, WrongScenario,
    ::testing::Values(
        Wrong{"cycles = 3", "cycles = \"3\"", ":3: \"cycles\" in the scenario is string"},
        Wrong{"cycles = 3", "cycles = 0", "is 0; expected 1.."},
        Wrong{"cycles = 3", "cycles = -1", "is -1; expected 1.."},
        Wrong{"cycles = 3", "cycles = 3\ncycles = 4", ":4: "},
        Wrong{"size = \"64M\"", "size = \"0\"", ":16: \"size\" is 0 bytes"},
        Wrong{"size = \"64M\"", "size = \"64\"", "\"64\"; expected a size"},
        Wrong{"size = \"64M\"", "size = 64", "is integer; expected a size"},
        Wrong{"size = \"64M\"", "size = \"513B\"", "expected a multiple of 512"},
        Wrong{"size = \"64M\"", "size = \"9999999T\"", "expected"},
        Wrong{"size = \"64M\"", "", "has no \"size\""},
        Wrong{"name = \"data1\"", "name = \"data0\"", "used twice"},
        Wrong{"name = \"data1\"", "name = \"marks\"", "testbed's own"},
        Wrong{"name = \"data0\"\nsize = \"64M\"\n[[disk]]\nname = \"data1\"",
              "name = \"data0\"\nsize = \"64M\"\ndiscard = false\n[[disk]]\n"
              "name = \"data1\"\ndiscard = false",
              "no disk of role data that takes discards"},
        Wrong{"name = \"data1\"", "name = \"module\"", "testbed's own"},
        Wrong{"name = \"data1\"", "name = \"../etc\"", "not usable"},
        Wrong{"role = \"storage\"", "role = \"storge\"", "(nearest: storage)"},
        Wrong{"tags = [\"smoke\"]", "tags = [\"smok\"]", "(nearest: smoke)"},
        Wrong{"tags = [\"smoke\"]", "tags = [5]", "expected a string"},
        Wrong{"cycles = 3", "classes = [\"C35\"]", "\"C35\", which is no class"},
        Wrong{"\"take expect", "\"power_cut writes=0\", \"take expect", "expected 1 to 1000000"},
        Wrong{"\"take expect", "\"power_cut device=lin\", \"take expect", "expected a [[disk]]"},
        Wrong{"cycles = 3", "classes = [\"C00\"]", "\"C00\", which is no class"},
        Wrong{"cycles = 3", "classes = [\"c01\"]", "\"c01\", which is no class"},
        Wrong{"cycles = 3", "classes = [\"C1\"]", "\"C1\", which is no class"},
        Wrong{"cycles = 3", "classes = [\"T01\", \"T01\"]", "\"T01\" twice"},
        Wrong{"\"take expect", "\"taek expect", ":10: unknown operation \"taek\""},
        Wrong{"\"take expect", "\"run lane=a command=x\", \"take expect", "has a lane"},
        Wrong{"\"take expect", "[\"take\"], \"take expect", "is array; expected a step"},
        Wrong{"EBUSY", "EBUSI", "(nearest: EBUSY)"},
        Wrong{"mode=shuffled", "mod=shuffled", "(nearest: mode)"},
        Wrong{"mode=shuffled", "mode=shufled", "(nearest: shuffled)"},
        Wrong{"device=store0", "device=stor0", "(nearest: store0)"},
        Wrong{"writes=8", "writes=8 first=0", "only one of"},
        Wrong{"writes=8", "writes=8 max=2M", "expected 512 to 1048576"},
        Wrong{"writes=8", "writes=8 max=256K lane=x", "expected 512 to 131072 in a lane"},
        Wrong{"write device=data0,data1 writes=8", "partition device=data0", "no [[partition]]"},
        Wrong{"release = {match = {disk = \"data0\", op = \"write\", same_chunk = \"256K\"}, ",
              "must_meet = true\nrelease = {", "waits for no request"},
        Wrong{"device=store0", "device=store0 device=store0", "twice"},
        Wrong{"device=store0", "device", "without a value"},
        Wrong{"device=store0 ", "", "has no \"device\""},
        Wrong{"ranges=0+8M,8M+8s", "ranges=0-8M", "FIRST+COUNT"},
        Wrong{"ranges=0+8M,8M+8s", "ranges=0+64M", "device of 65536; expected a range inside"},
        Wrong{"command='sleep 1'", "command='sleep 1", "not closed"},
        Wrong{"op = \"run\"", "op = 5", "expected a string"},
        Wrong{"\"twice.sectors_overwritten\"", "\"twcie.x\"", "(nearest: twice)"},
        Wrong{"sectors_overwritten = 1000\n[expect]", "sectors = 1\n[expect]",
              "unknown key \"sectors\""},
        Wrong{"verdict = \"fail\"", "verdict = \"fial\"", "(nearest: fail)"},
        Wrong{"action = \"hold\"", "action = \"held\"", "(nearest: hold)"},
        Wrong{"op = \"take\", cycle", "op = \"teak\", cycle", "expected an operation"},
        Wrong{"promise = \"nothing changes by itself\"", "", "has no \"promise\""},
        Wrong{"promise = \"nothing", "promise = nothing", "expected TOML"}));

// Such a disk offers none to the guest; what asks for one all the same must expect the error.
TEST(Scenario, NothingIsDiscardedOnADiskThatTakesNoDiscards) {
  const auto with = [](const std::string& step) {
    std::string text = changed("size = \"1s\"\n", "size = \"1M\"\ndiscard = false\n");
    text += "[[linear]]\nname = \"lin\"\ndisk = \"data1\"\nsize = \"64K\"\n";
    const std::string at = "\"take expect";
    return error_of(text.replace(text.find(at), 0, "\"" + step + "\", "));
  };
  EXPECT_THAT(with("discard device=data1 first=0 count=8s"), HasSubstr("takes no discards"));
  EXPECT_THAT(with("discard device=lin first=0 count=8s"), HasSubstr("takes no discards"));
  EXPECT_THAT(with("ledger_start devices=data0,data1 discards=1"), HasSubstr("takes no discards"));
  EXPECT_THAT(with("plug device=data1"), HasSubstr("takes no discards"));
  EXPECT_EQ(with("discard device=data1 first=0 count=8s expect=EOPNOTSUPP"), "accepted");
  EXPECT_EQ(with("discard device=data0 first=0 count=8s"), "accepted");
  EXPECT_EQ(with("ledger_start devices=data0,data1 zeroes=1"), "accepted");
}

TEST(Scenario, MissingFilesAreNamed) {
  EXPECT_THAT(error_of(kGood + "[[fio]]\nname = \"small\"\nfile = \"small.fio\"\n"),
              HasSubstr("promises.toml:39: fio job file /nonexistent/small.fio is not there"));
  EXPECT_THROW(load("/nonexistent/a.toml"), BadScenario);
  EXPECT_THAT(error_of(kGood + "[[fio]]\nname = \"small\"\nfile = \"../small.fio\"\n"),
              HasSubstr("expected the name NAME.fio of a file beside"));
  EXPECT_THAT(error_of(kGood + "[[fio]]\nname = \"small\"\nfile = \"plan.json\"\n"),
              HasSubstr("expected the name NAME.fio of a file beside"))
      << "it would be archived over the run's own";
  EXPECT_THAT(error_of(kGood + "[[fio]]\nname = \"module\"\nfile = \"small.fio\"\n"),
              HasSubstr("testbed's own"));
}

TEST(Scenario, FioReferencesAreChecked) {
  const std::string folder = ::testing::TempDir();
  std::ofstream(folder + "/typo.fio") << "[a]\nfilename=%data0%\nrandseed=%sead%\n";
  try {
    parse(kGood + "[[fio]]\nname = \"small\"\nfile = \"typo.fio\"\n", folder + "/p.toml", folder);
    FAIL() << "accepted";
  } catch (const BadScenario& error) {
    EXPECT_THAT(error.what(), HasSubstr("typo.fio:3: %sead% stands for nothing"));
    EXPECT_THAT(error.what(), HasSubstr("(nearest: seed)"));
  }
}

// Any bytes give a scenario or a BadScenario with a line, never another exception or a crash.
TEST(Scenario, SurvivesGarbage) {
  std::mt19937_64 random(20260101);
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text = kGood;
    const auto changes = 1 + random() % 8;
    for (std::uint64_t i = 0; i < changes; ++i) {
      const auto at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, random() % 40);
          break;
        case 2:
          text.insert(at, text.substr(random() % text.size(), random() % 40));
          break;
        default:
          text[at] = "=[]{}\"'.,\n#0-"[random() % 13];
          break;
      }
      if (text.empty()) text = "x";
    }
    const std::string error = error_of(text);
    if (error == "accepted") continue;
    ++refused;
    EXPECT_THAT(error, StartsWith("promises.toml:"));
  }
  EXPECT_GT(refused, 1000);
}

TEST(Words, SizesAreStrict) {
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("8s"), 4096U);
  EXPECT_EQ(parse_size("2G"), 2ULL << 30U);
  EXPECT_EQ(parse_size("512B"), 512U);
  for (const char* wrong : {"", "5", "K", "-1K", "1k", " 1K", "1K ", "99999999999999T", "0x1K"})
    EXPECT_EQ(parse_size(wrong), std::nullopt) << wrong;
}

}  // namespace
}  // namespace snapbed::scenario
