// SPDX-License-Identifier: GPL-2.0-or-later
// Steps of the agent's own workload, which keeps a ledger.
#include <algorithm>
#include <memory>

#include "agent/agent.h"
#include "agent/fatal.h"

namespace snapbed::agent {
namespace {

constexpr auto kLedgerStartLimit = std::chrono::seconds(60);

LedgerSetup ledger_setup(const plan::Plan& plan, const plan::Step& step) {
  LedgerSetup setup;
  setup.key = plan::ledger_key(plan.seed, step.id);
  setup.seed = setup.key;
  setup.writers = step.args.at("writers");
  setup.depth = step.args.at("depth");
  setup.max_sectors = step.args.at("max_sectors");
  setup.first = step.args.value("first", std::uint64_t{0});
  setup.count = step.args.value("count", std::uint64_t{0});
  setup.overlap = step.args.at("overlap");
  setup.discards = step.args.at("discards");
  setup.zeroes = step.args.at("zeroes");
  setup.flushes = step.args.at("flushes");
  setup.durables = step.args.at("durables");
  setup.rate = step.args.at("rate");
  return setup;
}

}  // namespace

Agent::Result Agent::ledger_start(const Step& step) {
  const std::string name = step.args.at("name");
  if (ledgers_.contains(name)) throw Fatal("ledger " + name + " is started twice");
  std::vector<std::string> paths;
  for (const std::string device : step.args.at("devices")) paths.push_back(device_path(device));
  const std::uint64_t operations = step.args.at("operations");
  const std::uint64_t blocks = LedgerBook::blocks_limit(operations);
  const std::uint64_t base = files_.reserve(blocks * plan::kLedgerBlockBytes);
  const LedgerSetup setup = ledger_setup(plan_, step);
  const auto page = std::make_shared<AlignedMemory>(plan::kLedgerBlockBytes);
  auto book = std::make_unique<LedgerBook>(
      setup.key, operations, counter_,
      [this, base, page](std::uint64_t number, std::span<const std::uint8_t> block) {
        std::copy(block.begin(), block.end(), page->data());
        files_.write_reserved(base + number * plan::kLedgerBlockBytes, page->span());
      });
  const auto storm =
      ledgers_.emplace(name, std::make_unique<LedgerStorm>(setup, paths, std::move(book)));
  storm.first->second->wait_running(step_deadline(step, kLedgerStartLimit));
  return {{"result", 0}, {"base", base}, {"blocks_limit", blocks}};
}

Agent::Result Agent::ledger_stop(const Step& step) {
  const std::string name = step.args.at("name");
  const auto storm = ledgers_.find(name);
  if (storm == ledgers_.end()) throw Fatal("ledger " + name + " was not started");
  const std::uint64_t blocks = storm->second->stop();
  LedgerBook& book = storm->second->book();
  const Result result = {
      {"result", 0}, {"blocks", blocks}, {"issued", book.issued()}, {"errors", book.errors()}};
  ledgers_.erase(storm);
  return result;
}

bool Agent::ledgers_done() const {
  return fio_.empty() && !ledgers_.empty() &&
         std::all_of(ledgers_.begin(), ledgers_.end(),
                     [](const auto& entry) { return entry.second->book().exhausted(); });
}

}  // namespace snapbed::agent
