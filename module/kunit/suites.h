/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BLKSNAP_KUNIT_SUITES_H
#define BLKSNAP_KUNIT_SUITES_H

#include <kunit/test.h>

extern struct kunit_suite geometry_suite;
extern struct kunit_suite cbt_map_suite;
extern struct kunit_suite event_queue_suite;
extern struct kunit_suite diff_storage_suite;
extern struct kunit_suite chunk_suite;

#endif /* BLKSNAP_KUNIT_SUITES_H */
