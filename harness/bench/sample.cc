// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/sample.h"

#include <stdexcept>

namespace snapbed::bench {
namespace {

using nlohmann::json;

Sample sample_from(const json& line) {
  Sample sample;
  sample.row = line.at("row");
  sample.system = system_from(line.at("system"));
  sample.round = line.at("round");
  sample.operations = line.at("operations");
  sample.bytes = line.at("bytes");
  sample.ns = line.at("ns");
  sample.settled_ns = line.at("settled_ns");
  sample.p50_ns = line.at("p50_ns");
  sample.p99_ns = line.at("p99_ns");
  sample.instructions = line.at("instructions");
  sample.moved_bytes = line.at("moved_bytes");
  sample.copied_bytes = line.at("copied_bytes");
  sample.requests = line.at("requests");
  return sample;
}

void add_line(const std::string& text, Results& results) {
  const json line = json::parse(text);
  if (line.contains("row"))
    results.samples.push_back(sample_from(line));
  else if (line.contains("memory"))
    results.memory.push_back({line.at("memory"), line.at("bytes"), line.at("count")});
  else if (line.contains("error"))
    results.error = line.at("error");
  else if (line.contains("done"))
    results.done = true;
  else
    throw std::runtime_error("a result that is not known");
}

}  // namespace

std::string to_line(const Sample& sample) {
  return json{{"row", sample.row},
              {"system", to_string(sample.system)},
              {"round", sample.round},
              {"operations", sample.operations},
              {"bytes", sample.bytes},
              {"ns", sample.ns},
              {"settled_ns", sample.settled_ns},
              {"p50_ns", sample.p50_ns},
              {"p99_ns", sample.p99_ns},
              {"instructions", sample.instructions},
              {"moved_bytes", sample.moved_bytes},
              {"copied_bytes", sample.copied_bytes},
              {"requests", sample.requests}}
             .dump() +
         "\n";
}

std::string to_line(const Memory& memory) {
  return json{{"memory", memory.what}, {"bytes", memory.bytes}, {"count", memory.count}}.dump() +
         "\n";
}

std::string done_line() {
  return json{{"done", true}}.dump() + "\n";
}

std::string error_line(const std::string& what) {
  return json{{"error", what}}.dump(-1, ' ', true, json::error_handler_t::replace) + "\n";
}

Results parse(std::string_view text) {
  Results results;
  for (std::size_t end = text.find('\n'); end != text.npos; end = text.find('\n')) {
    const std::string line(text.substr(0, end));
    try {
      add_line(line, results);
    } catch (const std::exception& error) {
      throw std::runtime_error("the guest's line '" + line + "': " + error.what());
    }
    text.remove_prefix(end + 1);
  }
  return results;
}

}  // namespace snapbed::bench
