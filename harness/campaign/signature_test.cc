// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/signature.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

namespace snapbed::campaign {
namespace {

using nlohmann::json;

scenario::Scenario two_disks() {
  scenario::Scenario scenario;
  scenario.disks.resize(2);
  scenario.disks[0].name = "data0";
  scenario.disks[1].name = "store0";
  scenario.disks[1].role = journal::Role::storage;
  scenario.devices.resize(1);
  scenario.devices[0].name = "linear0";
  scenario.devices[0].where.disk = "data0";
  return scenario;
}

json failed(std::initializer_list<json> findings) {
  return {
      {"verdict", "fail"}, {"reason", "check-failed"}, {"findings", std::vector<json>(findings)}};
}

json finding(const char* check, const char* device, const char* text = "") {
  return {{"check", check}, {"device", device}, {"text", text}};
}

TEST(Count, FollowsVerdictAndReason) {
  EXPECT_EQ(count_of({{"verdict", "pass"}}), Count::pass);
  EXPECT_EQ(count_of({{"verdict", "fail"}}), Count::fail);
  EXPECT_EQ(count_of({{"verdict", "broken"}, {"reason", "no-boot"}}), Count::broken);
  EXPECT_EQ(count_of({{"verdict", "broken"}, {"reason", "not-exercised"}}), Count::not_exercised);
  EXPECT_EQ(count_of({{"verdict", "broken"}, {"reason", "interrupted"}}), Count::interrupted);
}

TEST(Count, ARunThatDiedIsBroken) {
  const json placeholder = {{"verdict", "broken"}, {"reason", "interrupted"}};
  EXPECT_EQ(count_of(placeholder, {130, {}}), Count::interrupted);
  EXPECT_EQ(count_of(placeholder, {{}, 9}), Count::broken);
  EXPECT_EQ(count_of(placeholder, {3, {}}), Count::broken);
  EXPECT_EQ(count_of({{"verdict", "pass"}}, {0, {}}), Count::pass);
  EXPECT_EQ(count_of({{"verdict", "pass"}}, {{}, 11}), Count::broken);
  EXPECT_EQ(count_of({{"verdict", "fail"}}, {1, {}}), Count::fail);
}

TEST(Count, NothingStrangeIsAPass) {
  for (const json& strange : {json(), json(5), json::array(), json{{"verdict", 1}},
                              json{{"verdict", "PASS"}}, json::object()}) {
    EXPECT_EQ(count_of(strange), Count::broken) << strange.dump();
    EXPECT_EQ(signature_of(strange, two_disks()).check, "no-verdict");
  }
}

TEST(Signature, IsTheFirstCheckAndTheRoleOfItsDevice) {
  const json verdict = failed({finding("cut", "data0"), finding("twice", "data0")});
  EXPECT_EQ(to_string(signature_of(verdict, two_disks())), "cut of a data disk");
  EXPECT_EQ(signature_of(failed({finding("order", "linear0")}), two_disks()).role, "data");
  EXPECT_EQ(signature_of(failed({finding("store", "store0")}), two_disks()).role, "storage");
  EXPECT_EQ(to_string(signature_of(failed({finding("errno", "")}), two_disks())), "errno");
}

TEST(Signature, HoldsTheTitleOfTheKernelsMessage) {
  const char* text = "kasan: KASAN: use-after-free in f (console.log, lines 8 to 20)";
  const json alone = failed({finding("log", "", text), finding("watchdog", "")});
  EXPECT_EQ(to_string(signature_of(alone, two_disks())),
            "watchdog, kasan: KASAN: use-after-free in f");
  const json only = failed({finding("log", "", text)});
  EXPECT_EQ(to_string(signature_of(only, two_disks())), "log, kasan: KASAN: use-after-free in f");
  const json both = failed({finding("log", "", text), finding("map", "data0")});
  EXPECT_EQ(to_string(signature_of(both, two_disks())),
            "map of a data disk, kasan: KASAN: use-after-free in f");
}

TEST(Signature, OfADeathWithoutFindingsIsItsReason) {
  const json verdict = {{"verdict", "fail"}, {"reason", "guest-died"}};
  EXPECT_EQ(to_string(signature_of(verdict, two_disks())), "guest-died");
}

}  // namespace
}  // namespace snapbed::campaign
