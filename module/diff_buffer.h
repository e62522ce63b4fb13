/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Old data in memory: up to a chunk of pages, one per sub-block.
 *
 * Written once, by the read or the copy that fills it; whoever may see it
 * afterwards holds a reference and only reads.
 */
#ifndef BLKSNAP_DIFF_BUFFER_H
#define BLKSNAP_DIFF_BUFFER_H

#include <linux/mempool.h>
#include <linux/mm_types.h>
#include <linux/refcount.h>
#include <linux/types.h>

struct bio;

/* Pages for a worker that gets none elsewhere; filled again by those given back. */
struct diff_buffer_pool {
	mempool_t pages;
	mempool_t buffers;
};

/* 0 or -ENOMEM. May sleep. */
int diff_buffer_pool_init(struct diff_buffer_pool *pool);
/* No buffer of the pool is left. */
void diff_buffer_pool_exit(struct diff_buffer_pool *pool);

struct diff_buffer {
	refcount_t refs;
	unsigned int count;
	struct diff_buffer_pool *pool;
	bool reserved;
	struct page *pages[];
};

/* @count pages, not zeroed; NULL when @gfp does not give them. */
struct diff_buffer *diff_buffer_alloc(struct diff_buffer_pool *pool,
				      unsigned int count, gfp_t gfp);
/* One page, from the reserve when @gfp does not give it; NULL when that is empty. */
struct diff_buffer *diff_buffer_alloc_reserve(struct diff_buffer_pool *pool,
					      gfp_t gfp);
/* Room for @count pages and none in it yet. */
struct diff_buffer *diff_buffer_alloc_empty(struct diff_buffer_pool *pool,
					    unsigned int count, gfp_t gfp);
/* Adds page @index of @from: both hold it from now on. */
void diff_buffer_share(struct diff_buffer *to, struct diff_buffer *from,
		       unsigned int index);
struct diff_buffer *diff_buffer_get(struct diff_buffer *buffer);
void diff_buffer_put(struct diff_buffer *buffer);

/* Adds pages [first, first + count) to @bio, @bytes in all. */
void diff_buffer_add_to_bio(struct diff_buffer *buffer, unsigned int first,
			    unsigned int bytes, struct bio *bio);
/* Zeroes the buffer from byte @offset to its end. */
void diff_buffer_zero_from(struct diff_buffer *buffer, unsigned int offset);
/* Copies between the buffer from byte @offset and all of @bio's data. */
void diff_buffer_to_bio(struct diff_buffer *buffer, unsigned int offset,
			struct bio *bio);
void diff_buffer_from_bio(struct diff_buffer *buffer, unsigned int offset,
			  unsigned int bytes, struct bio *bio,
			  unsigned int bio_offset);
void diff_buffer_copy(struct diff_buffer *to, const struct diff_buffer *from);

#endif /* BLKSNAP_DIFF_BUFFER_H */
