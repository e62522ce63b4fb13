// SPDX-License-Identifier: GPL-2.0-or-later
#include "fuzz/targets.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "base/file.h"
#include "base/temporary_folder.h"
#include "journal/format.h"
#include "journal/pattern.h"
#include "journal/print.h"
#include "journal/reader.h"
#include "model/story.h"
#include "plan/mark.h"
#include "plan/plan.h"
#include "scenario/plan_build.h"
#include "scenario/scenario.h"
#include "vm/console.h"

namespace snapbed::fuzz {
namespace {

namespace fs = std::filesystem;

std::string text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Of this process, taken away at its end.
const fs::path& folder() {
  static const base::TemporaryFolder made(fs::temp_directory_path() / "snapbed-fuzz-");
  return made.path();
}

template <typename T>
void append(std::vector<std::uint8_t>& to, const T& value) {
  const auto* raw = reinterpret_cast<const std::uint8_t*>(&value);
  to.insert(to.end(), raw, raw + sizeof(value));
}

void put_checksum(std::vector<std::uint8_t>& bytes, std::size_t at) {
  const std::uint64_t sum = journal::sector_hash({bytes.data() + at + 8, bytes.size() - at - 8});
  std::memcpy(bytes.data() + at, &sum, sizeof(sum));
}

// A segment with one block of these records, whose checksums fit.
std::vector<std::uint8_t> as_segment(Bytes records) {
  namespace format = journal::format;
  std::vector<std::uint8_t> out;
  format::SegmentHeader segment{};
  segment.magic = format::kSegmentMagic;
  segment.version = format::kVersion;
  append(out, segment);
  put_checksum(out, 0);
  const std::size_t at = out.size();
  format::BlockHeader block{};
  block.magic = format::kBlockMagic;
  block.bytes = static_cast<std::uint32_t>(records.size() / 8 * 8);
  append(out, block);
  out.insert(out.end(), records.begin(),
             records.begin() + static_cast<std::ptrdiff_t>(block.bytes));
  put_checksum(out, at);
  return out;
}

bool passed(const model::Report& report) {
  return report.broken.empty() &&
         std::none_of(report.checks.begin(), report.checks.end(), [](const auto& check) {
           return check.second.outcome == model::Outcome::fail;
         });
}

}  // namespace

void run_journal(Bytes bytes) {
  if (bytes.empty()) return;
  const bool sealed = (bytes[0] & 1) != 0;
  const Bytes rest = bytes.subspan(1);
  const std::vector<std::uint8_t> made = sealed ? as_segment(rest) : std::vector<std::uint8_t>{};
  base::write_file(folder() / journal::format::segment_name(0),
                   text_of(sealed ? Bytes(made) : rest));
  journal::Journal journal;
  try {
    journal = journal::read_journal(folder());
  } catch (const std::runtime_error&) {
    return;
  }
  std::ostringstream printed;
  journal::print(journal, printed, plan::mark_words);
  const model::FilesReader no_files = [](std::uint64_t, std::span<std::uint8_t>) { return false; };
  const model::Explained explained = model::explain(journal, {}, no_files, model::Scope{});
  if (!journal.complete && passed(explained.report))
    throw std::logic_error("a journal cut short was passed");
}

void run_plan(Bytes bytes) {
  if (bytes.empty()) return;
  const Bytes rest = bytes.subspan(1);
  try {
    switch (bytes[0] % 3) {
      case 0: {
        const std::string text = plan::to_text(plan::from_text(text_of(rest)));
        if (plan::to_text(plan::from_text(text)) != text)
          throw std::logic_error("a plan changes when it is written and read again");
        break;
      }
      case 1:
        plan::from_text(plan::from_disk(rest));
        break;
      default:
        plan::mark_words(rest);
    }
  } catch (const std::runtime_error&) {
    // That is what rubbish deserves.
  }
}

void run_scenario(Bytes bytes) {
  try {
    const fs::path scenarios = fs::path(SNAPBED_SCENARIOS) / "smoke";
    const auto scenario = scenario::parse(text_of(bytes), "fuzz.toml", scenarios);
    const scenario::Built built = scenario::build_plan(scenario, 1, 2);
    plan::from_text(plan::to_text(built.plan));
  } catch (const scenario::BadScenario&) {
    // That too.
  }
}

void run_console(Bytes bytes) {
  const std::string text = text_of(bytes);
  const std::size_t half = text.size() / 2;
  vm::ConsoleParser pieces;
  pieces.feed(text.substr(0, half));
  pieces.feed(text.substr(half));
  pieces.finish();
  vm::ConsoleParser whole;
  whole.feed(text);
  whole.finish();
  if (pieces.found() != whole.found() || pieces.lines() != whole.lines())
    throw std::logic_error("a console says something else when it comes in pieces");
}

const std::vector<Target>& targets() {
  static const std::vector<Target> all{{"journal", run_journal, journal_seeds},
                                       {"plan", run_plan, plan_seeds},
                                       {"scenario", run_scenario, scenario_seeds},
                                       {"console", run_console, console_seeds}};
  return all;
}

}  // namespace snapbed::fuzz
