// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/error.h"

#include <cerrno>
#include <system_error>

namespace snapbed::base {

std::string errno_text(int error) {
  return std::generic_category().message(error) + " (errno " + std::to_string(error) + ")";
}

void throw_errno(const std::string& tried, int error) {
  throw std::system_error(error, std::generic_category(), tried);
}

void throw_errno(const std::string& tried) {
  throw_errno(tried, errno);
}

}  // namespace snapbed::base
