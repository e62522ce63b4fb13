// SPDX-License-Identifier: GPL-2.0-or-later
// Files of sysfs, procfs and cgroups, which want one write of the whole value.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/fd.h"

namespace snapbed::agent {

// 0 or the positive errno of open or write.
inline int write_switch(const std::string& path, const std::string& value) {
  const base::UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return errno;
  return ::write(file.get(), value.data(), value.size()) < 0 ? errno : 0;
}

}  // namespace snapbed::agent
