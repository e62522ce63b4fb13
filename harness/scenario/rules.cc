// SPDX-License-Identifier: GPL-2.0-or-later
// Rules: what the recording server does to requests, checked against the disks and put into the
// form of the server's configuration.
#include "scenario/rules.h"

#include <algorithm>

#include "scenario/operations.h"
#include "scenario/steps.h"
#include "scenario/words.h"

namespace snapbed::scenario {
namespace {

const std::vector<std::string> kActions = {"hold", "delay", "reorder",
                                           "fail", "tear",  "disconnect"};
const std::vector<std::string> kMarkKinds = {"boot",         "step_begin", "step_end", "event",
                                             "append_begin", "append_end", "cycle_end"};

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
  out["op"] = table.choice_or("op", "any", rule_operations());
  if (table.has("first")) out["first"] = sectors_of(table, "first");
  if (table.has("count")) out["count"] = sectors_of(table, "count");
}

nlohmann::json release(const Table& table, const Scenario& scenario, bool bounded) {
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
  if (table.has("count")) out["count"] = table.number_or("count", 1, 1, kRuleCountLimit);
  // A hold is always bounded in time, or a wrong rule would hang the guest.
  if (bounded || table.has("time_ms"))
    out["time_ms"] = table.number_or("time_ms", kRuleHold_ms, 1, kRuleTimeLimit_ms);
  return out;
}

Rule rule(const Table& table, const Scenario& scenario) {
  table.only({"action", "disk", "op", "first", "count", "occurrence", "probability", "after",
              "until", "what", "release", "delay_ms", "error", "window", "sectors", "fate",
              "optional", "must_meet"});
  nlohmann::json out = {{"action", table.choice_or("action", "", kActions)}};
  match(table, scenario, out);
  if (table.has("occurrence"))
    out["occurrence"] = table.number_or("occurrence", 0, 0, kRuleCountLimit);
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
  if (table.has("what")) out["what"] = table.choice_or("what", "data", {"data", "reply"});
  if (const auto* inner = table.table_or_null("release"))
    out["release"] = release(Table(*inner, table.file(), "\"release\" of a rule"), scenario,
                             out["action"] != "disconnect");
  if (table.has("error")) out["error"] = table.number_or("error", 5, 1, 133);
  if (table.has("delay_ms")) out["delay_ms"] = table.number_or("delay_ms", 0, 1, kRuleTimeLimit_ms);
  if (table.has("window")) out["window"] = table.number_or("window", 0, 2, kRuleWindowLimit);
  if (table.has("sectors")) out["sectors"] = table.number_or("sectors", 0, 1, kRuleCountLimit);
  if (table.has("fate"))
    out["fate"] = table.choice_or("fate", "seeded", {"seeded", "lost", "torn", "moved"});
  Rule done{table.line(), rule_text(out), table.flag_or("optional", false),
            table.flag_or("must_meet", false), out};
  check_rule(done, scenario);
  return done;
}

// A key, the action it belongs to, its name in a sentence, and what it is for.
struct Owned {
  const char* key;
  const char* action;
  bool needed;
  const char* expected;
};
constexpr Owned kOwned[] = {
    {"delay_ms", "delay", true, "a time: for=50ms, or delay_ms = 50"},
    {"window", "reorder", true, "how many go in another order: window=4"},
    {"sectors", "tear", false, "no \"sectors\""},
    {"fate", "disconnect", false, "no \"fate\""},
    {"what", "hold", false, "no \"what\""},
};

}  // namespace

const std::vector<std::string>& rule_operations() {
  static const std::vector<std::string> ops = {"read", "write", "trim", "zero", "flush", "any"};
  return ops;
}

void check_rule(const Rule& rule, const Scenario& scenario) {
  const auto refuse_rule = [&](const std::string& what) {
    refuse(scenario.file, rule.line, "rule \"" + rule.text + "\" " + what);
  };
  const std::string action = rule.config["action"];
  for (const Owned& owned : kOwned) {
    const bool there = rule.config.contains(owned.key);
    if (there && action != owned.action)
      refuse_rule(std::string("is no ") + owned.action + "; expected " + owned.expected);
    if (!there && owned.needed && action == owned.action)
      refuse_rule(std::string("does not say \"") + owned.key + "\"; expected " + owned.expected);
  }
  const bool releases = action == "hold" || action == "reorder" || action == "disconnect";
  if (rule.config.contains("release") && !releases)
    refuse_rule("releases nothing; expected no \"until\", \"within\" or \"release\"");
  if (action == "hold" && !rule.config.contains("release"))
    refuse_rule("has no \"release\"; expected {match, mark, count or time_ms}");
  const nlohmann::json release = rule.config.value("release", nlohmann::json::object());
  if (rule.must_meet && !(release.contains("match") || release.contains("count")))
    refuse_rule("must meet one and waits for no request; expected a hold until one, or a count");
  const nlohmann::json& op = rule.config["op"];
  if (action == "tear" && op != "write" && op != nlohmann::json::array({"write"}))
    refuse_rule("tears what is no write; expected the operation write");
  if (action == "tear" && rule.config.contains("sectors") &&
      rule.config["sectors"] >= device_sectors(scenario, rule.config["disk"]))
    refuse_rule("moves more sectors than the disk has; expected fewer");
  if (!rule.config.contains("count")) return;
  const std::uint64_t size = device_sectors(scenario, rule.config["disk"]);
  const std::uint64_t first = rule.config.value("first", std::uint64_t{0});
  const std::uint64_t count = rule.config["count"];
  if (count == 0 || first >= size || count > size - first)
    refuse_rule("asks for sectors [" + std::to_string(first) + ", +" + std::to_string(count) +
                ") of a disk of " + std::to_string(size) + "; expected a range inside it");
}

std::string rule_text(const nlohmann::json& config) {
  std::string text = config["action"].get<std::string>();
  if (config.value("what", "data") == "reply") text += "-reply";
  text += " " + config["op"].get<std::string>() + " of " + config["disk"].get<std::string>();
  const auto add = [&](const char* key, const std::string& word) {
    if (config.contains(key)) text += " " + word + config[key].dump();
  };
  add("first", "sectors ");
  add("count", "+");
  add("occurrence", "nth=");
  add("probability", "share=");
  for (const char* key : {"after", "until"})
    if (config.contains(key))
      text += std::string(" ") + (key[0] == 'a' ? "after " : "before ") +
              config[key]["kind"].get<std::string>() + " " + config[key].value("op", "");
  return text;
}

std::vector<Rule> parse_rules(const Table& root, const Scenario& scenario) {
  std::vector<Rule> rules;
  if (const toml::array* array = root.array_or_null("rules")) {
    for (const toml::node& node : *array) {
      const auto* text = node.as_string();
      if (text == nullptr)
        refuse(root.file(), line_of(node),
               "an element of \"rules\" is " + type_name(node) +
                   "; expected a sentence like \"hold read of data0 first within=200ms\"");
      rules.push_back(read_sentence(text->get(), line_of(node), scenario));
    }
  }
  for (const Table& table : root.tables("rule")) rules.push_back(rule(table, scenario));
  return rules;
}

}  // namespace snapbed::scenario
