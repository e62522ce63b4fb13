// SPDX-License-Identifier: GPL-2.0-or-later
// The short form of a rule, a sentence of one line:
//   hold read of data0 chunk=5*256K after=take first until=write-same-chunk within=200ms
#include <algorithm>
#include <charconv>

#include "scenario/operations.h"
#include "scenario/rules.h"
#include "scenario/steps.h"
#include "scenario/words.h"

namespace snapbed::scenario {
namespace {

const std::vector<std::string> kActions = {"hold", "hold-reply", "delay",     "reorder",
                                           "fail", "tear",       "disconnect"};
const std::vector<std::string> kWords = {
    "first",   "must-meet", "optional", "nth=",     "share=", "chunk=",
    "range=",  "after=",    "from=",    "before=",  "while=", "until=",
    "within=", "for=",      "window=",  "sectors=", "fate="};
const std::vector<std::string> kFates = {"seeded", "lost", "torn", "moved"};

bool take_end(std::string& text, std::string_view end) {
  if (!text.ends_with(end)) return false;
  text.resize(text.size() - end.size());
  return true;
}

class Sentence {
 public:
  Sentence(const std::string& text, std::uint32_t line, const Scenario& scenario)
      : text_(text), line_(line), scenario_(scenario) {}

  Rule read() {
    for (const std::string& word : split(text_, ' '))
      if (!word.empty()) words_.push_back(word);
    read_head();
    for (std::size_t i = 4; i < words_.size(); ++i) read_word(words_[i]);
    finish();
    return std::move(rule_);
  }

 private:
  [[noreturn]] void refuse_here(const std::string& what) const {
    refuse(scenario_.file, line_, "rule \"" + text_ + "\" " + what);
  }
  void require(const std::string& word, const std::vector<std::string>& known,
               const std::string& what) const {
    if (std::find(known.begin(), known.end(), word) != known.end()) return;
    refuse_here(what + " \"" + word + "\"; expected one of " + joined(known) +
                nearest_note(word, known));
  }

  void read_head() {
    rule_.line = line_;
    rule_.text = text_;
    if (words_.size() < 4 || words_[2] != "of")
      refuse_here(
          "does not begin \"ACTION OPERATION of DISK\"; expected for example \"hold read of data0 "
          "first within=200ms\"");
    action_ = words_[0];
    require(action_, kActions, "has the action");
    const bool reply = action_ == "hold-reply";
    if (reply) action_ = "hold";
    config_["action"] = action_;
    if (action_ == "hold") config_["what"] = reply ? "reply" : "data";
    config_["op"] = operations_of(words_[1]);
    require(words_[3], disk_names(scenario_), "names the disk");
    config_["disk"] = words_[3];
  }

  nlohmann::json operations_of(const std::string& list) const {
    nlohmann::json ops = nlohmann::json::array();
    for (const std::string& op : split(list, ',')) {
      require(op, rule_operations(), "names the operation");
      ops.push_back(op);
    }
    return ops;
  }

  void read_word(const std::string& word) {
    const std::size_t equals = word.find('=');
    const std::string key = word.substr(0, equals == std::string::npos ? equals : equals + 1);
    require(key, kWords, "has the word");
    if (std::find(seen_.begin(), seen_.end(), key) != seen_.end())
      refuse_here("says \"" + key + "\" twice; expected once");
    seen_.push_back(key);
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (key == "first") config_["occurrence"] = 1;
    if (key == "optional") rule_.optional = true;
    if (key == "must-meet") rule_.must_meet = true;
    if (key == "nth=") config_["occurrence"] = number(key, value, 1, kRuleCountLimit);
    if (key == "share=") config_["probability"] = share(value);
    if (key == "chunk=") read_chunk(value);
    if (key == "range=") read_range(value);
    if (key == "after=") arm("after", step_mark(value, "step_end"));
    if (key == "from=" || key == "while=") arm("after", step_mark(value, "step_begin"));
    if (key == "before=") arm("until", step_mark(value, "step_begin"));
    if (key == "while=") arm("until", step_mark(value, "step_end"));
    if (key == "until=") until_ = value;
    if (key == "within=") release_["time_ms"] = time(key, value);
    if (key == "for=") config_["delay_ms"] = time(key, value);
    if (key == "window=") config_["window"] = number(key, value, 2, kRuleWindowLimit);
    if (key == "sectors=") config_["sectors"] = number(key, value, 1, kRuleCountLimit);
    if (key == "fate=") {
      require(value, kFates, "has the fate");
      config_["fate"] = value;
    }
  }

  std::uint64_t number(const std::string& key, const std::string& value, std::uint64_t least,
                       std::uint64_t most) const {
    const auto number = parse_number(value);
    if (!number || *number < least || *number > most)
      refuse_here("has \"" + key + value + "\"; expected a number " + std::to_string(least) + ".." +
                  std::to_string(most));
    return *number;
  }

  double share(const std::string& value) const {
    double out = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out);
    if (error != std::errc() || end != value.data() + value.size() || !(out > 0 && out <= 1))
      refuse_here("has \"share=" + value + "\"; expected a number in (0, 1], for example 0.05");
    return out;
  }

  // "200ms" or "3s".
  std::uint64_t time(const std::string& key, std::string value) const {
    const std::string whole = value;
    const bool milliseconds = take_end(value, "ms");
    const bool seconds = !milliseconds && take_end(value, "s");
    const auto number = parse_number(value);
    const std::uint64_t limit = milliseconds ? kRuleTimeLimit_ms : kRuleTimeLimit_ms / 1000;
    if (!(milliseconds || seconds) || !number || *number == 0 || *number > limit)
      refuse_here("has \"" + key + whole + "\"; expected a time of 1ms to 60s like 200ms or 3s");
    return milliseconds ? *number : *number * 1000;
  }

  std::uint64_t sectors(const std::string& key, const std::string& value) const {
    const auto bytes = parse_size(value);
    if (!bytes || *bytes % journal::kSectorBytes != 0)
      refuse_here("has \"" + key + "\" with the size \"" + value +
                  "\"; expected whole sectors like 8s, 4K, 1M");
    return *bytes / journal::kSectorBytes;
  }

  // "5*256K": requests that touch chunk 5; "256K": only how large a chunk is.
  void read_chunk(const std::string& value) {
    const auto parts = split(value, '*');
    if (parts.size() > 2)
      refuse_here("has \"chunk=" + value + "\"; expected SIZE or NUMBER*SIZE, for example 5*256K");
    chunk_ = sectors("chunk=", parts.back());
    if (chunk_ == 0) refuse_here("has chunks of 0 bytes; expected for example 5*256K");
    if (parts.size() == 1) return;
    set_range(number("chunk=", parts[0], 0, kRuleCountLimit) * chunk_, chunk_);
  }

  void read_range(const std::string& value) {
    const auto parts = split(value, '+');
    if (parts.size() != 2)
      refuse_here("has \"range=" + value + "\"; expected FIRST+COUNT, for example 1M+64K");
    set_range(sectors("range=", parts[0]), sectors("range=", parts[1]));
  }

  void set_range(std::uint64_t first, std::uint64_t count) {
    if (config_.contains("first"))
      refuse_here("has both \"chunk=\" and \"range=\"; expected one of them");
    const std::uint64_t size = device_sectors(scenario_, config_["disk"]);
    if (count == 0 || first >= size)
      refuse_here("asks for sectors [" + std::to_string(first) + ", +" + std::to_string(count) +
                  ") of a disk of " + std::to_string(size) + "; expected a range inside it");
    config_["first"] = first;
    config_["count"] = std::min(count, size - first);
  }

  void arm(const char* key, nlohmann::json mark) {
    if (config_.contains(key))
      refuse_here("says twice when it begins or ends; expected one of after=, from=, while= and " +
                  std::string("one of before=, while="));
    config_[key] = std::move(mark);
  }

  // "take", "take@2" (in cycle 2), "take#x" (that has the label x).
  nlohmann::json step_mark(const std::string& value, const char* kind) const {
    const auto parts = split(value, '@');
    const std::size_t hash = parts[0].find('#');
    const std::string op = parts[0].substr(0, hash);
    std::vector<std::string> names;
    for (const Operation& operation : operations()) names.push_back(operation.op);
    require(op, names, "names the step");
    nlohmann::json mark = {{"kind", kind}, {"op", op}};
    if (hash != std::string::npos) mark["label"] = parts[0].substr(hash + 1);
    if (parts.size() > 2) refuse_here("has the step \"" + value + "\"; expected STEP@CYCLE");
    if (parts.size() == 2) mark["cycle"] = number("@", parts[1], 1, kCycleLimit);
    return mark;
  }

  void read_until(std::string value) {
    const std::string whole = value;
    if (take_end(value, "-requests")) {
      release_["count"] = number("until=", value, 1, kRuleCountLimit);
      return;
    }
    for (const auto& [end, kind] : {std::pair{"-begins", "step_begin"}, {"-ends", "step_end"}}) {
      if (!take_end(value, end)) continue;
      release_["mark"] = step_mark(value, kind);
      return;
    }
    nlohmann::json match;
    match["at"] = take_end(value, "-done") ? "end" : "begin";
    if (take_end(value, "-same-chunk")) {
      if (chunk_ == 0)
        refuse_here("has \"until=" + whole +
                    "\" without \"chunk=\"; expected for example "
                    "\"chunk=256K\", which says how large a chunk is");
      match["same_chunk_bytes"] = chunk_ * journal::kSectorBytes;
    }
    match["disk"] = config_["disk"];
    if (const std::size_t of = value.find("-of-"); of != std::string::npos) {
      match["disk"] = value.substr(of + 4);
      require(match["disk"], disk_names(scenario_), "waits for a request of the disk");
      value.resize(of);
    }
    if (std::find(rule_operations().begin(), rule_operations().end(), value) ==
        rule_operations().end())
      refuse_here("has \"until=" + whole +
                  "\"; expected OPERATION[-of-DISK][-same-chunk][-done], "
                  "STEP-begins, STEP-ends or N-requests" +
                  nearest_note(value, rule_operations()));
    match["op"] = value;
    release_["match"] = match;
  }

  void finish() {
    for (const std::string& each : split(until_, ','))
      if (!each.empty()) read_until(each);
    const bool waits = action_ == "hold" || action_ == "reorder";
    if (waits && !release_.contains("time_ms")) release_["time_ms"] = kRuleHold_ms;
    if (!release_.empty()) config_["release"] = release_;
    rule_.config = config_;
    check_rule(rule_, scenario_);
  }

  const std::string& text_;
  const std::uint32_t line_;
  const Scenario& scenario_;
  std::vector<std::string> words_;
  std::vector<std::string> seen_;
  std::string action_;
  std::string until_;
  std::uint64_t chunk_ = 0;  // sectors
  nlohmann::json config_;
  nlohmann::json release_ = nlohmann::json::object();
  Rule rule_;
};

}  // namespace

Rule read_sentence(const std::string& text, std::uint32_t line, const Scenario& scenario) {
  return Sentence(text, line, scenario).read();
}

}  // namespace snapbed::scenario
