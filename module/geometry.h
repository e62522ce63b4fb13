/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Arithmetic of units: sectors, sub-blocks, chunks, tracking blocks.
 *
 * A sub-block (4 KiB) is what is copied; a chunk is the bookkeeping for up to
 * 64 neighbouring sub-blocks, one bit each; a tracking block is a byte of the
 * change map.  No bio, no lock, nothing that can fail.
 */
#ifndef BLKSNAP_GEOMETRY_H
#define BLKSNAP_GEOMETRY_H

#include <linux/bitops.h>
#include <linux/bitops.h>
#include <linux/bits.h>
#include <linux/blk_types.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/minmax.h>

#define SUB_SHIFT 12
#define SUB_SECTOR_SHIFT (SUB_SHIFT - SECTOR_SHIFT)
#define SUB_SECTORS BIT(SUB_SECTOR_SHIFT)
#define CHUNK_SUBS_SHIFT_MAX 6

/* A range of sub-blocks inside one chunk. */
struct span {
	unsigned long chunk;
	unsigned int first;
	unsigned int count;
};

static inline u64 span_mask(const struct span *span)
{
	return GENMASK_ULL(span->first + span->count - 1, span->first);
}

/* Sub-blocks of a chunk as a shift, for the parameter chunk_minimum_shift. */
static inline unsigned int chunk_subs_shift(unsigned int minimum_shift)
{
	return clamp(minimum_shift, (unsigned int)SUB_SHIFT,
		     (unsigned int)(SUB_SHIFT + CHUNK_SUBS_SHIFT_MAX)) -
	       SUB_SHIFT;
}

/* The part of sectors [first, end), not empty, that lies in one chunk. */
static inline struct span span_at(sector_t first, sector_t end,
				  unsigned int subs_shift)
{
	u64 sub = first >> SUB_SECTOR_SHIFT;
	u64 last = (end - 1) >> SUB_SECTOR_SHIFT;
	u64 chunk_last = sub | ((1ULL << subs_shift) - 1);

	return (struct span){
		.chunk = sub >> subs_shift,
		.first = sub & ((1U << subs_shift) - 1),
		.count = min(last, chunk_last) - sub + 1,
	};
}

/* First sector after the chunk that holds @sector. */
static inline sector_t chunk_end(sector_t sector, unsigned int subs_shift)
{
	unsigned int shift = subs_shift + SUB_SECTOR_SHIFT;

	return ((sector >> shift) + 1) << shift;
}

static inline sector_t span_sector(const struct span *span,
				   unsigned int subs_shift)
{
	return (((sector_t)span->chunk << subs_shift) + span->first)
	       << SUB_SECTOR_SHIFT;
}

/* The first neighbours in @span that @bits lacks; false when it has them all. */
static inline bool span_first_clear(const struct span *span, u64 bits,
				    struct span *found)
{
	u64 todo = span_mask(span) & ~bits;

	if (!todo)
		return false;
	found->chunk = span->chunk;
	found->first = __ffs64(todo);
	todo = ~(todo >> found->first);
	found->count = todo ? __ffs64(todo) : 64 - found->first;
	return true;
}

/* Neighbours of the first sub-block of @span that are set in @bits as it is. */
static inline unsigned int span_same_bits(const struct span *span, u64 bits)
{
	u64 rest = bits >> span->first;

	if (rest & 1)
		rest = ~rest;
	return min(rest ? (unsigned int)__ffs64(rest) : 64, span->count);
}

/*
 * The smallest shift, at least @minimum, with which @units need at most
 * @maximum_count pieces of 2^shift units.
 */
static inline unsigned int shift_for_count(u64 units, unsigned int minimum,
					   u64 maximum_count)
{
	unsigned int shift = minimum;

	while (shift < 63 &&
	       (units >> shift) + !!(units & ((1ULL << shift) - 1)) >
	       maximum_count)
		shift++;
	return shift;
}

#endif /* BLKSNAP_GEOMETRY_H */
