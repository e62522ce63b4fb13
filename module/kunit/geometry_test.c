// SPDX-License-Identifier: GPL-2.0
#include "../geometry.h"
#include "suites.h"

#define SECTORS_2TIB BIT_ULL(32)

static void span_of_one_sector(struct kunit *test)
{
	struct span span = span_at(0, 1, 6);

	KUNIT_EXPECT_EQ(test, span.chunk, 0);
	KUNIT_EXPECT_EQ(test, span.first, 0);
	KUNIT_EXPECT_EQ(test, span.count, 1);
	span = span_at(511, 512, 6);
	KUNIT_EXPECT_EQ(test, span.chunk, 0);
	KUNIT_EXPECT_EQ(test, span.first, 63);
	KUNIT_EXPECT_EQ(test, span.count, 1);
	span = span_at(512, 513, 6);
	KUNIT_EXPECT_EQ(test, span.chunk, 1);
	KUNIT_EXPECT_EQ(test, span.first, 0);
}

static void span_ends_with_its_chunk(struct kunit *test)
{
	struct span span = span_at(7, 5000, 6);

	KUNIT_EXPECT_EQ(test, span.count, 64);
	span = span_at(504, 5000, 6);
	KUNIT_EXPECT_EQ(test, span.first, 63);
	KUNIT_EXPECT_EQ(test, span.count, 1);
	span = span_at(16, 17, 0);
	KUNIT_EXPECT_EQ(test, span.chunk, 2);
	KUNIT_EXPECT_EQ(test, span.count, 1);
}

/* Every short range near every border: the spans cover it, in order, once. */
static void spans_cover_a_range(struct kunit *test)
{
	unsigned int shift;
	sector_t first, count;

	for (shift = 0; shift <= CHUNK_SUBS_SHIFT_MAX; shift++)
		for (first = 500; first < 530; first++)
			for (count = 1; count < 70; count++) {
				sector_t sector = first, end = first + count;
				u64 sub = first >> SUB_SECTOR_SHIFT;

				while (sector < end) {
					struct span span = span_at(sector, end,
								   shift);

					KUNIT_ASSERT_EQ(test,
							((u64)span.chunk << shift) +
							span.first, sub);
					KUNIT_ASSERT_LE(test,
							span.first + span.count,
							1U << shift);
					sub += span.count;
					sector = chunk_end(sector, shift);
				}
				KUNIT_ASSERT_EQ(test, sub,
						((end - 1) >> SUB_SECTOR_SHIFT) +
						1);
			}
}

static void beyond_32_bits(struct kunit *test)
{
	sector_t sector = 100 * SECTORS_2TIB + 513;
	struct span span = span_at(sector, sector + 1, 6);

	KUNIT_EXPECT_EQ(test, span.chunk, (100 * SECTORS_2TIB >> 9) + 1);
	KUNIT_EXPECT_EQ(test, span_sector(&span, 6), sector - 1);
	KUNIT_EXPECT_EQ(test, chunk_end(sector, 6),
			100 * SECTORS_2TIB + 1024);
}

static void mask_of_a_span(struct kunit *test)
{
	struct span span = { .first = 0, .count = 64 };

	KUNIT_EXPECT_EQ(test, span_mask(&span), ~0ULL);
	span.first = 63;
	span.count = 1;
	KUNIT_EXPECT_EQ(test, span_mask(&span), 1ULL << 63);
	span.first = 4;
	span.count = 3;
	KUNIT_EXPECT_EQ(test, span_mask(&span), 0x70ULL);
}

static void first_clear_bits(struct kunit *test)
{
	struct span span = { .chunk = 9, .first = 0, .count = 64 }, found;

	KUNIT_EXPECT_FALSE(test, span_first_clear(&span, ~0ULL, &found));
	KUNIT_ASSERT_TRUE(test, span_first_clear(&span, 0, &found));
	KUNIT_EXPECT_EQ(test, found.chunk, 9);
	KUNIT_EXPECT_EQ(test, found.first, 0);
	KUNIT_EXPECT_EQ(test, found.count, 64);
	KUNIT_ASSERT_TRUE(test, span_first_clear(&span, ~0ULL >> 1, &found));
	KUNIT_EXPECT_EQ(test, found.first, 63);
	KUNIT_EXPECT_EQ(test, found.count, 1);
	/* Outside the span nothing is found, however clear it is. */
	span.first = 8;
	span.count = 8;
	KUNIT_ASSERT_TRUE(test, span_first_clear(&span, 0x0f00, &found));
	KUNIT_EXPECT_EQ(test, found.first, 12);
	KUNIT_EXPECT_EQ(test, found.count, 4);
	KUNIT_EXPECT_FALSE(test, span_first_clear(&span, 0xff00, &found));
}

static void bits_alike(struct kunit *test)
{
	struct span span = { .first = 0, .count = 64 };

	KUNIT_EXPECT_EQ(test, span_same_bits(&span, 0), 64);
	KUNIT_EXPECT_EQ(test, span_same_bits(&span, ~0ULL), 64);
	KUNIT_EXPECT_EQ(test, span_same_bits(&span, 0x7), 3);
	KUNIT_EXPECT_EQ(test, span_same_bits(&span, 0x8), 3);
	span.first = 3;
	span.count = 2;
	KUNIT_EXPECT_EQ(test, span_same_bits(&span, 0xf8), 2);
}

static void chunk_shift_is_capped(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, chunk_subs_shift(12), 0);
	KUNIT_EXPECT_EQ(test, chunk_subs_shift(18), 6);
	KUNIT_EXPECT_EQ(test, chunk_subs_shift(26), 6);
	KUNIT_EXPECT_EQ(test, chunk_subs_shift(0), 0);
}

static void shift_for_a_count(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, shift_for_count(0, 7, 1), 7);
	KUNIT_EXPECT_EQ(test, shift_for_count(128, 7, 1), 7);
	KUNIT_EXPECT_EQ(test, shift_for_count(129, 7, 1), 8);
	KUNIT_EXPECT_EQ(test, shift_for_count(1024, 0, 1024), 0);
	KUNIT_EXPECT_EQ(test, shift_for_count(1025, 0, 1024), 1);
	KUNIT_EXPECT_EQ(test, shift_for_count(50 * SECTORS_2TIB, 7, 1 << 21),
			17);
}

static struct kunit_case geometry_cases[] = {
	KUNIT_CASE(span_of_one_sector),
	KUNIT_CASE(span_ends_with_its_chunk),
	KUNIT_CASE(spans_cover_a_range),
	KUNIT_CASE(beyond_32_bits),
	KUNIT_CASE(mask_of_a_span),
	KUNIT_CASE(first_clear_bits),
	KUNIT_CASE(bits_alike),
	KUNIT_CASE(chunk_shift_is_capped),
	KUNIT_CASE(shift_for_a_count),
	{}
};

struct kunit_suite geometry_suite = {
	.name = "blksnap_geometry",
	.test_cases = geometry_cases,
};
