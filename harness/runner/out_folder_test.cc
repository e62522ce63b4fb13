// SPDX-License-Identifier: GPL-2.0-or-later
#include "runner/out_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace snapbed::runner {
namespace {

namespace fs = std::filesystem;

class OutFolderTest : public ::testing::Test {
 protected:
  OutFolderTest() { fs::remove_all(out_); }
  ~OutFolderTest() override { fs::remove_all(out_); }
  // CTest runs the cases as processes side by side.
  fs::path out_ = fs::path(::testing::TempDir()) / ("snapbed-out-" + std::to_string(::getpid()));
};

TEST_F(OutFolderTest, IsEmptiedWhenAnEarlierRunMadeIt) {
  const fs::path run = make_run_folder(out_, "storm", 7);
  fs::create_directories(run / "deep");
  std::ofstream(run / "deep/old") << "x";
  EXPECT_EQ(make_run_folder(out_, "storm", 7), run);
  EXPECT_FALSE(fs::exists(run / "deep"));
}

TEST_F(OutFolderTest, AnothersFilesAreNotDeleted) {
  fs::create_directories(out_ / "storm/7");
  std::ofstream(out_ / "storm/7/thesis.txt") << "x";
  EXPECT_THROW(make_run_folder(out_, "storm", 7), OutRefused);
  EXPECT_TRUE(fs::exists(out_ / "storm/7/thesis.txt"));
}

TEST_F(OutFolderTest, AFileIsNoFolder) {
  std::ofstream(out_.string()) << "x";
  try {
    make_run_folder(out_, "storm", 7);
    FAIL();
  } catch (const OutRefused& error) {
    EXPECT_EQ(error.what(), "the folder for results " + (out_ / "storm/7").string() +
                                " cannot be made: Not a directory");
  }
}

TEST_F(OutFolderTest, LatestPointsAtTheNewestRun) {
  point_latest(out_, make_run_folder(out_, "storm", 7));
  point_latest(out_, make_run_folder(out_, "storm", 8));
  EXPECT_EQ(fs::read_symlink(out_ / "latest"), fs::path("storm/8"));
}

TEST_F(OutFolderTest, SocketFoldersAreShortAndGoAway) {
  fs::path path;
  {
    const SocketFolder sockets;
    path = sockets.path();
    EXPECT_TRUE(fs::is_directory(path));
    EXPECT_LT(path.string().size(), 60U);
  }
  EXPECT_FALSE(fs::exists(path));
}

}  // namespace
}  // namespace snapbed::runner
