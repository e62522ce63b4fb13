// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/string.h>

#include "cbt_map.h"
#include "geometry.h"
#include "params.h"

#define LAST_NUMBER 255

/* Block size for a capacity: log2 in sectors, or -EFBIG. */
static int block_shift(sector_t capacity)
{
	unsigned int least = param_tracking_block_minimum_shift() - SECTOR_SHIFT;
	unsigned int shift = shift_for_count(capacity, least,
				param_tracking_block_maximum_count());

	return shift + SECTOR_SHIFT <= 31 ? (int)shift : -EFBIG;
}

static u32 block_count(sector_t capacity, unsigned int shift)
{
	return (capacity + (1ULL << shift) - 1) >> shift;
}

static int alloc_pair(u32 count, u8 **active, u8 **readable)
{
	*active = kvzalloc(max(count, 1U), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	*readable = kvzalloc(max(count, 1U), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (*active && *readable)
		return 0;
	kvfree(*active);
	kvfree(*readable);
	*active = NULL;
	*readable = NULL;
	return -ENOMEM;
}

int cbt_map_init(struct cbt_map *map, sector_t capacity)
{
	int shift = block_shift(capacity);
	int ret;

	if (shift < 0)
		return shift;
	memset(map, 0, sizeof(*map));
	map->shift = shift;
	map->count = block_count(capacity, shift);
	map->capacity = capacity;
	map->active_number = 1;
	map->generations = 1;
	generate_random_uuid(map->generation.b);
	ret = alloc_pair(map->count, &map->active, &map->readable);
	if (ret)
		return ret;
	mutex_init(&map->lock);
	return 0;
}

void cbt_map_exit(struct cbt_map *map)
{
	cbt_map_unprepare(map);
	kvfree(map->active);
	kvfree(map->readable);
	mutex_destroy(&map->lock);
}

/* Blocks [*begin, *end) that hold the sectors; false when there are none. */
static bool blocks_of(const struct cbt_map *map, sector_t first, sector_t count,
		      u32 *begin, u32 *end)
{
	if (first >= map->capacity || !count)
		return false;
	count = min(count, map->capacity - first);
	*begin = first >> map->shift;
	*end = ((first + count - 1) >> map->shift) + 1;
	return true;
}

void cbt_map_mark(struct cbt_map *map, sector_t first, sector_t count)
{
	u8 number = map->active_number;
	u32 block, end;

	if (!blocks_of(map, first, count, &block, &end))
		return;
	/* Stored only when it differs: a hot block's line stays shared. */
	for (; block < end; block++)
		if (READ_ONCE(map->active[block]) != number)
			WRITE_ONCE(map->active[block], number);
}

void cbt_map_mark_both(struct cbt_map *map, sector_t first, sector_t count)
{
	u32 block, end;

	mutex_lock(&map->lock);
	if (blocks_of(map, first, count, &block, &end))
		for (; block < end; block++) {
			WRITE_ONCE(map->active[block], map->active_number);
			WRITE_ONCE(map->readable[block], map->snap_number);
		}
	mutex_unlock(&map->lock);
}

void cbt_map_note_size(struct cbt_map *map, sector_t least)
{
	map->was_cut |= least < map->capacity;
}

int cbt_map_prepare(struct cbt_map *map, sector_t capacity)
{
	int shift;

	cbt_map_unprepare(map);
	if (capacity == map->capacity && !map->was_cut)
		return 0;
	shift = block_shift(capacity);
	if (shift < 0)
		return shift;
	map->next_capacity = capacity;
	map->next_shift = shift;
	return alloc_pair(block_count(capacity, shift), &map->next_active,
			  &map->next_readable);
}

void cbt_map_unprepare(struct cbt_map *map)
{
	kvfree(map->next_active);
	kvfree(map->next_readable);
	map->next_active = NULL;
	map->next_readable = NULL;
}

static void begin_generation(struct cbt_map *map)
{
	if (map->next_active) {
		/* The old pair is freed by cbt_map_unprepare(). */
		swap(map->active, map->next_active);
		swap(map->readable, map->next_readable);
		map->capacity = map->next_capacity;
		map->shift = map->next_shift;
		map->count = block_count(map->capacity, map->shift);
	} else {
		memset(map->active, 0, map->count);
		memset(map->readable, 0, map->count);
	}
	generate_random_uuid(map->generation.b);
	map->generations++;
	map->was_cut = false;
	map->active_number = 1;
}

void cbt_map_switch(struct cbt_map *map)
{
	mutex_lock(&map->lock);
	if (map->next_active || map->was_cut || map->snap_number == LAST_NUMBER)
		begin_generation(map);
	else
		memcpy(map->readable, map->active, map->count);
	map->snap_number = map->active_number;
	if (map->active_number < LAST_NUMBER)
		map->active_number++;
	mutex_unlock(&map->lock);
}

u32 cbt_map_read(struct cbt_map *map, u8 *to, u32 offset, u32 length)
{
	u32 copied = 0;

	mutex_lock(&map->lock);
	if (offset < map->count) {
		copied = min(length, map->count - offset);
		memcpy(to, map->readable + offset, copied);
	}
	mutex_unlock(&map->lock);
	return copied;
}
