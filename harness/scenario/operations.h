// SPDX-License-Identifier: GPL-2.0-or-later
// The table of step operations: which arguments each takes, of which type, and what they mean
// when left out. plan/plan.h says what the steps do. Values only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace snapbed::scenario {

enum class Type {
  text,     // any text
  word,     // [a-z0-9-]+, a name the scenario makes up (snapshots)
  choice,   // one of `choices`, separated by blanks
  number,   // a count
  sectors,  // a size or place, a multiple of 512 bytes, passed on in sectors
  bytes,    // a size, passed on in bytes
  device,   // a disk of the scenario or a device made of disks
  devices,  // one or more of them, passed on as a list
  disk,     // a disk of the scenario
  each,     // one or more of them: the step is repeated for each, passed on as `device`
  dm,       // a device-mapper device
  md,       // an array
  fio,      // a fio job
  ranges,   // "FIRST+COUNT,..." sizes, passed on as [[first,count],...] in sectors
};

struct Argument {
  std::string key;
  Type type = Type::text;
  bool required = true;
  std::string fallback;  // used when not required and absent; "" leaves it out
  std::string choices;
};

struct Operation {
  std::string op;
  std::vector<Argument> arguments;
};

const std::vector<Operation>& operations();
const Operation* find_operation(std::string_view op);

}  // namespace snapbed::scenario
