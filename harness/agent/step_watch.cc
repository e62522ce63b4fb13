// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/step_watch.h"

#include <cstdio>
#include <fstream>

#include "agent/power.h"

namespace snapbed::agent {

StepWatch::StepWatch(Marks& marks) : marks_(marks), thread_([this] { run(); }) {
}

StepWatch::~StepWatch() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void StepWatch::begin(Place place, const std::string& op, std::chrono::milliseconds limit,
                      bool module) {
  {
    const std::scoped_lock lock(mutex_);
    watched_ = Watched{place, op, limit, Clock::now() + limit, module};
  }
  changed_.notify_all();
}

void StepWatch::end() {
  const std::scoped_lock lock(mutex_);
  watched_.reset();
}

void StepWatch::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (!watched_) {
      changed_.wait(lock);
    } else if (changed_.wait_until(lock, watched_->due) == std::cv_status::timeout && watched_ &&
               Clock::now() >= watched_->due) {
      give_up(*watched_);
    }
  }
}

void StepWatch::give_up(const Watched& watched) {
  const std::string what = "step " + std::to_string(watched.place.step) + " (" + watched.op +
                           ") still runs after " + std::to_string(watched.limit.count()) + " ms";
  std::fprintf(stderr, "snapbed-agent: fatal: %s\n", what.c_str());
  std::ofstream("/proc/sysrq-trigger") << 'w' << std::flush;
  try {
    marks_.write(plan::MarkKind::fatal, watched.place,
                 {{"what", what}, {"module", watched.module}, {"late", true}});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "snapbed-agent: fatal: %s\n", error.what());
  }
  power_off();
}

}  // namespace snapbed::agent
