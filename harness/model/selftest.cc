// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/selftest.h"

#include <fmt/format.h>

#include "model/explain.h"

namespace snapbed::model {

using journal::Op;
using journal::Request;

namespace {

struct Promise {
  Op op;
  std::uint64_t first;
  std::uint64_t count;
};
// As plan.h promises for the step.
constexpr Promise kPromised[] = {
    {Op::write, 64, 8}, {Op::trim, 128, 64}, {Op::zero, 256, 64}, {Op::flush, 0, 0}};

void prove_one(const journal::Journal& journal, const History& history, const plan::Step& step) {
  const StepRun& run = history.steps[step.id];
  const Place& place = history.place(step.args.at("device").get<std::string>());
  std::size_t next = 0;
  for (const Request& request : journal.requests) {
    if (request.begin < run.called || request.begin > run.returned) continue;
    if (request.disk != place.disk || request.op == Op::read) continue;
    const bool last_flush = next == std::size(kPromised) && request.op == Op::flush;
    if (last_flush) continue;
    const Promise* due = next < std::size(kPromised) ? &kPromised[next] : nullptr;
    const bool kept = due != nullptr && request.op == due->op && request.error == 0 &&
                      request.end < run.returned &&
                      (due->op == Op::flush ||
                       (request.first == place.first + due->first && request.count == due->count));
    if (!kept) {
      throw BrokenRecord(fmt::format(
          "selftest on {}: {} arrived where {} was due", place.device, describe(request),
          due ? fmt::format("{} [{}, +{})", op_name(due->op), due->first, due->count)
              : std::string("nothing more")));
    }
    ++next;
  }
  if (next != std::size(kPromised)) {
    throw BrokenRecord(fmt::format("selftest on {}: its {} never arrived", place.device,
                                   op_name(kPromised[next].op)));
  }
}

}  // namespace

void prove_selftest(const journal::Journal& journal, const History& history) {
  bool proven = false;
  for (const plan::Step& step : history.plan.steps) {
    if (step.op != "selftest") continue;
    const StepRun& run = history.steps[step.id];
    if (!run.finished()) continue;
    if (run.result != 0) {
      throw BrokenRecord(fmt::format("the selftest (step {}) failed with {}", step.id, run.result));
    }
    prove_one(journal, history, step);
    proven = true;
  }
  if (!proven) {
    throw BrokenRecord(
        "no selftest finished: nothing shows that every kind of request is recorded");
  }
}

}  // namespace snapbed::model
