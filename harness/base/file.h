// SPDX-License-Identifier: GPL-2.0-or-later
// Whole files in and out.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace snapbed::base {

// The file's bytes. Throws std::system_error naming the file.
std::string read_file(const std::filesystem::path& path);

// Writes `text` under a temporary name beside `path`, then renames: a reader sees the old file or
// the new one, never half. Throws std::system_error naming the file.
void write_file(const std::filesystem::path& path, std::string_view text);

// Writes every byte, over short writes and EINTR. Returns 0 or the positive errno.
int write_all(int fd, std::string_view bytes);

}  // namespace snapbed::base
