/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The change map of one device: a byte per block, twice.
 *
 * Writes mark the active map with the active number; a take copies it to the
 * readable map.  "Changed since take N" is a byte above N.
 */
#ifndef BLKSNAP_CBT_MAP_H
#define BLKSNAP_CBT_MAP_H

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/uuid.h>

/**
 * struct cbt_map - Two maps and their numbers.
 * @lock: against switches: held by whoever marks from outside the gate, reads
 *	the readable map, or switches.
 * @active: bytes that writes mark; its address changes only in a switch.
 * @readable: as of the newest take.
 * @next_active: replaces @active in a switch to a new size, else NULL.
 * @next_readable: goes with @next_active.
 * @capacity: of the device, in sectors, for this generation.
 * @next_capacity: goes with @next_active.
 * @next_shift: goes with @next_active.
 * @count: blocks.
 * @shift: log2 of a block in sectors.
 * @was_cut: the device has been smaller since the last switch.
 * @active_number: what writes mark with.
 * @snap_number: of the newest take; 0 before the first.
 * @generation: bytes of different generations cannot be compared.
 * @generations: how many there have been.
 */
struct cbt_map {
	struct mutex lock;
	u8 *active;
	u8 *readable;
	u8 *next_active;
	u8 *next_readable;
	sector_t capacity;
	sector_t next_capacity;
	u32 count;
	u8 shift;
	u8 next_shift;
	bool was_cut;
	u8 active_number;
	u8 snap_number;
	uuid_t generation;
	u32 generations;
};

/* -EFBIG when a block would not fit 32 bits, -ENOMEM. May sleep. */
int cbt_map_init(struct cbt_map *map, sector_t capacity);
void cbt_map_exit(struct cbt_map *map);

/*
 * Marks [first, first + count) with the active number.  Called inside the gate,
 * so no switch is running.  Does not sleep.  Sectors beyond the capacity are
 * ignored: the next take finds the new size.
 */
void cbt_map_mark(struct cbt_map *map, sector_t first, sector_t count);

/* Marks both maps, from outside the gate. Sleeps for @lock. */
void cbt_map_mark_both(struct cbt_map *map, sector_t first, sector_t count);

/*
 * The device had @least sectors for a while: what lies beyond is not what was marked,
 * and the next switch begins a generation, in the old size, too.
 */
void cbt_map_note_size(struct cbt_map *map, sector_t least);
/*
 * Makes ready for a switch at which the device has @capacity sectors, so that
 * the switch itself cannot fail.  Return: 0, -EFBIG, -ENOMEM.
 */
int cbt_map_prepare(struct cbt_map *map, sector_t capacity);
/* Forgets what was prepared. */
void cbt_map_unprepare(struct cbt_map *map);
/* The take: with the gate closed and drained. Does not allocate. */
void cbt_map_switch(struct cbt_map *map);

/*
 * Copies up to @length bytes of the readable map from @offset to kernel memory.
 * Return: bytes copied, 0 at or beyond the end.
 */
u32 cbt_map_read(struct cbt_map *map, u8 *to, u32 offset, u32 length);

#endif /* BLKSNAP_CBT_MAP_H */
