// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/marks.h"

#include <algorithm>
#include <chrono>

#include "agent/block_device.h"
#include "base/error.h"

namespace snapbed::agent {
namespace {

constexpr std::size_t kLongText = 120;  // what a cut text keeps; three of them fit into a mark

std::string dumped(const nlohmann::json& value) {
  return value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

std::uint64_t guest_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                                    std::chrono::nanoseconds(1));
}

}  // namespace

std::string mark_text(const nlohmann::json& value) {
  std::string text = dumped(value);
  if (text.size() <= plan::kMarkTextLimit) return text;
  nlohmann::json shorter = value;
  for (auto& item : shorter) {
    if (item.is_string() && item.get_ref<std::string&>().size() > kLongText) {
      item.get_ref<std::string&>().resize(kLongText);
    }
  }
  text = dumped(shorter);
  if (text.size() <= plan::kMarkTextLimit) return text;
  shorter = {{"truncated", true}};
  if (value.contains("result")) shorter["result"] = value["result"];
  return dumped(shorter);
}

Marks::Marks(base::UniqueFd disk, std::uint64_t sectors, std::uint64_t next)
    : disk_(std::move(disk)), sectors_(sectors), sequence_(next), sector_(4096) {
}

void Marks::write(plan::MarkKind kind, Place place, const nlohmann::json& value) {
  plan::Mark mark;
  mark.kind = kind;
  mark.step = place.step;
  mark.cycle = place.cycle;
  mark.text = mark_text(value);
  const std::scoped_lock lock(mutex_);
  mark.sequence = sequence_++;
  mark.guest_ns = guest_ns();
  const auto bytes = plan::encode_mark(mark);
  std::copy(bytes.begin(), bytes.end(), sector_.data());
  const std::uint64_t at = mark.sequence % sectors_;
  const int error = write_at(disk_.get(), sector_.span().first(kSectorBytes), at * kSectorBytes);
  if (error != 0) {
    base::throw_errno("write of mark " + std::to_string(mark.sequence) + " (" +
                          plan::to_string(kind) + ") to sector " + std::to_string(at) +
                          " of the marks disk",
                      error);
  }
}

}  // namespace snapbed::agent
