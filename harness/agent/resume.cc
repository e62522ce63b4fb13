// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/resume.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/block_device.h"
#include "agent/fatal.h"

namespace snapbed::agent {
namespace {

bool begins_cut(const plan::Mark& mark) {
  const auto text = nlohmann::json::parse(mark.text, nullptr, false);
  return text.is_object() && text.value("op", std::string()) == "power_cut";
}

// False when the sector holds no mark that goes on where the ones before it end.
bool take_in(std::span<const std::uint8_t> sector, Resume& resume) {
  auto mark = plan::decode_mark(sector);
  if (!mark || mark->sequence != resume.marks) return false;
  ++resume.marks;
  if (mark->kind == plan::MarkKind::boot) ++resume.boots;
  if (mark->kind == plan::MarkKind::step_begin) {
    resume.cut.reset();
    if (begins_cut(*mark)) resume.cut = mark->step;
  }
  if (mark->kind == plan::MarkKind::step_end) resume.ended.push_back(std::move(*mark));
  return true;
}

}  // namespace

Resume read_marks(std::uint64_t sectors, std::span<std::uint8_t> buffer, const ReadMarks& read) {
  Resume resume;
  bool more = true;
  for (std::uint64_t first = 0; more && first < sectors;) {
    const std::uint64_t count = std::min(buffer.size() / kSectorBytes, sectors - first);
    read(first, buffer.first(count * kSectorBytes));
    for (std::uint64_t i = 0; more && i < count; ++i) {
      more = take_in(buffer.subspan(i * kSectorBytes, kSectorBytes), resume);
    }
    first += count;
  }
  if (more) throw Fatal("marks: they fill the disk; a plan with a power cut must write fewer");
  if (resume.marks > 0 && !resume.cut) {
    throw Fatal("marks: " + std::to_string(resume.marks) +
                " of another machine, which came to no power_cut");
  }
  return resume;
}

}  // namespace snapbed::agent
