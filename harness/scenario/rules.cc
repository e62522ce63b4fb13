// SPDX-License-Identifier: GPL-2.0-or-later
// [[rule]]: what the recording server holds, delays or fails, checked against the disks and put
// into the form of the server's configuration.
#include "scenario/operations.h"
#include "scenario/steps.h"

namespace snapbed::scenario {
namespace {

const std::vector<std::string> kOps = {"read", "write", "trim", "zero", "flush", "any"};
const std::vector<std::string> kMarkKinds = {"boot",         "step_begin", "step_end", "event",
                                             "append_begin", "append_end", "cycle_end"};
constexpr std::uint64_t kDelayLimit_ms = 60000;  // a longer delay is the watchdog's business
constexpr std::uint64_t kCountLimit = 1U << 20U;

std::uint64_t sectors_of(const Table& table, std::string_view key) {
  const std::uint64_t bytes = table.size(key);
  if (bytes % journal::kSectorBytes != 0)
    table.refuse_at(key, "\"" + std::string(key) + "\" is " + std::to_string(bytes) +
                             " bytes; expected whole sectors of 512");
  return bytes / journal::kSectorBytes;
}

// {kind = "step_end", op = "take", cycle = 2}
nlohmann::json mark(const Table& table) {
  table.only({"kind", "op", "cycle"});
  nlohmann::json out = {{"kind", table.choice_or("kind", "", kMarkKinds)}};
  if (table.has("op")) {
    const std::string op = table.text("op");
    if (find_operation(op) == nullptr)
      table.refuse_at("op", "\"op\" of a mark is \"" + op + "\"; expected an operation of a step");
    out["op"] = op;
  }
  if (table.has("cycle")) out["cycle"] = table.number_or("cycle", 0, 0, kCycleLimit);
  return out;
}

std::string disk(const Table& table, const Scenario& scenario) {
  return table.choice_or("disk", "", disk_names(scenario));
}

// disk, op, first, count: which requests.
void match(const Table& table, const Scenario& scenario, nlohmann::json& out) {
  out["disk"] = disk(table, scenario);
  out["op"] = table.choice_or("op", "any", kOps);
  if (table.has("first")) out["first"] = sectors_of(table, "first");
  if (table.has("count")) out["count"] = sectors_of(table, "count");
}

nlohmann::json release(const Table& table, const Scenario& scenario) {
  table.only({"match", "mark", "count", "time_ms"});
  nlohmann::json out = nlohmann::json::object();
  if (const auto* matched = table.table_or_null("match")) {
    const Table inner(*matched, table.file(), "\"match\" of a release");
    inner.only({"disk", "op", "first", "count", "same_chunk", "at"});
    match(inner, scenario, out["match"]);
    if (inner.has("at")) out["match"]["at"] = inner.choice_or("at", "end", {"begin", "end"});
    if (inner.has("same_chunk")) out["match"]["same_chunk_bytes"] = inner.size("same_chunk");
  }
  if (const auto* marked = table.table_or_null("mark"))
    out["mark"] = mark(Table(*marked, table.file(), "\"mark\" of a release"));
  if (table.has("count")) out["count"] = table.number_or("count", 1, 1, kCountLimit);
  // A hold is always bounded in time, or a wrong rule would hang the guest.
  out["time_ms"] = table.number_or("time_ms", 2000, 1, kDelayLimit_ms);
  return out;
}

nlohmann::json rule(const Table& table, const Scenario& scenario) {
  table.only({"action", "disk", "op", "first", "count", "occurrence", "probability", "after",
              "until", "what", "release", "delay_ms", "error", "must_meet"});
  nlohmann::json out = {{"action", table.choice_or("action", "", {"hold", "delay", "fail"})}};
  match(table, scenario, out);
  if (table.has("occurrence")) out["occurrence"] = table.number_or("occurrence", 0, 0, kCountLimit);
  if (table.has("probability")) {
    const auto* value = table.raw().get("probability")->as_floating_point();
    if (value == nullptr || !(value->get() > 0.0 && value->get() <= 1.0))
      table.refuse_at("probability",
                      "\"probability\" of a rule is not in (0, 1]; expected for example 0.05");
    out["probability"] = value->get();
  }
  for (const char* key : {"after", "until"})
    if (const auto* marked = table.table_or_null(key))
      out[key] = mark(Table(*marked, table.file(), std::string("\"") + key + "\" of a rule"));
  if (out["action"] == "hold") {
    out["what"] = table.choice_or("what", "data", {"data", "reply"});
    if (const auto* inner = table.table_or_null("release"))
      out["release"] = release(Table(*inner, table.file(), "\"release\" of a rule"), scenario);
    else
      table.refuse_at("action",
                      "a hold has no \"release\"; expected {match, mark, count or time_ms}");
  }
  if (table.has("error")) out["error"] = table.number_or("error", 5, 1, 133);
  if (out["action"] == "delay") {
    if (!table.has("delay_ms"))
      table.refuse_at("action", "a delay has no \"delay_ms\"; expected 1..60000");
    out["delay_ms"] = table.number_or("delay_ms", 0, 1, kDelayLimit_ms);
  }
  return out;
}

}  // namespace

nlohmann::json parse_rules(const Table& root, const Scenario& scenario) {
  nlohmann::json rules = nlohmann::json::array();
  for (const Table& table : root.tables("rule")) rules.push_back(rule(table, scenario));
  return rules;
}

std::vector<std::uint32_t> parse_met(const Table& root) {
  std::vector<std::uint32_t> met;
  std::uint32_t index = 0;
  for (const Table& table : root.tables("rule")) {
    const std::uint32_t own = index++;
    if (!table.flag_or("must_meet", false)) continue;
    const auto* release = table.table_or_null("release");
    if (release == nullptr || !(release->contains("match") || release->contains("count")))
      table.refuse_at("must_meet",
                      "a rule with \"must_meet\" waits for no request; expected a hold with "
                      "\"match\" or \"count\" in its release");
    met.push_back(own);
  }
  return met;
}

}  // namespace snapbed::scenario
