// SPDX-License-Identifier: GPL-2.0-or-later
// The puppeteer: holds, delays, reorders, fails and tears requests and disconnects disks as the
// rules say, and says afterwards what it did.
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
#include "recorder/batches.h"
#include "recorder/config.h"
#include "recorder/sequencer.h"

namespace snapbed::recorder {

// A mark as far as rules look at it.
struct SeenMark {
  std::uint16_t kind = 0;
  std::uint32_t step = 0;
  std::uint32_t cycle = 0;
  std::string op;     // of the step, empty when the mark's text names none
  std::string label;  // of the step, if it has one
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

  // Which sectors of a write move, one entry per sector.
  using Torn = std::vector<bool>;
  struct Reordered {
    std::uint32_t rule = 0;
    Batches::Ticket ticket;
  };

  // What to do with a request that just arrived (its begin stamp is set).
  struct Decision {
    std::optional<Ticket> hold_data;   // wait() before the data move
    std::optional<Ticket> hold_reply;  // wait() after they moved
    std::optional<std::uint32_t> delay_rule;
    std::optional<Reordered> reordered;  // wait_turn() before the data move, passed() after it
    std::int32_t error = 0;              // not 0: tell it
    std::optional<Torn> torn;            // with an error: move these; without: nothing moves
  };
  Decision on_begin(const journal::Request& request);
  // Waits for the hold's release and records it.
  void wait(Ticket ticket);
  // Waits for the rule's delay_ms (or until release_all) and records it.
  void delay(std::uint32_t rule, const journal::Request& request);
  // Waits for the request's turn among those it is reordered with, and records it.
  void wait_turn(const Reordered& reordered, const journal::Request& request);
  void passed(const Reordered& reordered) { batches_.passed(reordered.ticket); }
  // To be asked by a request that has waited: whether its disk was disconnected since it began, and
  // what then becomes of it: an error, and for a write perhaps sectors that move all the same.
  Decision caught(const journal::Request& request);
  // The request has its end stamp.
  void on_end(const journal::Request& request);
  void on_mark(const SeenMark& mark);
  // Ends every hold, delay and batch, and lets no new one begin.
  void release_all(const std::string& how);
  // Takes that back. Nobody waits any more.
  void go_on();

  bool empty() const { return rules_.empty(); }
  std::uint32_t held() const;

 private:
  struct State {
    bool armed = false;
    std::uint64_t matched = 0;  // since it was armed
    std::uint64_t drawn = 0;    // probability draws in all
    std::uint64_t torn = 0;     // writes torn
  };
  // A disk that is disconnected.
  struct Gone {
    std::uint32_t rule = 0;
    journal::Request trigger;
    std::chrono::steady_clock::time_point since;
    std::uint32_t refused = 0;
  };
  using Actions = std::vector<journal::RuleAction>;

  bool turn_of(std::uint32_t rule);
  bool admits(std::uint16_t disk) const;
  bool is_nudge(const journal::Request& request) const;
  void release_for(const journal::Request& request, bool beginning, Actions& actions);
  bool refuses(const journal::Request& request, Actions& actions);
  std::optional<std::uint32_t> acting_rule(const journal::Request& request);
  void act(std::uint32_t rule, const journal::Request& request, Decision& decision,
           Actions& actions);
  void disconnect(std::uint32_t rule, const journal::Request& request, Decision& decision,
                  Actions& actions);
  Decision fate_of(std::uint32_t rule, const journal::Request& request) const;
  void reconnect(std::uint16_t disk, const char* how, Actions& actions);
  Torn torn_by(const Rule& rule, const journal::Request& request, std::uint64_t key) const;
  journal::RuleAction action(std::uint32_t rule, const journal::Request& request, std::string how);
  void record(const Actions& actions);
  bool meets(const MarkFilter& filter, const SeenMark& mark) const;

  const std::vector<Rule> rules_;
  const std::uint64_t seed_;
  Sequencer& sequencer_;
  const Recorder record_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<State> states_;
  std::list<Held> held_;
  std::map<std::uint16_t, Gone> gone_;  // by disk
  // The last disconnect of a disk, also when it is back: its rule and its trigger's begin.
  std::map<std::uint16_t, std::pair<std::uint32_t, journal::Stamp>> cut_off_;
  Batches batches_;
  std::map<std::uint32_t, SeenMark>
      begun_;  // step_begin marks: a step_end names neither op nor label
  std::string released_all_;
};

}  // namespace snapbed::recorder
