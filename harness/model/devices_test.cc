// SPDX-License-Identifier: GPL-2.0-or-later
// Requests to the disks of a striped device, seen in the device's own sectors.
#include "model/devices.h"

#include <gtest/gtest.h>

#include "model/history.h"

namespace snapbed::model {
namespace {

using journal::Journal;
using journal::Op;
using journal::Request;

constexpr std::uint64_t kStripe = 8;

// Two disks, a device in stripes of 8 sectors over them that begins at sector 16 of the first.
Journal striped(std::vector<Request> requests) {
  Journal journal;
  journal.disks = {{0, "a", journal::Role::data, journal::Initial::zero, 1000},
                   {1, "b", journal::Role::data, journal::Initial::zero, 1000}};
  plan::Plan plan;
  plan.devices["a"] = {"/dev/snapbed/a", "a", 0, 1000, 0, {}, {}};
  plan.devices["s"] = {"/dev/md0", "", 0, 64, kStripe, {{"a", 16}, {"b", 0}}, {"a", "b"}};
  journal.plan = plan::to_text(plan);
  journal.requests = std::move(requests);
  return journal;
}

Request write(std::uint16_t disk, std::uint64_t first, std::uint64_t count) {
  Request request;
  request.disk = disk;
  request.op = Op::write;
  request.first = first;
  request.count = count;
  request.begin = 10;
  request.moved = 11;
  request.end = 12;
  request.hash_index = 100;
  return request;
}

TEST(Devices, APlainPlanLeavesTheJournalAlone) {
  Journal journal = striped({});
  plan::Plan plan = plan::from_text(journal.plan);
  plan.devices.erase("s");
  journal.plan = plan::to_text(plan);
  EXPECT_FALSE(with_devices(journal));
}

TEST(Devices, ARequestOverTwoRowsBecomesTwoParts) {
  const auto wider = with_devices(striped({write(0, 20, 8)}));
  ASSERT_TRUE(wider);
  ASSERT_EQ(wider->disks.size(), 3U);
  EXPECT_EQ(wider->disks[2].name, own_disk("s"));
  ASSERT_EQ(wider->requests.size(), 3U) << "the request itself and its two parts";
  EXPECT_EQ(wider->requests[0].disk, 0U);
  const Request& first = wider->requests[1];
  EXPECT_EQ(first.disk, 2U);
  EXPECT_EQ(first.first, 4U) << "row 0 of the first disk";
  EXPECT_EQ(first.count, 4U);
  EXPECT_EQ(first.hash_index, 100U);
  const Request& second = wider->requests[2];
  EXPECT_EQ(second.first, 16U) << "row 1 of the first disk is the third stripe";
  EXPECT_EQ(second.count, 4U);
  EXPECT_EQ(second.hash_index, 104U);
  EXPECT_EQ(second.moved, 11U);
}

TEST(Devices, WhatLiesOutsideIsNotTheDevices) {
  EXPECT_EQ(with_devices(striped({write(0, 0, 16)}))->requests.size(), 1U) << "before its begin";
  EXPECT_EQ(with_devices(striped({write(0, 48, 8)}))->requests.size(), 1U) << "behind its end";
  const auto across = with_devices(striped({write(0, 12, 8)}));
  ASSERT_EQ(across->requests.size(), 2U);
  EXPECT_EQ(across->requests[1].first, 0U);
  EXPECT_EQ(across->requests[1].count, 4U);
  EXPECT_EQ(across->requests[1].hash_index, 104U);
  const auto last = with_devices(striped({write(1, 24, 100)}));
  ASSERT_EQ(last->requests.size(), 2U);
  EXPECT_EQ(last->requests[1].first, 56U);
  EXPECT_EQ(last->requests[1].count, 8U);
}

TEST(Devices, FlushesReachTheDeviceToo) {
  Request flush = write(1, 0, 0);
  flush.op = Op::flush;
  EXPECT_EQ(with_devices(striped({flush}))->requests.size(), 2U);
}

TEST(Devices, AnUnknownDiskIsABrokenRecord) {
  Journal journal = striped({});
  journal.disks.pop_back();
  EXPECT_THROW(with_devices(journal), BrokenRecord);
}

}  // namespace
}  // namespace snapbed::model
