// SPDX-License-Identifier: GPL-2.0
#include "../event_queue.c"
#include "suites.h"

struct queue_fixture {
	struct event_queue queue;
	struct snap_event a;
	struct snap_event b;
	struct snap_event copy;
};

static int queue_begin(struct kunit *test)
{
	struct queue_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	if (!f)
		return -ENOMEM;
	event_queue_init(&f->queue);
	snap_event_init(&f->a);
	snap_event_init(&f->b);
	f->a.code = blk_snap_event_code_low_free_space;
	f->b.code = blk_snap_event_code_corrupted;
	test->priv = f;
	return 0;
}

static struct snap_event *fetch(struct queue_fixture *f)
{
	return event_queue_fetch(&f->queue, 0, &f->copy);
}

static void oldest_first(struct kunit *test)
{
	struct queue_fixture *f = test->priv;

	event_queue_post(&f->queue, &f->b);
	event_queue_post(&f->queue, &f->a);
	KUNIT_EXPECT_PTR_EQ(test, fetch(f), &f->b);
	KUNIT_EXPECT_EQ(test, f->copy.code, blk_snap_event_code_corrupted);
	KUNIT_EXPECT_GT(test, f->copy.time_ns, 0);
	KUNIT_EXPECT_PTR_EQ(test, fetch(f), &f->a);
	KUNIT_EXPECT_EQ(test, PTR_ERR(fetch(f)), -ENOENT);
}

static void never_twice_unfetched(struct kunit *test)
{
	struct queue_fixture *f = test->priv;

	event_queue_post(&f->queue, &f->a);
	event_queue_post(&f->queue, &f->a);
	KUNIT_EXPECT_PTR_EQ(test, fetch(f), &f->a);
	KUNIT_EXPECT_EQ(test, PTR_ERR(fetch(f)), -ENOENT);
	/* Once it has been fetched it may happen again. */
	event_queue_post(&f->queue, &f->a);
	KUNIT_EXPECT_PTR_EQ(test, fetch(f), &f->a);
}

static void undelivered_stays_the_oldest(struct kunit *test)
{
	struct queue_fixture *f = test->priv;

	event_queue_post(&f->queue, &f->a);
	event_queue_post(&f->queue, &f->b);
	KUNIT_ASSERT_PTR_EQ(test, fetch(f), &f->a);
	event_queue_unfetch(&f->queue, &f->a);
	KUNIT_EXPECT_PTR_EQ(test, fetch(f), &f->a);
	KUNIT_EXPECT_PTR_EQ(test, fetch(f), &f->b);
}

static void posted_again_before_it_came_back(struct kunit *test)
{
	struct queue_fixture *f = test->priv;

	event_queue_post(&f->queue, &f->a);
	KUNIT_ASSERT_PTR_EQ(test, fetch(f), &f->a);
	event_queue_post(&f->queue, &f->a);
	event_queue_unfetch(&f->queue, &f->a);
	KUNIT_EXPECT_PTR_EQ(test, fetch(f), &f->a);
	KUNIT_EXPECT_EQ(test, PTR_ERR(fetch(f)), -ENOENT);
}

static void closed_for_ever(struct kunit *test)
{
	struct queue_fixture *f = test->priv;

	event_queue_post(&f->queue, &f->a);
	KUNIT_ASSERT_PTR_EQ(test, fetch(f), &f->a);
	event_queue_close(&f->queue);
	KUNIT_EXPECT_EQ(test, PTR_ERR(fetch(f)), -ESRCH);
	/* The event may be gone with its snapshot: it is not put back. */
	event_queue_unfetch(&f->queue, &f->a);
	KUNIT_EXPECT_TRUE(test, list_empty(&f->queue.events));
}

static struct kunit_case event_queue_cases[] = {
	KUNIT_CASE(oldest_first),
	KUNIT_CASE(never_twice_unfetched),
	KUNIT_CASE(undelivered_stays_the_oldest),
	KUNIT_CASE(posted_again_before_it_came_back),
	KUNIT_CASE(closed_for_ever),
	{}
};

struct kunit_suite event_queue_suite = {
	.name = "blksnap_event_queue",
	.init = queue_begin,
	.test_cases = event_queue_cases,
};
