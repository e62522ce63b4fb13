// SPDX-License-Identifier: GPL-2.0-or-later
// The puppeteer: holds, delays and fails requests as the rules say, and says afterwards what it
// did.
//
// A request is handled by the first rule in the configuration that matches it and whose turn it is;
// every matching armed rule counts it. Any thread may call; waits are bounded by the rule's time.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "journal/record.h"
#include "recorder/config.h"
#include "recorder/sequencer.h"

namespace snapbed::recorder {

// A mark as far as rules look at it.
struct SeenMark {
  std::uint16_t kind = 0;
  std::uint32_t step = 0;
  std::uint32_t cycle = 0;
  std::string op;  // of the step, empty when the mark's text names none
};

bool matches(const RequestFilter& filter, const journal::Request& request);
// True when `request` touches an aligned block of chunk_bytes that `held` touches.
bool shares_chunk(const journal::Request& request, const journal::Request& held,
                  std::uint64_t chunk_bytes);

class Rules {
 public:
  // `record` is told every action once it is over, with no lock held.
  using Recorder = std::function<void(const journal::RuleAction&)>;
  Rules(std::vector<Rule> rules, std::uint64_t seed, Sequencer& sequencer, Recorder record);

  // A request that is held from its arrival on; opaque.
  struct Held {
    std::uint32_t rule = 0;
    journal::Request request;
    std::uint32_t arrivals = 0;
    std::string how;  // empty while held
  };
  using Ticket = std::list<Held>::iterator;

  // What to do with a request that just arrived (its begin stamp is set).
  struct Decision {
    std::optional<Ticket> hold_data;   // wait() before the data move
    std::optional<Ticket> hold_reply;  // wait() after they moved
    std::optional<std::uint32_t> delay_rule;
    std::int32_t error = 0;  // not 0: fail with it, move nothing
  };
  Decision on_begin(const journal::Request& request);
  // Waits for the hold's release and records it.
  void wait(Ticket ticket);
  // Waits for the rule's delay_ms (or until release_all) and records it.
  void delay(std::uint32_t rule, const journal::Request& request);
  // The request has its end stamp.
  void on_end(const journal::Request& request);
  void on_mark(const SeenMark& mark);
  // Ends every hold and delay, and lets no new one begin.
  void release_all(const std::string& how);

  bool empty() const { return rules_.empty(); }
  std::uint32_t held() const;

 private:
  struct State {
    bool armed = false;
    std::uint64_t matched = 0;  // since it was armed
    std::uint64_t drawn = 0;    // probability draws in all
  };

  bool turn_of(std::uint32_t rule);
  bool admits(std::uint16_t disk) const;
  void note(std::uint32_t rule, const journal::Request& request, const char* how);
  bool meets(const MarkFilter& filter, const SeenMark& mark) const;

  const std::vector<Rule> rules_;
  const std::uint64_t seed_;
  Sequencer& sequencer_;
  const Recorder record_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<State> states_;
  std::list<Held> held_;
  std::map<std::uint32_t, std::string> step_ops_;  // from step_begin marks: a step_end names no op
  std::string released_all_;
};

}  // namespace snapbed::recorder
