// SPDX-License-Identifier: GPL-2.0-or-later
// SIGINT and SIGTERM as a value that loops look at: the first asks for an orderly end, the second
// ends the program at once (the guardian then clears up). SIGPIPE is survived.
#pragma once

namespace snapbed::runner {

void catch_interrupts();  // once, early
bool interrupted();

}  // namespace snapbed::runner
