/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iommu_faults.h - the IOMMU's faults of a verb's PCI devices, told as they come: which device, where, which buffer.
 *
 * The kernel tells of them in its log only. Who may not read that (dmesg_restrict, and not root) is told of none, and
 * no word is lost about it.
 *
 * Thread rule: the thread of the verb's heap.
 */
#ifndef QUOLL_APPS_IOMMU_FAULTS_H
#define QUOLL_APPS_IOMMU_FAULTS_H

#include <jansson.h>

#include <quoll/stream.h>

#include "claims.h"

struct iommu_faults;

/**
 * iommu_faults_open() - begin to watch, before the devices are at work
 * @claims: with all of its devices, and at the first look its heap; stays the caller's
 * @say:    told a line, a few at once and then one a second
 *
 * Return: NULL: the log cannot be read, or no device is behind an IOMMU; which all functions here take for an answer.
 */
struct iommu_faults *iommu_faults_open(const struct claims *claims, void (*say)(void *arg, const char *line),
				       void *say_arg);
void iommu_faults_close(struct iommu_faults *faults);

/**
 * iommu_faults_streams() - memory outside of the heap goes through these
 * @streams: @n of them, some may be NULL; stay the caller's until the next call
 */
void iommu_faults_streams(struct iommu_faults *faults, struct quoll_stream *const *streams, unsigned int n);

/**
 * iommu_faults_look() - whether there are any: a system call, but only if the last one is a tenth of a second ago
 * @now_ns: of a clock that does not go back
 */
void iommu_faults_look(struct iommu_faults *faults, uint64_t now_ns);

/**
 * iommu_faults_finish() - look for the last time, and tell what there was no time for
 */
void iommu_faults_finish(struct iommu_faults *faults);

/**
 * iommu_faults_describe() - into @doc: faults, how many there were; null: not known
 */
void iommu_faults_describe(const struct iommu_faults *faults, json_t *doc);

#endif
