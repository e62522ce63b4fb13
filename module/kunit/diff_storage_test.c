// SPDX-License-Identifier: GPL-2.0
/* The allocator, the budget and the events, on devices that are only numbers. */
#include <linux/delay.h>

#include "../diff_storage.c"
#include "suites.h"

struct storage_fixture {
	struct event_queue queue;
	struct diff_storage storage;
	struct gendisk disk;
	struct block_device bdev;
	struct block_device whole;
	struct snap_event event;
};

static int storage_begin(struct kunit *test)
{
	struct storage_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	if (!f)
		return -ENOMEM;
	event_queue_init(&f->queue);
	diff_storage_init(&f->storage, &f->queue);
	f->bdev.bd_disk = &f->disk;
	f->bdev.bd_start_sect = 2048;
	test->priv = f;
	return 0;
}

static void storage_end(struct kunit *test)
{
	struct storage_fixture *f = test->priv;

	diff_storage_exit(&f->storage);
}

static struct diff_region *new_region(struct kunit *test, sector_t first,
				      sector_t count)
{
	struct storage_fixture *f = test->priv;
	struct diff_region *region = kzalloc(sizeof(*region), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, region);
	region->bdev = &f->bdev;
	region->first = first;
	region->count = count;
	return region;
}

/* As an APPEND of one range does it, without a device to open. */
static bool append(struct kunit *test, sector_t first, sector_t count)
{
	struct storage_fixture *f = test->priv;
	struct diff_region *region = new_region(test, first, count);
	LIST_HEAD(regions);
	bool fits;

	mutex_lock(&all_regions_lock);
	fits = insert_region(region);
	mutex_unlock(&all_regions_lock);
	if (!fits) {
		kfree(region);
		return false;
	}
	list_add_tail(&region->node, &regions);
	publish_regions(&f->storage, &regions);
	return true;
}

/* Sectors got, and where; the I/O that began with them has ended. */
static sector_t alloc_at(struct kunit *test, sector_t want, sector_t *sector)
{
	struct storage_fixture *f = test->priv;
	struct diff_region *region;
	sector_t got = diff_storage_alloc(&f->storage, want, &region, sector);

	if (got)
		diff_storage_store_end(&f->storage, true);
	return got;
}

static u32 next_event(struct storage_fixture *f)
{
	struct snap_event *event = event_queue_fetch(&f->queue, 0, &f->event);

	return IS_ERR(event) ? U32_MAX : f->event.code;
}

static void front_to_back(struct kunit *test)
{
	struct storage_fixture *f = test->priv;
	sector_t sector;

	KUNIT_ASSERT_TRUE(test, append(test, 1000, 24));
	KUNIT_ASSERT_TRUE(test, append(test, 5000, 8));
	KUNIT_EXPECT_EQ(test, alloc_at(test, 8, &sector), 8);
	KUNIT_EXPECT_EQ(test, sector, 1000);
	/* A region's end cuts what is wanted; the rest comes from the next. */
	KUNIT_EXPECT_EQ(test, alloc_at(test, 64, &sector), 16);
	KUNIT_EXPECT_EQ(test, sector, 1008);
	KUNIT_EXPECT_EQ(test, alloc_at(test, 64, &sector), 8);
	KUNIT_EXPECT_EQ(test, sector, 5000);
	KUNIT_EXPECT_EQ(test, alloc_at(test, 8, &sector), 0);
	KUNIT_EXPECT_EQ(test, f->storage.free, 0);
	KUNIT_ASSERT_TRUE(test, append(test, 9000, 8));
	KUNIT_EXPECT_EQ(test, alloc_at(test, 8, &sector), 8);
	KUNIT_EXPECT_EQ(test, sector, 9000);
}

/* What is too small for a sub-block is left out, and counted as used. */
static void remainders(struct kunit *test)
{
	struct storage_fixture *f = test->priv;
	sector_t sector;

	KUNIT_ASSERT_TRUE(test, append(test, 0, 7));
	KUNIT_ASSERT_TRUE(test, append(test, 100, 15));
	KUNIT_EXPECT_EQ(test, f->storage.free, 22);
	KUNIT_EXPECT_EQ(test, alloc_at(test, 64, &sector), 8);
	KUNIT_EXPECT_EQ(test, sector, 100);
	KUNIT_EXPECT_EQ(test, alloc_at(test, 8, &sector), 0);
	KUNIT_EXPECT_EQ(test, f->storage.free, 0);
}

/* A thousand pieces of many sizes: inside what was appended, none twice. */
static void never_outside_never_twice(struct kunit *test)
{
	sector_t sector, got, end = 0, total = 0;
	unsigned int i;

	for (i = 0; i < 50; i++)
		KUNIT_ASSERT_TRUE(test, append(test, i * 1000, 300 + i * 11));
	for (i = 0; i < 1000; i++) {
		got = alloc_at(test, 8 * (1 + i % 64), &sector);
		if (!got)
			break;
		KUNIT_ASSERT_EQ(test, got % 8, 0);
		KUNIT_ASSERT_GE(test, sector, end);
		KUNIT_ASSERT_LE(test, sector % 1000 + got,
				300 + sector / 1000 * 11);
		end = sector + got;
		total += got;
	}
	KUNIT_EXPECT_GT(test, total, 50 * 300);
}

static void overlaps(struct kunit *test)
{
	KUNIT_ASSERT_TRUE(test, append(test, 1000, 100));
	KUNIT_EXPECT_FALSE(test, append(test, 1000, 100));
	KUNIT_EXPECT_FALSE(test, append(test, 999, 2));
	KUNIT_EXPECT_FALSE(test, append(test, 1099, 1));
	KUNIT_EXPECT_FALSE(test, append(test, 900, 1000));
	KUNIT_EXPECT_TRUE(test, append(test, 1100, 1));
	KUNIT_EXPECT_TRUE(test, append(test, 999, 1));
}

/* A partition and its disk name the same sectors by other numbers. */
static void overlaps_by_another_name(struct kunit *test)
{
	struct storage_fixture *f = test->priv;
	struct diff_region *region = new_region(test, 2048 + 1050, 8);
	bool fits;

	KUNIT_ASSERT_TRUE(test, append(test, 1000, 100));
	f->whole.bd_disk = &f->disk;
	region->bdev = &f->whole;
	mutex_lock(&all_regions_lock);
	fits = insert_region(region);
	mutex_unlock(&all_regions_lock);
	KUNIT_EXPECT_FALSE(test, fits);
	kfree(region);
}

static void low_once_and_again_after_append(struct kunit *test)
{
	struct storage_fixture *f = test->priv;
	sector_t sector;

	f->storage.low.low.requested_nr_sect = 64;
	/* A new snapshot asks for its first storage. */
	KUNIT_EXPECT_EQ(test, next_event(f), blk_snap_event_code_low_free_space);
	KUNIT_ASSERT_TRUE(test, append(test, 0, 64));
	alloc_at(test, 32, &sector);
	KUNIT_EXPECT_EQ(test, next_event(f), U32_MAX);
	alloc_at(test, 8, &sector);
	KUNIT_EXPECT_EQ(test, next_event(f), blk_snap_event_code_low_free_space);
	alloc_at(test, 8, &sector);
	KUNIT_EXPECT_EQ(test, next_event(f), U32_MAX);
	/* 16 are left and 8 come: the next LOW is under half of these 24. */
	KUNIT_ASSERT_TRUE(test, append(test, 1000, 8));
	alloc_at(test, 8, &sector);
	KUNIT_EXPECT_EQ(test, next_event(f), U32_MAX);
	alloc_at(test, 8, &sector);
	KUNIT_EXPECT_EQ(test, next_event(f), blk_snap_event_code_low_free_space);
}

static void budget(struct kunit *test)
{
	struct storage_fixture *f = test->priv;

	f->storage.unsaved_limit = 100;
	/* One may always be larger than all of it, or it would never go. */
	KUNIT_EXPECT_TRUE(test, diff_storage_reserve(&f->storage, 200));
	KUNIT_EXPECT_FALSE(test, diff_storage_reserve(&f->storage, 1));
	KUNIT_EXPECT_EQ(test, diff_storage_room(&f->storage, 300), 0U);
	diff_storage_unreserve(&f->storage, 150);
	KUNIT_EXPECT_EQ(test, diff_storage_room(&f->storage, 300),
			(unsigned int)f->storage.unsaved_limit - 50);
	KUNIT_EXPECT_TRUE(test, diff_storage_reserve(&f->storage, 50));
	KUNIT_EXPECT_FALSE(test, diff_storage_reserve(&f->storage, 1));
	diff_storage_unreserve(&f->storage, 100);
	KUNIT_EXPECT_EQ(test, f->storage.unsaved, 0);
	KUNIT_EXPECT_EQ(test, f->storage.unsaved_peak, 200);
}

/* From the place on a store is in flight: in between nothing looks stuck. */
static void no_moment_without_hope(struct kunit *test)
{
	struct storage_fixture *f = test->priv;
	struct diff_region *region;
	sector_t sector;

	f->storage.unsaved_limit = 8;
	KUNIT_ASSERT_TRUE(test, append(test, 0, 64));
	KUNIT_ASSERT_TRUE(test, diff_storage_reserve(&f->storage, 8));
	KUNIT_ASSERT_EQ(test, diff_storage_alloc(&f->storage, 64, &region,
						 &sector), 64);
	KUNIT_EXPECT_TRUE(test, diff_storage_wait_budget(&f->storage, 1, true));
	KUNIT_EXPECT_EQ(test, diff_storage_error(&f->storage), 0);
	KUNIT_EXPECT_TRUE(test, f->storage.waiting);
	diff_storage_unreserve(&f->storage, 8);
	diff_storage_store_end(&f->storage, true);
	KUNIT_EXPECT_FALSE(test, f->storage.waiting);
	KUNIT_EXPECT_EQ(test, diff_storage_error(&f->storage), 0);
}

/* A run that has a place will give budget back, though there is no space. */
static void a_restore_is_hope(struct kunit *test)
{
	struct storage_fixture *f = test->priv;

	f->storage.unsaved_limit = 8;
	KUNIT_ASSERT_TRUE(test, diff_storage_reserve(&f->storage, 8));
	diff_storage_add_restores(&f->storage, 1);
	KUNIT_EXPECT_TRUE(test, diff_storage_wait_budget(&f->storage, 1, true));
	KUNIT_EXPECT_EQ(test, diff_storage_error(&f->storage), 0);
	KUNIT_EXPECT_TRUE(test, f->storage.waiting);
	diff_storage_add_restores(&f->storage, -1);
	KUNIT_EXPECT_FALSE(test, f->storage.waiting);
	/* An image write is told so; only a write to the origin corrupts. */
	KUNIT_EXPECT_FALSE(test,
			   diff_storage_wait_budget(&f->storage, 1, false));
	KUNIT_EXPECT_EQ(test, diff_storage_error(&f->storage), 0);
	KUNIT_EXPECT_FALSE(test,
			   diff_storage_wait_budget(&f->storage, 1, true));
	KUNIT_EXPECT_EQ(test, diff_storage_error(&f->storage), -ENOSPC);
}

/* Nor does it make an origin wait: what reads the storage gives nothing back. */
static void a_read_of_the_storage_is_no_hope(struct kunit *test)
{
	struct storage_fixture *f = test->priv;

	f->storage.unsaved_limit = 8;
	KUNIT_ASSERT_TRUE(test, diff_storage_reserve(&f->storage, 8));
	KUNIT_ASSERT_TRUE(test, diff_storage_io_begin(&f->storage));
	KUNIT_EXPECT_FALSE(test,
			   diff_storage_wait_budget(&f->storage, 1, true));
	KUNIT_EXPECT_EQ(test, diff_storage_error(&f->storage), -ENOSPC);
	diff_storage_io_end(&f->storage);
	KUNIT_EXPECT_EQ(test, f->storage.inflight, 0U);
}

/* Kicked without a store an origin goes on waiting: its time does not begin anew. */
static void kicks_do_not_put_off_the_stall(struct kunit *test)
{
	struct storage_fixture *f = test->priv;
	unsigned long expires;

	f->storage.unsaved_limit = 8;
	KUNIT_ASSERT_TRUE(test, append(test, 0, 64));
	KUNIT_ASSERT_TRUE(test, diff_storage_reserve(&f->storage, 8));
	/* A write to an image may wait as long as its storage does. */
	KUNIT_EXPECT_TRUE(test, diff_storage_wait_budget(&f->storage, 1, false));
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&f->storage.stall_work));
	KUNIT_EXPECT_TRUE(test, diff_storage_wait_budget(&f->storage, 1, true));
	KUNIT_ASSERT_TRUE(test, delayed_work_pending(&f->storage.stall_work));
	expires = f->storage.stall_work.timer.expires;
	msleep(20);
	diff_storage_unreserve(&f->storage, 0);
	KUNIT_EXPECT_FALSE(test, f->storage.waiting);
	KUNIT_EXPECT_TRUE(test, diff_storage_wait_budget(&f->storage, 1, true));
	KUNIT_EXPECT_EQ(test, f->storage.stall_work.timer.expires, expires);
	f->storage.stored_seq++;
	diff_storage_unreserve(&f->storage, 0);
	KUNIT_EXPECT_TRUE(test, diff_storage_wait_budget(&f->storage, 1, true));
	KUNIT_EXPECT_NE(test, f->storage.stall_work.timer.expires, expires);
}

static void corruption_waits_for_the_last_io(struct kunit *test)
{
	struct storage_fixture *f = test->priv;
	struct diff_client client = {};
	struct diff_region *region;
	sector_t sector;

	KUNIT_EXPECT_EQ(test, next_event(f), blk_snap_event_code_low_free_space);
	snap_event_init(&client.corrupted);
	client.corrupted.code = blk_snap_event_code_corrupted;
	KUNIT_ASSERT_TRUE(test, append(test, 0, 64));
	KUNIT_ASSERT_EQ(test, diff_storage_alloc(&f->storage, 8, &region,
						 &sector), 8);
	/* Without a queue to kick, so that it is the event alone. */
	f->storage.error = -EIO;
	list_add_tail(&client.node, &f->storage.clients);
	KUNIT_EXPECT_FALSE(test, diff_storage_io_begin(&f->storage));
	KUNIT_EXPECT_EQ(test, alloc_at(test, 8, &sector), 0);
	KUNIT_EXPECT_EQ(test, next_event(f), U32_MAX);
	diff_storage_store_end(&f->storage, false);
	KUNIT_EXPECT_EQ(test, next_event(f), blk_snap_event_code_corrupted);
	KUNIT_EXPECT_EQ(test, f->event.corrupted.err_code, EIO);
	KUNIT_EXPECT_EQ(test, next_event(f), U32_MAX);
	list_del(&client.node);
}

static struct kunit_case diff_storage_cases[] = {
	KUNIT_CASE(front_to_back),
	KUNIT_CASE(remainders),
	KUNIT_CASE(never_outside_never_twice),
	KUNIT_CASE(overlaps),
	KUNIT_CASE(overlaps_by_another_name),
	KUNIT_CASE(low_once_and_again_after_append),
	KUNIT_CASE(budget),
	KUNIT_CASE(no_moment_without_hope),
	KUNIT_CASE(a_restore_is_hope),
	KUNIT_CASE(a_read_of_the_storage_is_no_hope),
	KUNIT_CASE(kicks_do_not_put_off_the_stall),
	KUNIT_CASE(corruption_waits_for_the_last_io),
	{}
};

struct kunit_suite diff_storage_suite = {
	.name = "blksnap_diff_storage",
	.init = storage_begin,
	.exit = storage_end,
	.test_cases = diff_storage_cases,
};
