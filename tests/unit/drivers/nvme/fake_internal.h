/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_internal.h - between the two halves of the fake controller: fake_bus.c (registers, config space, back-end) and
 * fake_nvme.c (queues and commands).
 */
#ifndef QUOLL_TESTS_FAKE_INTERNAL_H
#define QUOLL_TESTS_FAKE_INTERNAL_H

#include "fake_nvme.h"

uint32_t fake_doorbell(struct fake_nvme *fake, uint16_t qid, unsigned int is_cq);
/* Doorbell Buffer Config. Return: status. */
uint16_t fake_doorbell_buffers(struct fake_nvme *fake, const union nvme_sq_slot *sqe);
/* Whether I/O queues are to be looked at; then, after nothing was found there, sleep if that is its habit. */
bool fake_is_awake(struct fake_nvme *fake);
void fake_nap(struct fake_nvme *fake);
void fake_doorbell_reset(struct fake_nvme *fake, uint16_t qid, unsigned int is_cq);
void fake_run_queues(struct fake_nvme *fake);

#endif
