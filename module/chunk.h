/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A chunk: what is known of up to 64 neighbouring sub-blocks of a captured
 * device.  Exists once one of them has been touched, until the snapshot ends.
 *
 *	untouched -> claimed -> safe (saved in a run)
 *	                     -> safe (lost)
 *
 * A sub-block is claimed exactly once, under the lock, by whoever will read its
 * old data.  It becomes safe when that data is in memory, or given up; only
 * then may the origin be overwritten.  A set bit is never cleared.
 */
#ifndef BLKSNAP_CHUNK_H
#define BLKSNAP_CHUNK_H

#include <linux/blk_types.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "diff_buffer.h"
#include "diff_storage.h"

/**
 * struct chunk - See above.
 * @lock: protects all; taken in process context only.
 * @claimed: sub-blocks whose old data somebody reads or has read.
 * @safe: sub-blocks the origin may overwrite; also read without the lock.
 * @lost: safe sub-blocks whose old data is not to be had.
 * @copies: of struct copy, for sub-blocks claimed and not yet safe.
 * @runs: of struct run, for saved sub-blocks; no two overlap.
 */
struct chunk {
	spinlock_t lock;
	u64 claimed;
	u64 safe;
	u64 lost;
	struct hlist_head copies;
	struct hlist_head runs;
};

/**
 * struct run - Saved neighbouring sub-blocks of one chunk.
 * @node: in chunk.runs.
 * @dirty_node: in the area's list of runs to store, while @dirty.
 * @chunk: the chunk.
 * @buffer: the data while it is not stored, or NULL.  Replaced as a whole by
 *	writes to the image.
 * @region: where it is or will be stored; NULL while no space was given.
 * @sector: on the region's device.
 * @changes: how often a write to the image has replaced @buffer; who fetches it
 *	from the storage knows by this that what came is old.
 * @holes_seen: holes of the area up to this number were there before the old data
 *	was saved: what it holds of them may be newer.
 * @first: first sub-block in the chunk.
 * @count: of sub-blocks.
 * @dirty: on the list: the buffer is newer than the storage.
 * @storing: a store is in flight.
 */
struct run {
	struct hlist_node node;
	struct list_head dirty_node;
	struct chunk *chunk;
	struct diff_buffer *buffer;
	struct diff_region *region;
	sector_t sector;
	u32 changes;
	u32 holes_seen;
	u8 first;
	u8 count;
	bool dirty;
	bool storing;
};

/**
 * struct copy - A read of old data in flight.
 * @node: in chunk.copies.
 * @done_node: in the area's list of ended reads.
 * @area: the area, a struct diff_area.
 * @number: of the chunk.
 * @first: sector of the device.
 * @count: in sectors.
 * @run: becomes visible when the read has succeeded.
 * @waiters: writes to the origin that wait for it.
 * @image_waiters: bios to the image that wait for it.
 * @status: of the read.
 */
struct copy {
	struct hlist_node node;
	struct llist_node done_node;
	void *area;
	unsigned long number;
	sector_t first;
	sector_t count;
	struct run *run;
	struct bio_list waiters;
	struct bio_list image_waiters;
	blk_status_t status;
};

int chunk_caches_create(void);
void chunk_caches_destroy(void);

struct chunk *chunk_alloc(gfp_t gfp);
/* Frees the chunk and its runs. No copy in flight. */
void chunk_free(struct chunk *chunk);

struct run *run_alloc(struct chunk *chunk, unsigned int first,
		      unsigned int count, gfp_t gfp);
void run_free(struct run *run);
/*
 * Makes a second run, dirty and in the chunk, of what follows the first @count
 * sub-blocks of a run that has a buffer, no place yet and no store in flight.  The
 * buffer, of @pool like the new one, may be replaced meanwhile.
 */
struct run *run_split(struct diff_buffer_pool *pool, struct run *run,
		      unsigned int count, gfp_t gfp);

/**
 * struct copy_pool - What the worker copies with when there is no memory.
 * @copies: a few.
 * @buffers: of one page each.
 */
struct copy_pool {
	mempool_t copies;
	struct diff_buffer_pool buffers;
};

/* 0 or -ENOMEM. May sleep. */
int copy_pool_init(struct copy_pool *pool);
void copy_pool_exit(struct copy_pool *pool);

/* Frees the copy, its run and its buffer. */
void copy_free(struct copy_pool *pool, struct copy *copy);
/*
 * A copy of [first, first + count), with its run and buffer; NULL without memory.
 * With @reserve, for one sub-block, the pool is used: only the run, which stays
 * until the snapshot ends, is then still allocated.
 */
struct copy *copy_alloc(struct copy_pool *pool, struct chunk *chunk,
			unsigned int first, unsigned int count, gfp_t gfp,
			bool reserve);

/*
 * The claim: the copy is in the chunk from now on, and its read is to be made.
 * Return: false when somebody was faster with a part of it.
 */
bool chunk_claim(struct chunk *chunk, struct copy *copy);
/*
 * Its read has ended: @saved puts the run where readers find it and takes it from
 * the copy, or else its sub-blocks are lost; either way they are safe.  Nobody
 * can wait on the copy afterwards: its lists are the caller's.
 */
void chunk_end_copy(struct chunk *chunk, struct copy *copy, bool saved);

/* Under the lock: the run or copy that holds sub-block @sub, or NULL. */
struct run *chunk_run_at(struct chunk *chunk, unsigned int sub);
struct copy *chunk_copy_of(struct chunk *chunk, u64 mask);

static inline u64 run_mask(const struct run *run)
{
	return GENMASK_ULL(run->first + run->count - 1, run->first);
}

/* May the origin overwrite these sub-blocks? Pairs with chunk_make_safe(). */
static inline bool chunk_is_safe(const struct chunk *chunk, u64 mask)
{
	/* What made it safe happened before: see chunk_make_safe(). */
	return (smp_load_acquire(&chunk->safe) & mask) == mask;
}

static inline void chunk_make_safe(struct chunk *chunk, u64 mask)
{
	lockdep_assert_held(&chunk->lock);
	/* After the run is in place: pairs with chunk_is_safe(). */
	smp_store_release(&chunk->safe, chunk->safe | mask);
}

#endif /* BLKSNAP_CHUNK_H */
