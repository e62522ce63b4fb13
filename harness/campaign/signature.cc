// SPDX-License-Identifier: GPL-2.0-or-later
#include "campaign/signature.h"

#include "journal/names.h"
#include "runner/archive.h"

namespace snapbed::campaign {

namespace {

using nlohmann::json;

std::string text_of(const json& object, const char* key) {
  return runner::string_or(object, key, "");
}

// A device made of disks is for what they are for; those that lie on several are of data.
std::string role_of(const scenario::Scenario& scenario, std::string device) {
  for (const scenario::Device& made : scenario.devices) {
    if (made.name != device) continue;
    if (made.where.disk.empty()) return journal::to_string(journal::Role::data);
    device = made.where.disk;
  }
  for (const scenario::Disk& disk : scenario.disks)
    if (disk.name == device) return journal::to_string(disk.role);
  return "";
}

// "kasan: BUG: ... (console.log, lines 3 to 9)" without its place.
std::string title_of(const std::string& finding) {
  return finding.substr(0, finding.rfind(" (console.log"));
}

}  // namespace

const char* to_string(Count count) {
  switch (count) {
    case Count::pass:
      return "pass";
    case Count::fail:
      return "fail";
    case Count::broken:
      return "broken";
    case Count::not_exercised:
      return "not exercised";
    case Count::interrupted:
      return "interrupted";
  }
  return "?";
}

std::string to_string(const Signature& signature) {
  std::string text = signature.check;
  if (!signature.role.empty()) text += " of a " + signature.role + " disk";
  if (!signature.title.empty()) text += ", " + signature.title;
  return text;
}

Count count_of(const json& verdict) {
  const std::string status = text_of(verdict, "verdict");
  const std::string reason = text_of(verdict, "reason");
  if (status == "pass") return Count::pass;
  if (status == "fail") return Count::fail;
  if (reason == "not-exercised" || reason == "rule-never-fired") return Count::not_exercised;
  if (reason == "interrupted") return Count::interrupted;
  return Count::broken;
}

Count count_of(const json& verdict, const base::Exit& exit) {
  constexpr int kToldToStop = 130;
  const Count count = count_of(verdict);
  if (count == Count::interrupted && exit.code != kToldToStop) return Count::broken;
  if (count == Count::pass && !exit.ok()) return Count::broken;
  return count;
}

Signature signature_of(const json& verdict, const scenario::Scenario& scenario) {
  Signature out;
  if (count_of(verdict) != Count::fail) {
    out.check = text_of(verdict, "reason");
    if (out.check.empty()) out.check = "no-verdict";
    return out;
  }
  const json findings = verdict.contains("findings") ? verdict["findings"] : json::array();
  for (const json& finding : findings) {
    const std::string check = text_of(finding, "check");
    if (check == "log") {
      if (out.title.empty()) out.title = title_of(text_of(finding, "text"));
    } else if (out.check.empty() || out.check == "watchdog") {
      out.check = check;
      out.role = role_of(scenario, text_of(finding, "device"));
    }
  }
  if (out.check.empty()) out.check = out.title.empty() ? text_of(verdict, "reason") : "log";
  return out;
}

}  // namespace snapbed::campaign
