// SPDX-License-Identifier: GPL-2.0-or-later
// The line to the harness: JSON objects, one per line, over a connected stream socket, both ways.
#pragma once

#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "base/fd.h"

namespace snapbed::recorder {

class Control {
 public:
  struct Handlers {
    std::function<void(const nlohmann::json&)> command;  // every complete line
    std::function<void()> gone;      // the harness closed its end or stopped reading
    std::function<bool()> stopping;  // asked every 200 ms; true has the effect of gone
  };

  // Takes `fd` over; it must be a connected stream socket (std::system_error). The thread starts
  // with run().
  explicit Control(int fd);
  // Ends the thread.
  ~Control();

  // Handlers are called from one thread of this object, one at a time; `gone` once, as the last.
  void run(Handlers handlers);

  // Queues a line; never blocks. A harness that leaves 16 MiB unread counts as gone. Any thread.
  void send(const nlohmann::json& message);
  // Writes what is queued, for at most a second, from the calling thread. For the moment before
  // exit.
  void drain();

 private:
  void loop();
  bool read_some();
  bool write_some();
  void wake();
  void handle_lines();

  base::UniqueFd socket_;
  base::UniqueFd wake_;
  Handlers handlers_;
  std::string incoming_;
  std::mutex mutex_;
  std::string outgoing_;  // under mutex_
  bool overflow_ = false;
  bool quit_ = false;
  std::thread thread_;
};

}  // namespace snapbed::recorder
