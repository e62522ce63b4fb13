// SPDX-License-Identifier: GPL-2.0
#include <linux/bio.h>
#include <linux/slab.h>

#include "chunk.h"
#include "geometry.h"

#define RESERVED_COPIES 4

static struct kmem_cache *chunk_cache;
static struct kmem_cache *run_cache;
static struct kmem_cache *copy_cache;

int chunk_caches_create(void)
{
	chunk_cache = kmem_cache_create("blksnap_chunk", sizeof(struct chunk),
					0, 0, NULL);
	run_cache = kmem_cache_create("blksnap_run", sizeof(struct run),
				      0, 0, NULL);
	copy_cache = kmem_cache_create("blksnap_copy", sizeof(struct copy),
				       0, 0, NULL);
	if (chunk_cache && run_cache && copy_cache)
		return 0;
	chunk_caches_destroy();
	return -ENOMEM;
}

void chunk_caches_destroy(void)
{
	kmem_cache_destroy(chunk_cache);
	kmem_cache_destroy(run_cache);
	kmem_cache_destroy(copy_cache);
}

struct chunk *chunk_alloc(gfp_t gfp)
{
	struct chunk *chunk = kmem_cache_zalloc(chunk_cache, gfp);

	if (chunk)
		spin_lock_init(&chunk->lock);
	return chunk;
}

void chunk_free(struct chunk *chunk)
{
	struct hlist_node *next;
	struct run *run;

	WARN_ON_ONCE(!hlist_empty(&chunk->copies));
	hlist_for_each_entry_safe(run, next, &chunk->runs, node)
		run_free(run);
	kmem_cache_free(chunk_cache, chunk);
}

struct run *run_alloc(struct chunk *chunk, unsigned int first,
		      unsigned int count, gfp_t gfp)
{
	struct run *run = kmem_cache_zalloc(run_cache, gfp);

	if (!run)
		return NULL;
	INIT_LIST_HEAD(&run->dirty_node);
	run->chunk = chunk;
	run->first = first;
	run->count = count;
	return run;
}

void run_free(struct run *run)
{
	diff_buffer_put(run->buffer);
	kmem_cache_free(run_cache, run);
}

struct run *run_split(struct diff_buffer_pool *pool, struct run *run,
		      unsigned int count, gfp_t gfp)
{
	struct chunk *chunk = run->chunk;
	unsigned int rest_count = run->count - count, i;
	struct run *rest;

	rest = run_alloc(chunk, run->first + count, rest_count, gfp);
	if (!rest)
		return NULL;
	rest->buffer = diff_buffer_alloc_empty(pool, rest_count, gfp);
	if (!rest->buffer) {
		run_free(rest);
		return NULL;
	}
	spin_lock(&chunk->lock);
	for (i = 0; i < rest_count; i++)
		diff_buffer_share(rest->buffer, run->buffer, count + i);
	run->count = count;
	rest->holes_seen = run->holes_seen;
	rest->dirty = true;
	hlist_add_head(&rest->node, &chunk->runs);
	spin_unlock(&chunk->lock);
	return rest;
}

int copy_pool_init(struct copy_pool *pool)
{
	int ret;

	ret = mempool_init_slab_pool(&pool->copies, RESERVED_COPIES,
				     copy_cache);
	return ret ?: diff_buffer_pool_init(&pool->buffers);
}

void copy_pool_exit(struct copy_pool *pool)
{
	mempool_exit(&pool->copies);
	diff_buffer_pool_exit(&pool->buffers);
}

void copy_free(struct copy_pool *pool, struct copy *copy)
{
	if (copy->run)
		run_free(copy->run);
	mempool_free(copy, &pool->copies);
}

struct copy *copy_alloc(struct copy_pool *pool, struct chunk *chunk,
			unsigned int first, unsigned int count, gfp_t gfp,
			bool reserve)
{
	struct copy *copy = kmem_cache_alloc(copy_cache, gfp);

	if (!copy && reserve)
		copy = mempool_alloc(&pool->copies, GFP_NOWAIT | __GFP_NOWARN);
	if (!copy)
		return NULL;
	memset(copy, 0, sizeof(*copy));
	bio_list_init(&copy->waiters);
	bio_list_init(&copy->image_waiters);
	copy->run = run_alloc(chunk, first, count, gfp);
	if (copy->run)
		copy->run->buffer = reserve ?
			diff_buffer_alloc_reserve(&pool->buffers, gfp) :
			diff_buffer_alloc(&pool->buffers, count, gfp);
	if (!copy->run || !copy->run->buffer) {
		copy_free(pool, copy);
		return NULL;
	}
	return copy;
}

bool chunk_claim(struct chunk *chunk, struct copy *copy)
{
	u64 mask = run_mask(copy->run);
	bool ours;

	spin_lock(&chunk->lock);
	ours = !(chunk->claimed & mask);
	if (ours) {
		WRITE_ONCE(chunk->claimed, chunk->claimed | mask);
		hlist_add_head(&copy->node, &chunk->copies);
	}
	spin_unlock(&chunk->lock);
	return ours;
}

void chunk_end_copy(struct chunk *chunk, struct copy *copy, bool saved)
{
	struct run *run = copy->run;
	u64 mask = run_mask(run);

	spin_lock(&chunk->lock);
	hlist_del(&copy->node);
	if (saved) {
		run->dirty = true;
		hlist_add_head(&run->node, &chunk->runs);
		copy->run = NULL;
	} else {
		chunk->lost |= mask;
	}
	chunk_make_safe(chunk, mask);
	spin_unlock(&chunk->lock);
}

struct run *chunk_run_at(struct chunk *chunk, unsigned int sub)
{
	struct run *run;

	lockdep_assert_held(&chunk->lock);
	hlist_for_each_entry(run, &chunk->runs, node)
		if (sub - run->first < run->count)
			return run;
	return NULL;
}

struct copy *chunk_copy_of(struct chunk *chunk, u64 mask)
{
	struct copy *copy;

	lockdep_assert_held(&chunk->lock);
	hlist_for_each_entry(copy, &chunk->copies, node)
		if (run_mask(copy->run) & mask)
			return copy;
	return NULL;
}
