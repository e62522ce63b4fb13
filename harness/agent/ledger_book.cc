// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/ledger_book.h"

namespace snapbed::agent {
namespace {

constexpr std::uint64_t kEarlyShare = 16;  // one early block per so many operations

}  // namespace

LedgerBook::LedgerBook(std::uint64_t key, std::uint64_t operations, GuestCounter& counter,
                       Ship ship)
    : operations_(operations),
      spare_(operations / kEarlyShare),
      counter_(counter),
      ship_(std::move(ship)) {
  block_.key = key;
}

std::uint64_t LedgerBook::blocks_limit(std::uint64_t operations) {
  return operations / plan::kLedgerBlockEntries + operations / kEarlyShare + 2;
}

std::optional<std::uint64_t> LedgerBook::draw() {
  const std::scoped_lock lock(mutex_);
  if (issued_ == operations_) return std::nullopt;
  return ++issued_;
}

void LedgerBook::enter(plan::LedgerEntry entry, int result) {
  const std::scoped_lock lock(mutex_);
  entry.end = counter_.draw();
  entry.result = static_cast<std::uint16_t>(result);
  block_.entries.push_back(entry);
  ++entered_;
  if (result != 0) ++errors_;
  if (block_.entries.size() == plan::kLedgerBlockEntries) {
    ship();
  } else if (entry.op == plan::LedgerOp::flush && result == 0 && early_ < spare_) {
    ++early_;
    ship();
  }
}

void LedgerBook::ship() {
  block_.issued = issued_;
  ship_(block_.number, plan::encode_ledger_block(block_));
  ++block_.number;
  block_.entries.clear();
}

std::uint64_t LedgerBook::close() {
  const std::scoped_lock lock(mutex_);
  ship();
  return block_.number;
}

std::uint64_t LedgerBook::entered() {
  const std::scoped_lock lock(mutex_);
  return entered_;
}

std::uint64_t LedgerBook::issued() {
  const std::scoped_lock lock(mutex_);
  return issued_;
}

std::uint64_t LedgerBook::errors() {
  const std::scoped_lock lock(mutex_);
  return errors_;
}

bool LedgerBook::exhausted() {
  const std::scoped_lock lock(mutex_);
  return issued_ == operations_;
}

}  // namespace snapbed::agent
