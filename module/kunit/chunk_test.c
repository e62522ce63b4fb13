// SPDX-License-Identifier: GPL-2.0
/* Claims: a sub-block is claimed once, becomes safe once, and not the other way. */
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/random.h>

#include "../chunk.c"
#include "suites.h"

#define CLAIMERS 4
#define ROUNDS 300

struct chunk_fixture {
	struct copy_pool pool;
	struct chunk *chunk;
};

static int chunk_suite_begin(struct kunit_suite *suite)
{
	return chunk_caches_create();
}

static void chunk_suite_end(struct kunit_suite *suite)
{
	chunk_caches_destroy();
}

static int chunk_begin(struct kunit *test)
{
	struct chunk_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	if (!f || copy_pool_init(&f->pool))
		return -ENOMEM;
	f->chunk = chunk_alloc(GFP_KERNEL);
	test->priv = f;
	return f->chunk ? 0 : -ENOMEM;
}

static void chunk_end_case(struct kunit *test)
{
	struct chunk_fixture *f = test->priv;

	chunk_free(f->chunk);
	copy_pool_exit(&f->pool);
}

static struct copy *new_copy(struct kunit *test, unsigned int first,
			     unsigned int count)
{
	struct chunk_fixture *f = test->priv;
	struct copy *copy = copy_alloc(&f->pool, f->chunk, first, count,
				       GFP_KERNEL, false);

	KUNIT_ASSERT_NOT_NULL(test, copy);
	return copy;
}

static struct run *run_at(struct chunk *chunk, unsigned int sub)
{
	struct run *run;

	spin_lock(&chunk->lock);
	run = chunk_run_at(chunk, sub);
	spin_unlock(&chunk->lock);
	return run;
}

static void a_claim_excludes_others(struct kunit *test)
{
	struct chunk_fixture *f = test->priv;
	struct copy *ours = new_copy(test, 4, 8);
	struct copy *inside = new_copy(test, 6, 1);
	struct copy *across = new_copy(test, 11, 4);
	struct copy *beside = new_copy(test, 12, 52);

	KUNIT_EXPECT_TRUE(test, chunk_claim(f->chunk, ours));
	KUNIT_EXPECT_FALSE(test, chunk_claim(f->chunk, inside));
	KUNIT_EXPECT_FALSE(test, chunk_claim(f->chunk, across));
	/* A claim that fails leaves nothing behind. */
	KUNIT_EXPECT_EQ(test, f->chunk->claimed, 0xff0ULL);
	KUNIT_EXPECT_TRUE(test, chunk_claim(f->chunk, beside));
	KUNIT_EXPECT_EQ(test, f->chunk->claimed, ~0xfULL);
	KUNIT_EXPECT_EQ(test, f->chunk->safe, 0ULL);
	copy_free(&f->pool, inside);
	copy_free(&f->pool, across);
	chunk_end_copy(f->chunk, ours, true);
	copy_free(&f->pool, ours);
	chunk_end_copy(f->chunk, beside, true);
	copy_free(&f->pool, beside);
}

static void saved_is_safe_and_found(struct kunit *test)
{
	struct chunk_fixture *f = test->priv;
	struct copy *copy = new_copy(test, 60, 4);
	struct run *run = copy->run;

	KUNIT_ASSERT_TRUE(test, chunk_claim(f->chunk, copy));
	KUNIT_EXPECT_FALSE(test, chunk_is_safe(f->chunk, 1ULL << 60));
	KUNIT_EXPECT_NULL(test, run_at(f->chunk, 60));
	chunk_end_copy(f->chunk, copy, true);
	copy_free(&f->pool, copy);
	KUNIT_EXPECT_TRUE(test, chunk_is_safe(f->chunk, 0xfULL << 60));
	KUNIT_EXPECT_FALSE(test, chunk_is_safe(f->chunk, 0x1fULL << 59));
	KUNIT_EXPECT_PTR_EQ(test, run_at(f->chunk, 63), run);
	KUNIT_EXPECT_NULL(test, run_at(f->chunk, 59));
	KUNIT_EXPECT_TRUE(test, run->dirty);
	KUNIT_EXPECT_EQ(test, f->chunk->lost, 0ULL);
}

static void lost_is_safe_and_not_found(struct kunit *test)
{
	struct chunk_fixture *f = test->priv;
	struct copy *copy = new_copy(test, 0, 2);

	KUNIT_ASSERT_TRUE(test, chunk_claim(f->chunk, copy));
	chunk_end_copy(f->chunk, copy, false);
	copy_free(&f->pool, copy);
	KUNIT_EXPECT_TRUE(test, chunk_is_safe(f->chunk, 3));
	KUNIT_EXPECT_EQ(test, f->chunk->lost, 3ULL);
	KUNIT_EXPECT_NULL(test, run_at(f->chunk, 0));
}

static void the_copy_that_is_waited_for(struct kunit *test)
{
	struct chunk_fixture *f = test->priv;
	struct copy *low = new_copy(test, 0, 8);
	struct copy *high = new_copy(test, 56, 8);

	KUNIT_ASSERT_TRUE(test, chunk_claim(f->chunk, low));
	KUNIT_ASSERT_TRUE(test, chunk_claim(f->chunk, high));
	spin_lock(&f->chunk->lock);
	KUNIT_EXPECT_PTR_EQ(test, chunk_copy_of(f->chunk, 0x80), low);
	KUNIT_EXPECT_PTR_EQ(test, chunk_copy_of(f->chunk, 1ULL << 63), high);
	KUNIT_EXPECT_NULL(test, chunk_copy_of(f->chunk, 0xff00));
	spin_unlock(&f->chunk->lock);
	chunk_end_copy(f->chunk, low, true);
	spin_lock(&f->chunk->lock);
	KUNIT_EXPECT_NULL(test, chunk_copy_of(f->chunk, 0xff));
	spin_unlock(&f->chunk->lock);
	chunk_end_copy(f->chunk, high, true);
	copy_free(&f->pool, low);
	copy_free(&f->pool, high);
}

/* Where a region ends in the middle: two runs, the data of both as before. */
static void a_run_is_split(struct kunit *test)
{
	struct chunk_fixture *f = test->priv;
	struct copy *copy = new_copy(test, 8, 6);
	struct run *run = copy->run, *rest;
	struct page *page = run->buffer->pages[4];

	KUNIT_ASSERT_TRUE(test, chunk_claim(f->chunk, copy));
	run->holes_seen = 7;
	chunk_end_copy(f->chunk, copy, true);
	copy_free(&f->pool, copy);
	rest = run_split(&f->pool.buffers, run, 4, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, rest);
	KUNIT_EXPECT_EQ(test, rest->holes_seen, 7);
	KUNIT_EXPECT_TRUE(test, rest->dirty);
	KUNIT_EXPECT_EQ(test, run->count, 4);
	KUNIT_EXPECT_EQ(test, rest->first, 12);
	KUNIT_EXPECT_EQ(test, rest->count, 2);
	KUNIT_EXPECT_PTR_EQ(test, rest->buffer->pages[0], page);
	KUNIT_EXPECT_PTR_EQ(test, run_at(f->chunk, 11), run);
	KUNIT_EXPECT_PTR_EQ(test, run_at(f->chunk, 12), rest);
	KUNIT_EXPECT_NULL(test, run_at(f->chunk, 14));
}

static void reserve_is_filled_again(struct kunit *test)
{
	struct chunk_fixture *f = test->priv;
	struct diff_buffer_pool *pool = &f->pool.buffers;
	struct diff_buffer *buffer;

	/* What is given back fills the reserve, and no more than that. */
	buffer = diff_buffer_alloc_reserve(pool, GFP_NOWAIT | __GFP_NOWARN);
	KUNIT_ASSERT_NOT_NULL(test, buffer);
	KUNIT_EXPECT_EQ(test, buffer->count, 1);
	diff_buffer_put(buffer);
	KUNIT_EXPECT_EQ(test, pool->pages.curr_nr, pool->pages.min_nr);
	KUNIT_EXPECT_EQ(test, pool->buffers.curr_nr, pool->buffers.min_nr);
}

struct claimer {
	struct kunit *test;
	struct completion done;
	u64 won;
	bool twice;
};

/* Claims at random until all is claimed; counts what it got. */
static int claimer_thread(void *data)
{
	struct claimer *claimer = data;
	struct chunk_fixture *f = claimer->test->priv;
	struct span all = { .count = 64 }, span;

	while (span_first_clear(&all, READ_ONCE(f->chunk->claimed), &span)) {
		struct copy *copy;

		span.count = 1 + prandom_u32_max(span.count);
		copy = copy_alloc(&f->pool, f->chunk, span.first, span.count,
				  GFP_KERNEL, false);
		if (!copy)
			break;
		if (chunk_claim(f->chunk, copy)) {
			claimer->twice |= claimer->won & span_mask(&span);
			claimer->won |= span_mask(&span);
			chunk_end_copy(f->chunk, copy, false);
		}
		copy_free(&f->pool, copy);
	}
	complete(&claimer->done);
	return 0;
}

static void race_for_one_chunk(struct kunit *test)
{
	struct claimer claimers[CLAIMERS] = {};
	u64 all = 0;
	int i;

	for (i = 0; i < CLAIMERS; i++) {
		claimers[i].test = test;
		init_completion(&claimers[i].done);
		if (IS_ERR(kthread_run(claimer_thread, &claimers[i],
				       "claimer")))
			complete(&claimers[i].done);
	}
	for (i = 0; i < CLAIMERS; i++) {
		wait_for_completion(&claimers[i].done);
		KUNIT_ASSERT_FALSE(test, claimers[i].twice);
		KUNIT_ASSERT_EQ(test, all & claimers[i].won, 0ULL);
		all |= claimers[i].won;
	}
	KUNIT_ASSERT_EQ(test, all, ~0ULL);
}

static void one_winner_for_each(struct kunit *test)
{
	struct chunk_fixture *f = test->priv;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		race_for_one_chunk(test);
		KUNIT_ASSERT_EQ(test, f->chunk->safe, ~0ULL);
		chunk_free(f->chunk);
		f->chunk = chunk_alloc(GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, f->chunk);
	}
}

static struct kunit_case chunk_cases[] = {
	KUNIT_CASE(a_claim_excludes_others),
	KUNIT_CASE(saved_is_safe_and_found),
	KUNIT_CASE(lost_is_safe_and_not_found),
	KUNIT_CASE(the_copy_that_is_waited_for),
	KUNIT_CASE(a_run_is_split),
	KUNIT_CASE(reserve_is_filled_again),
	KUNIT_CASE(one_winner_for_each),
	{}
};

struct kunit_suite chunk_suite = {
	.name = "blksnap_chunk",
	.suite_init = chunk_suite_begin,
	.suite_exit = chunk_suite_end,
	.init = chunk_begin,
	.exit = chunk_end_case,
	.test_cases = chunk_cases,
};
