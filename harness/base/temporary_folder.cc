// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/temporary_folder.h"

#include <stdlib.h>

#include <string>
#include <system_error>

#include "base/error.h"

namespace snapbed::base {

TemporaryFolder::TemporaryFolder(const std::filesystem::path& beginning) {
  std::string name = beginning.string() + "XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw_errno("mkdtemp " + name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace snapbed::base
