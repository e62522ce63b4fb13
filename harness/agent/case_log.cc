// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/case_log.h"

#include <algorithm>
#include <cstring>

namespace snapbed::agent {

std::string result_text(std::int64_t result) {
  if (result >= 0) return std::to_string(result);
  const char* name = ::strerrorname_np(static_cast<int>(-result));
  return name == nullptr ? std::to_string(result) : name;
}

bool CaseLog::add(const std::string& call, const std::string& with,
                  const std::vector<std::string>& right, const std::string& got) {
  marks_.write(plan::MarkKind::abi_case, place_,
               {{"call", call}, {"with", with}, {"expected", right}, {"got", got}});
  const bool good = std::find(right.begin(), right.end(), got) != right.end();
  ++count_;
  if (!good) ++wrong_;
  return good;
}

bool CaseLog::result(const std::string& call, const std::string& with,
                     std::initializer_list<std::int64_t> right, std::int64_t got) {
  std::vector<std::string> texts;
  for (const std::int64_t one : right) texts.push_back(result_text(one));
  return add(call, with, texts, result_text(got));
}

bool CaseLog::truth(const std::string& call, const std::string& statement, bool holds,
                    const std::string& got) {
  return add(call, statement, {"so"}, holds ? "so" : got);
}

}  // namespace snapbed::agent
