// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/summary.h"

#include <algorithm>
#include <functional>

namespace snapbed::bench {
namespace {

using Samples = std::vector<const Sample*>;

Samples select(const std::vector<Sample>& samples, const std::string& row, System system) {
  Samples found;
  for (const Sample& sample : samples)
    if (sample.row == row && sample.system == system && sample.operations > 0 && sample.ns > 0)
      found.push_back(&sample);
  return found;
}

double median_of(const Samples& samples, const std::function<double(const Sample&)>& value) {
  std::vector<double> values;
  for (const Sample* sample : samples) values.push_back(value(*sample));
  return spread(values).median;
}

double per_second(const Sample& sample) {
  return static_cast<double>(sample.operations) * 1e9 / static_cast<double>(sample.ns);
}

double settled_per_second(const Sample& sample) {
  return static_cast<double>(sample.operations) * 1e9 /
         static_cast<double>(std::max(sample.ns, sample.settled_ns));
}

double instructions(const Sample& sample) {
  return static_cast<double>(sample.instructions) / static_cast<double>(sample.operations);
}

// value(sample) / value(bare) in each round that has both.
std::optional<Spread> paired(const Samples& samples, const Samples& bare,
                             const std::function<double(const Sample&)>& value) {
  std::vector<double> ratios;
  for (const Sample* sample : samples) {
    const auto partner = std::find_if(bare.begin(), bare.end(), [&](const Sample* other) {
      return other->round == sample->round;
    });
    if (partner != bare.end() && value(**partner) > 0)
      ratios.push_back(value(*sample) / value(**partner));
  }
  if (ratios.empty()) return std::nullopt;
  return spread(ratios);
}

void add_wall(const Samples& samples, const Samples& bare, Line& line) {
  std::vector<double> speeds;
  for (const Sample* sample : samples) speeds.push_back(per_second(*sample));
  line.rounds = static_cast<std::uint32_t>(samples.size());
  line.block_bytes = samples.front()->bytes / samples.front()->operations;
  line.operations_per_s = spread(speeds);
  line.settled_per_s = median_of(samples, settled_per_second);
  line.p50_us =
      median_of(samples, [](const Sample& s) { return static_cast<double>(s.p50_ns); }) / 1000;
  line.p99_us =
      median_of(samples, [](const Sample& s) { return static_cast<double>(s.p99_ns); }) / 1000;
  line.moved_per_byte = median_of(samples, [](const Sample& s) {
    return static_cast<double>(s.moved_bytes) / static_cast<double>(s.bytes);
  });
  line.requests_per_operation = median_of(samples, [](const Sample& s) {
    return static_cast<double>(s.requests) / static_cast<double>(s.operations);
  });
  line.copies_per_operation = median_of(samples, [](const Sample& s) {
    return static_cast<double>(s.copied_bytes) / 4096 / static_cast<double>(s.operations);
  });
  line.ratio = paired(samples, bare, per_second);
  const auto settled = paired(samples, bare, settled_per_second);
  line.settled_ratio = settled ? settled->median : 0;
}

}  // namespace

Spread spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, values.front(), values.back()};
}

std::vector<Line> summarize(const std::vector<Sample>& wall, const std::vector<Sample>& counted) {
  std::vector<Line> lines;
  for (const Experiment& experiment : experiments()) {
    for (const Phase& phase : experiment.phases) {
      for (const System system : experiment.systems) {
        Line line{.row = phase.row, .system = system};
        const Samples timed = select(wall, phase.row, system);
        const Samples exact = select(counted, phase.row, system);
        if (phase.row.empty() || (timed.empty() && exact.empty())) continue;
        if (!timed.empty()) add_wall(timed, select(wall, phase.row, System::bare), line);
        if (!exact.empty()) {
          line.instructions = median_of(exact, instructions);
          line.instructions_ratio =
              paired(exact, select(counted, phase.row, System::bare), instructions);
        }
        lines.push_back(line);
      }
    }
  }
  return lines;
}

const Line* find(const std::vector<Line>& lines, const std::string& row, System system) {
  const auto found = std::find_if(lines.begin(), lines.end(), [&](const Line& line) {
    return line.row == row && line.system == system;
  });
  return found == lines.end() ? nullptr : &*found;
}

}  // namespace snapbed::bench
