// SPDX-License-Identifier: GPL-2.0-or-later
// How errors of system calls are put into words.
#pragma once

#include <string>

namespace snapbed::base {

// "No such file or directory (errno 2)". Thread safe, unlike strerror.
std::string errno_text(int error);

// Throws std::system_error whose what() is `tried` followed by the text of `error` (a positive
// errno); `tried` names the call, its object and its numbers. The second form takes errno.
[[noreturn]] void throw_errno(const std::string& tried, int error);
[[noreturn]] void throw_errno(const std::string& tried);

}  // namespace snapbed::base
