// SPDX-License-Identifier: GPL-2.0-or-later
// Every finding says what was found and, when it is not good, what to do.
#include "vm/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "vm/libvirt_machine.h"

namespace snapbed::vm {
namespace {

using testing::HasSubstr;
using State = Finding::State;

TEST(Doctor, PrintsStatesAndRemedies) {
  Diagnosis diagnosis;
  diagnosis.findings = {{"cpu", State::good, "8 CPUs", ""},
                        {"kvm", State::limited, "hangs", "TCG is used"},
                        {"nbdkit", State::bad, "not found", "apt-get install nbdkit"}};
  EXPECT_FALSE(diagnosis.healthy());
  std::ostringstream out;
  print(diagnosis, out);
  EXPECT_EQ(out.str(),
            "cpu         ok      8 CPUs\n"
            "kvm         limited hangs\n"
            "                    -> TCG is used\n"
            "nbdkit      BAD     not found\n"
            "                    -> apt-get install nbdkit\n");
}

TEST(Doctor, LimitedIsStillHealthy) {
  Diagnosis diagnosis;
  diagnosis.findings = {{"kvm", State::limited, "hangs", "TCG is used"}};
  EXPECT_TRUE(diagnosis.healthy());
}

TEST(Doctor, AMissingPluginIsBadAndNamed) {
  const auto cache = libvirt_cache().parent_path();
  const Diagnosis diagnosis = diagnose({.cache = cache,
                                        .output = "/tmp/not/there/yet",
                                        .plugin = "/nowhere/plugin.so",
                                        .force = false,
                                        .open_libvirt = false},
                                       nullptr);
  EXPECT_FALSE(diagnosis.healthy());
  for (const auto& finding : diagnosis.findings) {
    EXPECT_FALSE(finding.text.empty()) << finding.name;
    EXPECT_EQ(finding.remedy.empty(), finding.state == State::good) << finding.name;
    if (finding.name == "plugin") {
      EXPECT_THAT(finding.text, HasSubstr("/nowhere/plugin.so"));
    }
  }
}

}  // namespace
}  // namespace snapbed::vm
