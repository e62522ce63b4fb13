// SPDX-License-Identifier: GPL-2.0-or-later
// Well-formed inputs to start from: a run made by hand as a journal, its plan and marks, the
// scenarios of the tree, the saved consoles.
#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "fuzz/targets.h"
#include "journal/format.h"
#include "journal/writer.h"
#include "model/test_story.h"

namespace snapbed::fuzz {
namespace {

namespace fs = std::filesystem;
using Input = std::vector<std::uint8_t>;

Input input_of(std::uint8_t first, Bytes rest) {
  Input out{first};
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

Bytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

model::test::Story told() {
  model::test::Story story;
  story.run();
  return story;
}

// The journal as the recording server would have written it.
Input written(const journal::Journal& journal) {
  std::string name = (fs::temp_directory_path() / "snapbed-seed-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) base::throw_errno("mkdtemp " + name);
  const fs::path folder = name;
  {
    journal::WriterOptions options;
    options.dir = folder;
    options.seed = journal.seed;
    options.plan = journal.plan;
    options.disks = journal.disks;
    options.disks.push_back({static_cast<std::uint16_t>(journal.disks.size()), "marks",
                             journal::Role::marks, journal::Initial::zero, 1 << 16});
    options.segment_bytes = 1 << 20;
    journal::Writer writer(std::move(options));
    for (const journal::Request& request : journal.requests) {
      const bool hashes = request.op == journal::Op::write && request.moved != journal::kNever;
      writer.append(request, hashes ? journal.hashes_of(request) : std::span<const std::uint64_t>{},
                    {}, 0);
    }
    std::uint64_t sector = 0;
    for (const journal::MarkBytes& mark : journal.marks) {
      journal::Request request;
      request.disk = static_cast<std::uint16_t>(journal.disks.size());
      request.op = journal::Op::write;
      request.first = sector++;
      request.count = 1;
      request.begin = request.moved = mark.begin;
      request.end = mark.end;
      const std::uint64_t hash = 0;
      writer.append(request, {&hash, 1}, mark.bytes, 0);
    }
    writer.close();
  }
  const std::string text = base::read_file(folder / journal::format::segment_name(0));
  fs::remove_all(folder);
  return {text.begin(), text.end()};
}

// The records of all blocks of a segment, without headers.
Input records_of(const Input& segment) {
  Input out;
  std::size_t at = sizeof(journal::format::SegmentHeader);
  while (at + sizeof(journal::format::BlockHeader) <= segment.size()) {
    journal::format::BlockHeader header;
    std::memcpy(&header, segment.data() + at, sizeof(header));
    if (header.magic != journal::format::kBlockMagic) break;
    at += sizeof(header);
    out.insert(out.end(), segment.begin() + static_cast<std::ptrdiff_t>(at),
               segment.begin() + static_cast<std::ptrdiff_t>(at + header.bytes));
    at += header.bytes;
  }
  return out;
}

std::vector<Input> files_of(const fs::path& folder, const char* extension) {
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
    if (entry.path().extension() == extension) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Input> out;
  for (const fs::path& path : paths) {
    const std::string text = base::read_file(path);
    out.emplace_back(text.begin(), text.end());
  }
  return out;
}

}  // namespace

std::vector<Input> journal_seeds() {
  const Input segment = written(told().b.journal);
  return {input_of(0, segment), input_of(1, records_of(segment))};
}

std::vector<Input> plan_seeds() {
  const model::test::Story story = told();
  const std::string text = plan::to_text(story.b.plan);
  return {input_of(0, bytes_of(text)), input_of(1, plan::to_disk(text)),
          input_of(2, story.b.journal.marks.front().bytes)};
}

std::vector<Input> scenario_seeds() {
  return files_of(SNAPBED_SCENARIOS, ".toml");
}

std::vector<Input> console_seeds() {
  return files_of(SNAPBED_CONSOLES, ".log");
}

}  // namespace snapbed::fuzz
