// SPDX-License-Identifier: GPL-2.0-or-later
// Devices of the guest that are no piece of one recorded disk. Values only.
#pragma once

#include <optional>
#include <string>

#include "journal/record.h"

namespace snapbed::model {

// The journal with a disk more for every device of its plan that does not lie on one disk sector by
// sector. What was asked of the disks below a striped device is there once more, in that device's
// own sectors: so every check sees one plain disk. The other new disks have no requests; nobody on
// the host knows what they hold. std::nullopt when the plan has no such device. Throws BrokenRecord
// when the plan cannot be read or names a disk that is not there.
std::optional<journal::Journal> with_devices(const journal::Journal& journal);

// The name of a device's own disk.
std::string own_disk(const std::string& device);

}  // namespace snapbed::model
