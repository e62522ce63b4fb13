// SPDX-License-Identifier: GPL-2.0-or-later
// The proof at boot that a write, a discard, a write-zeroes and a flush each reach the recording
// server with their exact range. Without it the absence of a request proves nothing.
#pragma once

#include "model/history.h"

namespace snapbed::model {

// Throws BrokenRecord when the plan holds no selftest, none finished, or the requests between its
// marks are not exactly the promised ones.
void prove_selftest(const journal::Journal& journal, const History& history);

}  // namespace snapbed::model
