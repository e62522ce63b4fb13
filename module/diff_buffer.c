// SPDX-License-Identifier: GPL-2.0
#include <linux/bio.h>
#include <linux/highmem.h>
#include <linux/slab.h>

#include "diff_buffer.h"

#define RESERVED_PAGES 64

int diff_buffer_pool_init(struct diff_buffer_pool *pool)
{
	int ret;

	ret = mempool_init_kmalloc_pool(&pool->buffers, RESERVED_PAGES,
					struct_size((struct diff_buffer *)NULL,
						    pages, 1));
	return ret ?: mempool_init_page_pool(&pool->pages, RESERVED_PAGES, 0);
}

void diff_buffer_pool_exit(struct diff_buffer_pool *pool)
{
	mempool_exit(&pool->buffers);
	mempool_exit(&pool->pages);
}

static void init_empty(struct diff_buffer *buffer,
		       struct diff_buffer_pool *pool, bool reserved)
{
	refcount_set(&buffer->refs, 1);
	buffer->count = 0;
	buffer->pool = pool;
	buffer->reserved = reserved;
}

struct diff_buffer *diff_buffer_alloc_empty(struct diff_buffer_pool *pool,
					    unsigned int count, gfp_t gfp)
{
	struct diff_buffer *buffer;

	buffer = kmalloc(struct_size(buffer, pages, count), gfp);
	if (buffer)
		init_empty(buffer, pool, false);
	return buffer;
}

/* From the pools without waiting: what fills them may be behind the caller. */
struct diff_buffer *diff_buffer_alloc_reserve(struct diff_buffer_pool *pool,
					      gfp_t gfp)
{
	struct diff_buffer *buffer = diff_buffer_alloc(pool, 1, gfp);

	if (buffer)
		return buffer;
	buffer = mempool_alloc(&pool->buffers, GFP_NOWAIT | __GFP_NOWARN);
	if (!buffer)
		return NULL;
	init_empty(buffer, pool, true);
	buffer->pages[0] = mempool_alloc(&pool->pages,
					 GFP_NOWAIT | __GFP_NOWARN);
	if (buffer->pages[0]) {
		buffer->count = 1;
		return buffer;
	}
	diff_buffer_put(buffer);
	return NULL;
}

struct diff_buffer *diff_buffer_alloc(struct diff_buffer_pool *pool,
				      unsigned int count, gfp_t gfp)
{
	struct diff_buffer *buffer = diff_buffer_alloc_empty(pool, count, gfp);

	if (!buffer)
		return NULL;
	for (; buffer->count < count; buffer->count++) {
		struct page *page = alloc_page(gfp);

		if (!page) {
			diff_buffer_put(buffer);
			return NULL;
		}
		buffer->pages[buffer->count] = page;
	}
	return buffer;
}

void diff_buffer_share(struct diff_buffer *to, struct diff_buffer *from,
		       unsigned int index)
{
	get_page(from->pages[index]);
	to->pages[to->count++] = from->pages[index];
}

struct diff_buffer *diff_buffer_get(struct diff_buffer *buffer)
{
	refcount_inc(&buffer->refs);
	return buffer;
}

/* A page that nobody shares refills the reserve. */
static void put_buffer_page(struct diff_buffer *buffer, struct page *page)
{
	if (page_count(page) == 1)
		mempool_free(page, &buffer->pool->pages);
	else
		put_page(page);
}

void diff_buffer_put(struct diff_buffer *buffer)
{
	unsigned int i;

	if (!buffer || !refcount_dec_and_test(&buffer->refs))
		return;
	for (i = 0; i < buffer->count; i++)
		put_buffer_page(buffer, buffer->pages[i]);
	if (buffer->reserved)
		mempool_free(buffer, &buffer->pool->buffers);
	else
		kfree(buffer);
}

void diff_buffer_add_to_bio(struct diff_buffer *buffer, unsigned int first,
			    unsigned int bytes, struct bio *bio)
{
	while (bytes) {
		unsigned int length = min_t(unsigned int, bytes, PAGE_SIZE);

		__bio_add_page(bio, buffer->pages[first++], length, 0);
		bytes -= length;
	}
}

void diff_buffer_to_bio(struct diff_buffer *buffer, unsigned int offset,
			struct bio *bio)
{
	struct bvec_iter iter;
	struct bio_vec bvec;

	bio_for_each_segment(bvec, bio, iter) {
		unsigned int done = 0;

		while (done < bvec.bv_len) {
			unsigned int in_page = offset_in_page(offset);
			unsigned int length = min_t(unsigned int,
						    bvec.bv_len - done,
						    PAGE_SIZE - in_page);

			memcpy_page(bvec.bv_page, bvec.bv_offset + done,
				    buffer->pages[offset >> PAGE_SHIFT],
				    in_page, length);
			done += length;
			offset += length;
		}
	}
}

void diff_buffer_from_bio(struct diff_buffer *buffer, unsigned int offset,
			  unsigned int bytes, struct bio *bio,
			  unsigned int bio_offset)
{
	struct bvec_iter iter;
	struct bio_vec bvec;

	bio_for_each_segment(bvec, bio, iter) {
		unsigned int done = min(bio_offset, bvec.bv_len);

		bio_offset -= done;
		while (bytes && done < bvec.bv_len) {
			unsigned int in_page = offset_in_page(offset);
			unsigned int length = min3(bvec.bv_len - done, bytes,
				(unsigned int)PAGE_SIZE - in_page);

			memcpy_page(buffer->pages[offset >> PAGE_SHIFT],
				    in_page, bvec.bv_page,
				    bvec.bv_offset + done, length);
			done += length;
			offset += length;
			bytes -= length;
		}
	}
}

void diff_buffer_copy(struct diff_buffer *to, const struct diff_buffer *from)
{
	unsigned int i;

	for (i = 0; i < to->count; i++)
		copy_highpage(to->pages[i], from->pages[i]);
}

void diff_buffer_zero_from(struct diff_buffer *buffer, unsigned int offset)
{
	while (offset < buffer->count << PAGE_SHIFT) {
		unsigned int in_page = offset_in_page(offset);

		memzero_page(buffer->pages[offset >> PAGE_SHIFT], in_page,
			     PAGE_SIZE - in_page);
		offset += PAGE_SIZE - in_page;
	}
}
