// SPDX-License-Identifier: GPL-2.0-or-later
// Parts that are there, are not there, or are something else.
#include "runner/parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"

namespace snapbed::runner {
namespace {

namespace fs = std::filesystem;

class PartsTest : public ::testing::Test {
 protected:
  PartsTest() {
    fs::create_directories(folder_);
    base::write_file(folder_ / "kernel", std::string(0x202, '\0') + "HdrS and more");
    base::write_file(folder_ / "module",
                     "\x7f"
                     "ELF and more");
    base::write_file(folder_ / "text", "I am text");
    parts_.kernel = folder_ / "kernel";
    parts_.module = folder_ / "module";
    parts_.image = folder_ / "text";
    parts_.plugin = folder_ / "text";
  }

  ~PartsTest() override { fs::remove_all(folder_); }

  std::string refusal() const {
    try {
      find_parts(parts_, "/nonexistent/harness/cli/snapbed");
      return "";
    } catch (const PartMissing& error) {
      return error.what();
    }
  }

  // CTest runs the cases as processes side by side.
  fs::path folder_ =
      fs::path(::testing::TempDir()) / ("snapbed-parts-" + std::to_string(::getpid()));
  Parts parts_;
};

TEST_F(PartsTest, TakesWhatLooksRight) {
  EXPECT_EQ(refusal(), "");
  parts_.kernel = folder_ / "module";  // a vmlinux is ELF
  EXPECT_EQ(refusal(), "");
}

TEST_F(PartsTest, SaysWhatIsNoKernelAndNoModule) {
  parts_.kernel = folder_ / "text";
  EXPECT_THAT(refusal(), ::testing::HasSubstr("text is no kernel"));
  parts_.kernel = folder_ / "kernel";
  parts_.module = folder_ / "kernel";
  EXPECT_THAT(refusal(), ::testing::HasSubstr("kernel is no module"));
  EXPECT_THROW(find_parts(parts_, "/nonexistent/harness/cli/snapbed"), PartRefused);
}

TEST_F(PartsTest, SaysWhatIsMissing) {
  parts_.module = folder_ / "nothing-there";
  EXPECT_THAT(refusal(), ::testing::HasSubstr("nothing-there is not there (from --module)"));
}

TEST_F(PartsTest, AModuleTellsItsParametersAndWhatCanBeSeenOfIt) {
  using std::string_literals::operator""s;
  const std::string bytes =
      "x\0parmtype=first:uint\0parm=first:a word\0debugfs=one "
      "two\0\0parmtype=other:ulong\0parm=third:word\0"s;
  base::write_file(folder_ / "module.ko", bytes);
  const ModuleFacts facts = module_facts(folder_ / "module.ko");
  EXPECT_THAT(facts.parameters, ::testing::ElementsAre("first", "other", "third"));
  EXPECT_EQ(facts.views, "one two");
  EXPECT_EQ(facts.version, "");
}

TEST_F(PartsTest, AModuleShowsWhetherItsKernelChangesItsOwnCode) {
  base::write_file(folder_ / "plain.ko", std::string("\0version=1.2.0.0\0", 18));
  base::write_file(folder_ / "jumps.ko", "ELF .text __jump_table");
  EXPECT_FALSE(module_facts(folder_ / "plain.ko").patches_code);
  EXPECT_TRUE(module_facts(folder_ / "jumps.ko").patches_code);
}

TEST_F(PartsTest, TheFingerprintIsAnotherWithAnyOtherPartAndAnyOtherJudge) {
  const fs::path program = folder_ / "program";
  base::write_file(program, "the judge");
  const std::string before = fingerprint(parts_, program);
  EXPECT_EQ(before.size(), 32U);
  EXPECT_EQ(fingerprint(parts_, program), before);
  for (fs::path Parts::*part : {&Parts::kernel, &Parts::module, &Parts::image, &Parts::plugin}) {
    Parts other = parts_;
    other.*part = folder_ / "other";
    base::write_file(folder_ / "other", "another");
    EXPECT_NE(fingerprint(other, program), before);
  }
  base::write_file(program, "another judge");
  EXPECT_NE(fingerprint(parts_, program), before);
}

}  // namespace
}  // namespace snapbed::runner
