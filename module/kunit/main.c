// SPDX-License-Identifier: GPL-2.0
/* Runs every suite when it is inserted; results are in debugfs, kunit/SUITE. */
#include <linux/module.h>

#include "suites.h"

kunit_test_suites(&geometry_suite, &cbt_map_suite, &event_queue_suite,
		  &diff_storage_suite, &chunk_suite);
MODULE_DESCRIPTION("KUnit suites of blksnap");
MODULE_AUTHOR("The snapbed authors");
MODULE_LICENSE("GPL");
