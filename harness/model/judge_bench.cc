// SPDX-License-Identifier: GPL-2.0-or-later
// How long judging takes: 1 GiB of journalled writes and two copies of the image, read from disk
// and judged. The bound of the design is 2 s for both together.
#include <benchmark/benchmark.h>

#include <unistd.h>

#include <filesystem>

#include "base/random.h"
#include "journal/reader.h"
#include "journal/writer.h"
#include "model/journal_builder.h"

namespace snapbed::model::test {
namespace {

constexpr std::uint64_t kGiBSectors = std::uint64_t{1} << 21;
constexpr std::uint64_t kPiece = 128;  // sectors of a large request

struct Load {
  JournalBuilder builder;
  std::uint16_t data = 0, evidence = 0;
  std::vector<std::uint64_t> content;
};

void storm(Load& load, std::uint64_t sectors, base::Random& random) {
  std::vector<std::uint64_t> hashes;
  for (std::uint64_t done = 0; done < sectors;) {
    const std::uint64_t count = random.chance(0.5) ? 8 : kPiece;
    const std::uint64_t first = random.below(load.content.size() / 8 - count / 8) * 8;
    hashes.clear();
    for (std::uint64_t i = 0; i < count; ++i) {
      hashes.push_back(load.content[first + i] = random());
    }
    load.builder.write(load.data, first, hashes);
    done += count;
  }
}

void copy(Load& load, std::uint64_t base, const std::vector<std::uint64_t>& image) {
  const std::uint32_t id =
      load.builder.call("copy_image", {{"snapshot", "s"}, {"device", "data0"}, {"base", base}});
  for (std::uint64_t s = 0; s < image.size(); s += kPiece) {
    const auto from = image.begin() + static_cast<std::ptrdiff_t>(s);
    load.builder.write(load.evidence, base + s, {from, from + kPiece});
  }
  load.builder.done(id);
}

// Half of the writes before the take, the other half between the copies, each behind a read.
Load make_load() {
  Load load;
  JournalBuilder& builder = load.builder;
  builder.plan.module_parameters["diff_storage_minimum"] = "1";  // no LOW event is due
  load.data = builder.disk("data0", journal::Role::data, kGiBSectors, journal::Initial::seeded);
  load.evidence = builder.disk("evidence", journal::Role::evidence, 2 * kGiBSectors);
  const std::uint16_t scratch = builder.disk("scratch", journal::Role::scratch, 1024);
  builder.selftest("scratch", scratch);
  base::Random random(7);
  journal::SectorBytes bytes;
  for (std::uint64_t s = 0; s < kGiBSectors; ++s) {
    journal::fill_sector(journal::initial_key(1, load.data), s, bytes);
    load.content.push_back(journal::sector_hash(bytes));
  }
  const std::uint32_t fio =
      builder.call("fio_start", {{"name", "storm"}, {"job", "[a]\nfilename=/dev/snapbed/data0\n"}});
  builder.done(fio);
  storm(load, kGiBSectors / 2, random);
  builder.done(builder.call("create", {{"snapshot", "s"}, {"devices", {"data0"}}}));
  builder.done(builder.call("take", {{"snapshot", "s"}}));
  const std::vector<std::uint64_t> image = load.content;
  copy(load, 0, image);
  for (std::uint64_t s = 0; s < kGiBSectors; s += 512) builder.read(load.data, s, 512);
  storm(load, kGiBSectors / 2, random);
  copy(load, kGiBSectors, image);
  builder.done(builder.call("destroy", {{"snapshot", "s"}}));
  builder.mark(plan::MarkKind::done, 0);
  builder.journal.plan = plan::to_text(builder.plan);
  builder.journal.complete = true;
  return load;
}

void store(const Load& load, const std::filesystem::path& dir) {
  journal::WriterOptions options;
  options.dir = dir;
  options.seed = load.builder.journal.seed;
  options.plan = load.builder.journal.plan;
  options.disks = load.builder.journal.disks;
  journal::Writer writer(options);
  for (const journal::Request& request : load.builder.journal.requests) {
    const bool hashed = request.op == journal::Op::write && request.moved != journal::kNever;
    writer.append(
        request,
        hashed ? load.builder.journal.hashes_of(request) : std::span<const std::uint64_t>(), {}, 0);
  }
  if (!writer.close()) throw std::runtime_error("journal of the benchmark: " + writer.error());
}

void read_and_judge(benchmark::State& state) {
  const Load load = make_load();
  const std::filesystem::path dir =
      std::filesystem::temp_directory_path() / ("snapbed-bench-" + std::to_string(::getpid()));
  std::filesystem::create_directory(dir);
  store(load, dir);
  for (auto _ : state) {
    journal::Journal journal = journal::read_journal(dir);
    // The marks travel as requests of a marks disk in a real run; here they are put in by hand.
    journal.marks = load.builder.journal.marks;
    const Report report = judge(journal, {}, load.builder.reader());
    if (!report.broken.empty()) state.SkipWithError(report.broken.c_str());
    for (const auto& [name, check] : report.checks) {
      if (check.outcome == Outcome::fail) state.SkipWithError(check.findings[0].text.c_str());
    }
    state.counters["sectors_judged"] = static_cast<double>(report.sectors_judged);
  }
  std::filesystem::remove_all(dir);
}
BENCHMARK(read_and_judge)->Unit(benchmark::kMillisecond)->Iterations(3);

void judge_only(benchmark::State& state) {
  const Load load = make_load();
  for (auto _ : state) {
    const Report report = judge(load.builder.journal, {}, load.builder.reader());
    if (!report.broken.empty()) state.SkipWithError(report.broken.c_str());
    benchmark::DoNotOptimize(report);
  }
}
BENCHMARK(judge_only)->Unit(benchmark::kMillisecond)->Iterations(3);

}  // namespace
}  // namespace snapbed::model::test

BENCHMARK_MAIN();
