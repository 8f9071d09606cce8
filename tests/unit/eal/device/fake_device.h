/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_device.h - one open device over the fake back-end, for the tests of device/.
 */
#ifndef QUOLL_TESTS_FAKE_DEVICE_H
#define QUOLL_TESTS_FAKE_DEVICE_H

#include "eal/backend/fake_backend.h"
#include "unit.h"

#define FAKE_NAME "0000:01:00.0"

struct fixture {
	struct quoll_ioas *ioas;
	struct quoll_group *group;
	struct quoll_device *dev;
};

/* Claim without opening; the test may change the fake between fake_reset() and this. */
static inline void fixture_claim(struct fixture *f)
{
	struct quoll_addr addr;

	memset(f, 0, sizeof(*f));
	fake_address(&addr);
	CU_ASSERT_EQUAL_FATAL(ioas_open_ops(NULL, &fake_ops, &f->ioas, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_group_claim(f->ioas, &addr, &f->group, NULL), 0);
	fake_forget_calls();
}

static inline void fixture_open(struct fixture *f)
{
	fixture_claim(f);
	CU_ASSERT_EQUAL_FATAL(quoll_device_open(f->group, FAKE_NAME, &f->dev, NULL), 0);
	fake_forget_calls();
}

static inline void fixture_close(struct fixture *f)
{
	quoll_device_close(f->dev);
	CU_ASSERT_EQUAL(quoll_group_release(f->group), 0);
	CU_ASSERT_EQUAL(quoll_ioas_close(f->ioas), 0);
}

#endif
