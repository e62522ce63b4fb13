// SPDX-License-Identifier: GPL-2.0
#include <linux/bio.h>
#include <linux/highmem.h>
#include <linux/slab.h>

#include "diff_buffer.h"

struct diff_buffer *diff_buffer_alloc_empty(unsigned int count, gfp_t gfp)
{
	struct diff_buffer *buffer;

	buffer = kzalloc(struct_size(buffer, pages, count), gfp);
	if (buffer)
		refcount_set(&buffer->refs, 1);
	return buffer;
}

struct diff_buffer *diff_buffer_alloc(unsigned int count, gfp_t gfp)
{
	struct diff_buffer *buffer = diff_buffer_alloc_empty(count, gfp);

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

void diff_buffer_put(struct diff_buffer *buffer)
{
	unsigned int i;

	if (!buffer || !refcount_dec_and_test(&buffer->refs))
		return;
	for (i = 0; i < buffer->count; i++)
		put_page(buffer->pages[i]);
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
