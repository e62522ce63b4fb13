// SPDX-License-Identifier: GPL-2.0-or-later
// The words for operations, roles and initial contents, as configurations and prints spell them.
#pragma once

#include <optional>
#include <string_view>

#include "journal/record.h"

namespace snapbed::journal {

const char* to_string(Op op);
const char* to_string(Role role);
const char* to_string(Initial initial);

// nullopt for any other word.
std::optional<Op> parse_op(std::string_view word);
std::optional<Role> parse_role(std::string_view word);
std::optional<Initial> parse_initial(std::string_view word);

}  // namespace snapbed::journal
