// SPDX-License-Identifier: GPL-2.0
/* With the default parameters: blocks of 64 KiB, 128 sectors. */
#include "../cbt_map.c"
#include "suites.h"

#define BLOCK 128

static struct cbt_map *new_map(struct kunit *test, sector_t capacity)
{
	struct cbt_map *map = kunit_kzalloc(test, sizeof(*map), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, map);
	KUNIT_ASSERT_EQ(test, cbt_map_init(map, capacity), 0);
	return map;
}

static u8 byte_at(struct cbt_map *map, u32 block)
{
	u8 byte = 0xee;

	return cbt_map_read(map, &byte, block, 1) == 1 ? byte : 0xff;
}

static void size_of_blocks(struct kunit *test)
{
	static const struct {
		sector_t capacity;
		u32 count;
		u8 shift;
	} rows[] = {
		{ 1, 1, 7 },
		{ BLOCK, 1, 7 },
		{ BLOCK + 1, 2, 7 },
		{ 2097152ULL * BLOCK, 2097152, 7 },
		{ 2097152ULL * BLOCK + 1, 1048577, 8 },
		{ 100ULL << 31, 1638400, 17 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cbt_map *map = new_map(test, rows[i].capacity);

		KUNIT_EXPECT_EQ(test, map->count, rows[i].count);
		KUNIT_EXPECT_EQ(test, map->shift, rows[i].shift);
		cbt_map_exit(map);
	}
}

static void too_large_for_32_bits(struct kunit *test)
{
	struct cbt_map map;

	KUNIT_EXPECT_EQ(test, cbt_map_init(&map, (2097152ULL << 22) + 1),
			-EFBIG);
}

static void marks_are_seen_after_the_take(struct kunit *test)
{
	struct cbt_map *map = new_map(test, 10 * BLOCK);

	cbt_map_mark(map, 3 * BLOCK - 1, 2);
	KUNIT_EXPECT_EQ(test, byte_at(map, 2), 0);
	cbt_map_switch(map);
	KUNIT_EXPECT_EQ(test, map->snap_number, 1);
	KUNIT_EXPECT_EQ(test, byte_at(map, 1), 0);
	KUNIT_EXPECT_EQ(test, byte_at(map, 2), 1);
	KUNIT_EXPECT_EQ(test, byte_at(map, 3), 1);
	KUNIT_EXPECT_EQ(test, byte_at(map, 4), 0);
	/* What comes during the hold changes nothing that can be read. */
	cbt_map_mark(map, 0, 1);
	KUNIT_EXPECT_EQ(test, byte_at(map, 0), 0);
	cbt_map_switch(map);
	KUNIT_EXPECT_EQ(test, byte_at(map, 0), 2);
	KUNIT_EXPECT_EQ(test, byte_at(map, 2), 1);
	cbt_map_exit(map);
}

static void marks_are_cut_at_the_end(struct kunit *test)
{
	struct cbt_map *map = new_map(test, 2 * BLOCK + 1);

	cbt_map_mark(map, 2 * BLOCK, 1000000);
	cbt_map_mark(map, 2 * BLOCK + 1, 1);
	cbt_map_mark(map, U64_MAX - 1, 1);
	cbt_map_mark(map, 0, 0);
	cbt_map_switch(map);
	KUNIT_EXPECT_EQ(test, byte_at(map, 0), 0);
	KUNIT_EXPECT_EQ(test, byte_at(map, 1), 0);
	KUNIT_EXPECT_EQ(test, byte_at(map, 2), 1);
	cbt_map_exit(map);
}

static void marks_in_both_maps(struct kunit *test)
{
	struct cbt_map *map = new_map(test, 4 * BLOCK);

	cbt_map_switch(map);
	cbt_map_mark_both(map, BLOCK, 1);
	KUNIT_EXPECT_EQ(test, byte_at(map, 1), 1);
	cbt_map_switch(map);
	KUNIT_EXPECT_EQ(test, byte_at(map, 1), 2);
	cbt_map_exit(map);
}

static void windows(struct kunit *test)
{
	struct cbt_map *map = new_map(test, 5 * BLOCK);
	u8 bytes[8];

	KUNIT_EXPECT_EQ(test, cbt_map_read(map, bytes, 0, 8), 5);
	KUNIT_EXPECT_EQ(test, cbt_map_read(map, bytes, 4, 8), 1);
	KUNIT_EXPECT_EQ(test, cbt_map_read(map, bytes, 5, 8), 0);
	KUNIT_EXPECT_EQ(test, cbt_map_read(map, bytes, U32_MAX, 8), 0);
	KUNIT_EXPECT_EQ(test, cbt_map_read(map, bytes, 2, 0), 0);
	cbt_map_exit(map);
}

/* 600 takes: number 255 is followed by 1 of another generation, clean. */
static void numbers_wrap(struct kunit *test)
{
	struct cbt_map *map = new_map(test, 4 * BLOCK);
	uuid_t generation = map->generation;
	int take, number = 0;

	for (take = 1; take <= 600; take++) {
		bool fresh = number == 255;

		cbt_map_mark(map, 0, 1);
		cbt_map_switch(map);
		number = fresh ? 1 : number + 1;
		KUNIT_ASSERT_EQ(test, map->snap_number, number);
		KUNIT_ASSERT_EQ(test, byte_at(map, 0), fresh ? 0 : number);
		KUNIT_ASSERT_EQ(test, byte_at(map, 1), 0);
		KUNIT_ASSERT_EQ(test, uuid_equal(&generation, &map->generation),
				!fresh);
		generation = map->generation;
	}
	KUNIT_EXPECT_EQ(test, map->generations, 3);
	cbt_map_exit(map);
}

static void another_size_is_another_generation(struct kunit *test)
{
	struct cbt_map *map = new_map(test, 4 * BLOCK);
	uuid_t generation = map->generation;

	cbt_map_mark(map, 0, 4 * BLOCK);
	KUNIT_ASSERT_EQ(test, cbt_map_prepare(map, 4 * BLOCK), 0);
	cbt_map_switch(map);
	KUNIT_EXPECT_TRUE(test, uuid_equal(&generation, &map->generation));
	KUNIT_ASSERT_EQ(test, cbt_map_prepare(map, 9 * BLOCK), 0);
	KUNIT_EXPECT_EQ(test, map->count, 4);
	cbt_map_switch(map);
	cbt_map_unprepare(map);
	KUNIT_EXPECT_FALSE(test, uuid_equal(&generation, &map->generation));
	KUNIT_EXPECT_EQ(test, map->count, 9);
	KUNIT_EXPECT_EQ(test, map->capacity, 9 * BLOCK);
	KUNIT_EXPECT_EQ(test, map->snap_number, 1);
	KUNIT_EXPECT_EQ(test, byte_at(map, 0), 0);
	cbt_map_exit(map);
}

static void smaller_for_a_while_is_another_generation(struct kunit *test)
{
	struct cbt_map *map = new_map(test, 4 * BLOCK);

	cbt_map_note_size(map, 4 * BLOCK);
	KUNIT_ASSERT_EQ(test, cbt_map_prepare(map, 4 * BLOCK), 0);
	cbt_map_switch(map);
	KUNIT_EXPECT_EQ(test, map->generations, 1);
	cbt_map_note_size(map, 4 * BLOCK - 1);
	KUNIT_ASSERT_EQ(test, cbt_map_prepare(map, 4 * BLOCK), 0);
	cbt_map_unprepare(map);
	/* Not forgotten by a take that was given up. */
	cbt_map_note_size(map, 5 * BLOCK);
	KUNIT_ASSERT_EQ(test, cbt_map_prepare(map, 4 * BLOCK), 0);
	cbt_map_switch(map);
	cbt_map_unprepare(map);
	KUNIT_EXPECT_EQ(test, map->generations, 2);
	KUNIT_EXPECT_EQ(test, map->snap_number, 1);
	KUNIT_ASSERT_EQ(test, cbt_map_prepare(map, 4 * BLOCK), 0);
	cbt_map_switch(map);
	KUNIT_EXPECT_EQ(test, map->generations, 2);
	cbt_map_exit(map);
}

static void smaller_during_a_take_is_another_generation(struct kunit *test)
{
	struct cbt_map *map = new_map(test, 4 * BLOCK);

	KUNIT_ASSERT_EQ(test, cbt_map_prepare(map, 4 * BLOCK), 0);
	cbt_map_switch(map);
	cbt_map_mark(map, 0, 1);
	KUNIT_ASSERT_EQ(test, cbt_map_prepare(map, 4 * BLOCK), 0);
	cbt_map_note_size(map, BLOCK);
	cbt_map_switch(map);
	KUNIT_EXPECT_EQ(test, map->generations, 2);
	KUNIT_EXPECT_EQ(test, map->snap_number, 1);
	KUNIT_EXPECT_EQ(test, byte_at(map, 0), 0);
	cbt_map_exit(map);
}

static void a_take_given_up_changes_nothing(struct kunit *test)
{
	struct cbt_map *map = new_map(test, 4 * BLOCK);

	KUNIT_ASSERT_EQ(test, cbt_map_prepare(map, 9 * BLOCK), 0);
	cbt_map_unprepare(map);
	cbt_map_switch(map);
	KUNIT_EXPECT_EQ(test, map->count, 4);
	KUNIT_EXPECT_EQ(test, map->generations, 1);
	cbt_map_exit(map);
}

static struct kunit_case cbt_map_cases[] = {
	KUNIT_CASE(size_of_blocks),
	KUNIT_CASE(too_large_for_32_bits),
	KUNIT_CASE(marks_are_seen_after_the_take),
	KUNIT_CASE(marks_are_cut_at_the_end),
	KUNIT_CASE(marks_in_both_maps),
	KUNIT_CASE(windows),
	KUNIT_CASE(numbers_wrap),
	KUNIT_CASE(another_size_is_another_generation),
	KUNIT_CASE(smaller_for_a_while_is_another_generation),
	KUNIT_CASE(smaller_during_a_take_is_another_generation),
	KUNIT_CASE(a_take_given_up_changes_nothing),
	{}
};

struct kunit_suite cbt_map_suite = {
	.name = "blksnap_cbt_map",
	.test_cases = cbt_map_cases,
};
