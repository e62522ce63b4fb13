// SPDX-License-Identifier: GPL-2.0
/*
 * Bios to an image, cut where the state of the sub-blocks changes.
 *
 * Untouched: read from the origin, and checked again when the read has ended: a
 * claim always precedes the overwrite, so a range that is still unclaimed then
 * was old data.  Claimed: wait for the copy.  Saved: from memory or storage.
 */
#include <linux/blk-filter.h>
#include <linux/slab.h>

#include "diff_area.h"
#include "geometry.h"
#include "trace.h"

/* A read below the image. */
struct image_io {
	struct diff_area *area;
	struct bio *bio;	/* the image's */
	struct bio clone;	/* last: bio vectors may follow */
};

unsigned int diff_area_clone_pad(void)
{
	return offsetof(struct image_io, clone);
}

enum piece_kind {
	PIECE_ORIGIN,
	PIECE_WAIT,
	PIECE_MEMORY,
	PIECE_STORAGE,
	PIECE_ZERO,
	PIECE_LOST,
};

/**
 * struct piece - The beginning of an image bio that can be served in one way.
 * @kind: which.
 * @count: sectors.
 * @buffer: for PIECE_MEMORY, with a reference.
 * @offset: in @buffer, bytes.
 * @bdev: for PIECE_STORAGE.
 * @sector: on @bdev.
 * @holes_seen: of the run it is saved in: of these holes it may hold new data.
 */
struct piece {
	enum piece_kind kind;
	sector_t count;
	struct diff_buffer *buffer;
	unsigned int offset;
	struct block_device *bdev;
	sector_t sector;
	u32 holes_seen;
};

/* Sectors from @sector that nobody has claimed, up to @count. */
static sector_t untouched(struct diff_area *area, sector_t sector,
			  sector_t count)
{
	sector_t first = sector;
	sector_t end = min(sector + count, diff_area_trusted(area));

	if (diff_area_is_over(area) || sector >= end)
		return 0;
	while (sector < end) {
		struct span span = span_at(sector, end, area->subs_shift);
		struct chunk *chunk = xa_load(&area->chunks, span.chunk);
		u64 claimed = 0;

		if (diff_area_is_lost(area, span.chunk))
			return sector - first;
		if (chunk)
			claimed = READ_ONCE(chunk->claimed) & span_mask(&span);
		if (claimed) {
			span.first = __ffs64(claimed);
			sector = max(sector,
				     span_sector(&span, area->subs_shift));
			return sector - first;
		}
		sector = min(end, chunk_end(sector, area->subs_shift));
	}
	return end - first;
}

/* What a saved run holds from @sector on. */
static void piece_of_run(struct diff_area *area, const struct span *span,
			 const struct run *run, sector_t sector,
			 struct piece *piece)
{
	struct span start = { .chunk = span->chunk, .first = run->first };
	sector_t skip = sector - span_sector(&start, area->subs_shift);

	piece->count = (run->count << SUB_SECTOR_SHIFT) - skip;
	piece->holes_seen = run->holes_seen;
	if (run->buffer) {
		piece->kind = PIECE_MEMORY;
		piece->buffer = diff_buffer_get(run->buffer);
		piece->offset = skip << SECTOR_SHIFT;
	} else {
		piece->kind = PIECE_STORAGE;
		piece->bdev = run->region->bdev;
		piece->sector = run->sector + skip;
	}
}

static void piece_of_claimed(struct diff_area *area, struct chunk *chunk,
			     const struct span *span, sector_t sector,
			     struct piece *piece)
{
	u64 bit = BIT_ULL(span->first);
	struct run *run;
	u64 mask;

	spin_lock(&chunk->lock);
	run = chunk_run_at(chunk, span->first);
	if (run) {
		piece_of_run(area, span, run, sector, piece);
	} else {
		piece->kind = chunk->lost & bit ? PIECE_LOST : PIECE_WAIT;
		mask = chunk->lost & bit ? chunk->lost :
					   chunk->claimed & ~chunk->safe;
		piece->count = ((sector_t)span_same_bits(span, mask)
				<< SUB_SECTOR_SHIFT) -
			       (sector & (SUB_SECTORS - 1));
	}
	spin_unlock(&chunk->lock);
}

/*
 * Sectors the image does not show: @piece becomes a hole or ends before one.
 * What was saved before the storage came to lie there is shown.
 */
static void cut_at_hole(struct diff_area *area, sector_t sector,
			struct piece *piece)
{
	sector_t last = sector + piece->count - 1;
	bool hidden = false, zero = false;
	struct diff_hole *hole;
	unsigned long flags;

	if (!READ_ONCE(area->hole_count))
		return;
	spin_lock_irqsave(&area->lock, flags);
	for (hole = diff_area_first_hole(area, sector, last); hole;
	     hole = diff_area_next_hole(hole, sector, last)) {
		if (hole->first > sector) {
			piece->count = min(piece->count, hole->first - sector);
			break;
		}
		piece->count = min(piece->count, hole->last + 1 - sector);
		zero |= hole->zero;
		hidden |= hole->zero || piece->kind == PIECE_ORIGIN ||
			  hole->number <= piece->holes_seen;
	}
	spin_unlock_irqrestore(&area->lock, flags);
	if (!hidden)
		return;
	if (piece->kind == PIECE_MEMORY)
		diff_buffer_put(piece->buffer);
	piece->kind = zero ? PIECE_ZERO : PIECE_LOST;
}

static struct piece piece_at(struct diff_area *area, sector_t sector,
			     sector_t count)
{
	struct span span = span_at(sector, sector + count, area->subs_shift);
	struct piece piece = { .kind = PIECE_ORIGIN };
	struct chunk *chunk;

	piece.count = untouched(area, sector, count);
	if (!piece.count) {
		chunk = xa_load(&area->chunks, span.chunk);
		if (chunk && !diff_area_is_lost(area, span.chunk) &&
		    READ_ONCE(chunk->claimed) & BIT_ULL(span.first)) {
			piece_of_claimed(area, chunk, &span, sector, &piece);
		} else {
			/* Lost, or the snapshot is over: all of the span. */
			piece.kind = PIECE_LOST;
			piece.count = diff_area_is_lost(area, span.chunk) ?
				chunk_end(sector, area->subs_shift) - sector :
				SUB_SECTORS - (sector & (SUB_SECTORS - 1));
		}
	}
	piece.count = min(piece.count, count);
	cut_at_hole(area, sector, &piece);
	return piece;
}

void diff_area_end_bio(struct bio *bio, blk_status_t status)
{
	/* A part that was split off may have failed the bio already. */
	if (status)
		bio->bi_status = status;
	bio_endio(bio);
}

static struct image_io *clone_for(struct diff_area *area, struct bio *bio,
				  struct block_device *bdev, sector_t sector,
				  bio_end_io_t *end_io)
{
	struct bio *clone = bio_alloc_clone(bdev, bio, GFP_NOIO,
					    &area->clone_bios);
	struct image_io *io = container_of(clone, struct image_io, clone);

	diff_area_get(area);
	io->area = area;
	io->bio = bio;
	clone->bi_iter.bi_sector = sector;
	clone->bi_end_io = end_io;
	clone->bi_private = io;
	return io;
}

static void origin_read_end(struct bio *clone)
{
	struct image_io *io = clone->bi_private;
	struct diff_area *area = io->area;
	blk_status_t status = clone->bi_status;
	struct bio *bio = io->bio;

	bio_put(clone);
	/* The data came before the claims are looked at. */
	smp_rmb();
	if (untouched(area, bio->bi_iter.bi_sector, bio_sectors(bio)) !=
		    bio_sectors(bio) ||
	    diff_area_is_hidden(area, bio->bi_iter.bi_sector,
				bio_sectors(bio))) {
		atomic64_inc(&area->image_retries);
		trace_blksnap_image_retry(area->bdev->bd_dev,
					  bio->bi_iter.bi_sector,
					  bio_sectors(bio));
		diff_area_queue_image_bio(area, bio);
	} else {
		diff_area_end_bio(bio, status);
	}
	diff_area_put(area);
}

static void storage_read_end(struct bio *clone)
{
	struct image_io *io = clone->bi_private;
	struct diff_area *area = io->area;
	blk_status_t status = clone->bi_status;
	struct bio *bio = io->bio;

	bio_put(clone);
	diff_storage_io_end(area->storage);
	/* Whatever the storage says: to the reader its data is lost. */
	diff_area_end_bio(bio, status ? BLK_STS_IOERR : BLK_STS_OK);
	diff_area_put(area);
}

static void wait_for_copy(struct diff_area *area, struct bio *bio)
{
	struct span span = span_at(bio->bi_iter.bi_sector, bio_end_sector(bio),
				   area->subs_shift);
	struct chunk *chunk = xa_load(&area->chunks, span.chunk);
	struct copy *copy;

	spin_lock(&chunk->lock);
	copy = chunk_copy_of(chunk, span_mask(&span));
	if (copy)
		bio_list_add(&copy->image_waiters, bio);
	spin_unlock(&chunk->lock);
	if (!copy)
		diff_area_queue_image_bio(area, bio);
}

/*
 * Can the storage take it as it is?  Where it is split, too, and by drivers that look
 * at the pieces of memory one by one.
 */
static bool is_aligned(const struct bio *bio, const struct piece *piece)
{
	unsigned int mask = bdev_logical_block_size(piece->bdev) - 1;
	struct bvec_iter iter;
	struct bio_vec segment;

	if ((piece->sector | piece->count) & (mask >> SECTOR_SHIFT))
		return false;
	if (mask < SECTOR_SIZE)
		return true;
	bio_for_each_bvec(segment, bio, iter)
		if ((segment.bv_offset | segment.bv_len) & mask)
			return false;
	return true;
}

static void read_from_storage(struct diff_area *area, struct bio *bio,
			      const struct piece *piece)
{
	if (!diff_storage_io_begin(area->storage)) {
		diff_area_end_bio(bio, BLK_STS_IOERR);
		return;
	}
	submit_bio_noacct(&clone_for(area, bio, piece->bdev, piece->sector,
				     storage_read_end)->clone);
}

static void serve(struct diff_area *area, struct bio *bio,
		  const struct piece *piece, bool may_wait)
{
	switch (piece->kind) {
	case PIECE_ORIGIN:
		submit_bio_noacct(&clone_for(area, bio, area->bdev,
					     bio->bi_iter.bi_sector,
					     origin_read_end)->clone);
		return;
	case PIECE_WAIT:
		wait_for_copy(area, bio);
		return;
	case PIECE_MEMORY:
		diff_buffer_to_bio(piece->buffer, piece->offset, bio);
		diff_buffer_put(piece->buffer);
		diff_area_end_bio(bio, BLK_STS_OK);
		return;
	case PIECE_STORAGE:
		if (is_aligned(bio, piece))
			read_from_storage(area, bio, piece);
		else if (may_wait)
			diff_area_read_bounced(area, bio, piece->bdev,
					       piece->sector);
		else
			diff_area_queue_image_bio(area, bio);
		return;
	case PIECE_ZERO:
		zero_fill_bio(bio);
		diff_area_end_bio(bio, BLK_STS_OK);
		return;
	case PIECE_LOST:
		diff_area_end_bio(bio, BLK_STS_IOERR);
		return;
	}
}

static void image_read(struct diff_area *area, struct bio *bio, bool may_wait)
{
	struct bio *part;

	do {
		struct piece piece = piece_at(area, bio->bi_iter.bi_sector,
					      bio_sectors(bio));

		part = bio;
		if (piece.count < bio_sectors(bio)) {
			/* What the parts wait for leaves with our caller only. */
			part = bio_split(bio, piece.count, GFP_NOWAIT,
					 &area->split_bios);
			if (!part) {
				if (piece.kind == PIECE_MEMORY)
					diff_buffer_put(piece.buffer);
				diff_area_queue_image_bio(area, bio);
				return;
			}
			bio_chain(part, bio);
		}
		serve(area, part, &piece, may_wait);
	} while (part != bio);
}

void diff_area_image_work(struct work_struct *work)
{
	struct diff_area *area = container_of(work, struct diff_area,
					      image_work);
	struct bio_list list;
	struct bio *bio;

	spin_lock_irq(&area->lock);
	list = area->image_pending;
	bio_list_init(&area->image_pending);
	spin_unlock_irq(&area->lock);
	diff_area_end_fetches(area);
	while ((bio = bio_list_pop(&list))) {
		if (READ_ONCE(area->ended))
			diff_area_end_bio(bio, BLK_STS_IOERR);
		else if (op_is_write(bio_op(bio)))
			diff_area_image_write(area, bio);
		else
			image_read(area, bio, true);
	}
}

void diff_area_image_bio(struct diff_area *area, struct bio *bio)
{
	if (op_is_write(bio_op(bio)))
		diff_area_queue_image_bio(area, bio);
	else
		image_read(area, bio, false);
}
