/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_internal.h - between the two halves of the fake 82574: fake_e1000e.c (registers) and fake_rings.c.
 */
#ifndef QUOLL_TESTS_FAKE_E1000E_INTERNAL_H
#define QUOLL_TESTS_FAKE_E1000E_INTERNAL_H

#include "fake_e1000e.h"

#define FAKE_INT_RXO (1u << 6)

void fake_rdt_written(struct fake_e1000e *fake, unsigned int queue);
void fake_tdt_written(struct fake_e1000e *fake, unsigned int queue);

#endif
