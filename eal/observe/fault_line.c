/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault_line.c - the lines that the kernel's IOMMU drivers write when they stop an access. What they look like is from
 * drivers/iommu/intel/dmar.c, amd/iommu.c and arm/arm-smmu-v3/arm-smmu-v3.c of Linux 5.14 to 6.18.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quoll/addr.h>

#include "fault_line.h"

#define AMD_FLAG_PRESENT 0x10u /* AMD I/O Virtualization Technology, IO_PAGE_FAULT: PR, RW */
#define AMD_FLAG_WRITE 0x20u
#define SMMU_EVENT_ID 0xffu /* SMMUv3 architecture, 7.3: event records */
#define SMMU_SID_SHIFT 32
#define SMMU_READ (1ull << 35) /* in word 1 */

/* If *p begins with @word, step over it. */
static bool skip(const char **p, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*p, word, len))
		return false;
	*p += len;
	return true;
}

/* Hexadecimal digits, at most 16, with or without 0x; nothing else that strtoull() would take. */
static bool take_hex(const char **p, uint64_t *value)
{
	char *end;

	skip(p, "0x");
	if (quoll_hex_digit(**p) < 0)
		return false;
	*value = strtoull(*p, &end, 16);
	if (end - *p > 16)
		return false;
	*p = end;
	return true;
}

static bool hex_field(const char **p, unsigned int min_digits, unsigned int max_digits)
{
	unsigned int n = 0;

	while (n <= max_digits && quoll_hex_digit((*p)[n]) >= 0)
		n++;
	*p += n;
	return n >= min_digits && n <= max_digits;
}

/* [dddd:]bb:dd.f */
static bool is_pci_name(const char *name)
{
	unsigned int colons = 0;

	for (const char *c = name; *c; c++)
		colons += *c == ':';
	if (colons == 2 && !(hex_field(&name, 4, 8) && skip(&name, ":")))
		return false;
	return (colons == 1 || colons == 2) && hex_field(&name, 2, 2) && skip(&name, ":") && hex_field(&name, 2, 2) &&
	       skip(&name, ".") && hex_field(&name, 1, 2) && !*name;
}

/* Up to one of @stop, without 0x: Linux 5.14 alone has [0x03:0x00.0]. */
static bool take_pci_name(const char **p, const char *stop, char *name, size_t name_bytes)
{
	size_t used = 0;

	while (**p && !strchr(stop, **p)) {
		if (skip(p, "0x"))
			continue;
		if (used + 1 >= name_bytes)
			return false;
		name[used++] = *(*p)++;
	}
	name[used] = '\0';
	return is_pci_name(name);
}

/* The rest of a line, as far as it is printable and fits. */
static void copy_reason(struct quoll_fault *fault, const char *text)
{
	size_t used = 0;

	while (*text && used + 1 < sizeof(fault->reason) && isprint((unsigned char)*text))
		fault->reason[used++] = *text++;
	while (used && fault->reason[used - 1] == ' ')
		used--;
	fault->reason[used] = '\0';
}

/*
 * DMAR: [DMA Write NO_PASID] Request device [03:00.0] fault addr 0x1000 [fault reason 0x05] PTE Write access is not set
 * DMAR: [DMA Read PASID 0x1] Request device [03:00.0] fault addr 0x1000 [fault reason 0x71] SM: ...
 * DMAR: [INTR-REMAP] Request device [03:00.0] fault index 0x7 [fault reason 0x25] Blocked a compatibility format ...
 */
static bool vtd_line(const char *p, struct quoll_fault *fault)
{
	uint64_t number;

	if (!skip(&p, "DMAR: ["))
		return false;
	if (skip(&p, "DMA Write"))
		fault->access = QUOLL_FAULT_WRITE;
	else if (skip(&p, "DMA Read"))
		fault->access = QUOLL_FAULT_READ;
	else if (skip(&p, "INTR-REMAP"))
		fault->access = QUOLL_FAULT_INTERRUPT;
	else
		return false;
	if (!skip(&p, " NO_PASID") && skip(&p, " PASID ") && !take_hex(&p, &number))
		return false;
	if (!skip(&p, "] Request device [") || !take_pci_name(&p, "]", fault->device, sizeof(fault->device)) ||
	    !skip(&p, "] fault "))
		return false;
	if (fault->access == QUOLL_FAULT_INTERRUPT) {
		if (!skip(&p, "index ") || !take_hex(&p, &number))
			return false;
	} else if (!skip(&p, "addr ") || !take_hex(&p, &fault->iova)) {
		return false;
	}
	if (!skip(&p, " [fault reason ") || !take_hex(&p, &number) || !skip(&p, "] "))
		return false;
	copy_reason(fault, p);
	return true;
}

static void amd_reason(struct quoll_fault *fault, uint64_t flags)
{
	bool write = flags & AMD_FLAG_WRITE;

	fault->access = write ? QUOLL_FAULT_WRITE : QUOLL_FAULT_READ;
	if (!(flags & AMD_FLAG_PRESENT))
		copy_reason(fault, "page not present");
	else
		copy_reason(fault, write ? "no write permission" : "no read permission");
}

/* "DRIVER NAME: " and nothing else up to the event: the kernel's lines also repeat what devices and programs say. */
static bool amd_prefix(const char *p, const char *event, struct quoll_fault *fault)
{
	char name[sizeof(fault->device)];
	const char *space = strchr(p, ' ');
	size_t len;

	if (space == p || event - space < 4 || strncmp(event - 2, ": ", 2))
		return false;
	len = (size_t)(event - 2 - (space + 1));
	if (len >= sizeof(name))
		return false;
	memcpy(name, space + 1, len);
	name[len] = '\0';
	if (!is_pci_name(name))
		return false;
	memcpy(fault->device, name, len + 1);
	return true;
}

/*
 * vfio-pci 0000:03:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000f address=0x1000 flags=0x0020]
 * AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:03:00.0 domain=0x000f address=0x1000 flags=0x0020]
 */
static bool amd_line(const char *p, struct quoll_fault *fault)
{
	const char *event = strstr(p, "AMD-Vi: Event logged [IO_PAGE_FAULT ");
	bool address = false, flagged = false;
	uint64_t number;

	if (!event)
		return false;
	if (event > p && !amd_prefix(p, event, fault))
		return false;
	p = event + strlen("AMD-Vi: Event logged [IO_PAGE_FAULT ");
	while (*p && *p != ']') {
		if (skip(&p, "device=")) {
			if (!take_pci_name(&p, " ]", fault->device, sizeof(fault->device)))
				return false;
		} else if (skip(&p, "address=")) {
			if (!take_hex(&p, &fault->iova))
				return false;
			address = true;
		} else if (skip(&p, "flags=")) {
			if (!take_hex(&p, &number))
				return false;
			amd_reason(fault, number);
			flagged = true;
		}
		while (*p && *p != ' ' && *p != ']')
			p++;
		while (*p == ' ')
			p++;
	}
	return *p == ']' && address && flagged && is_pci_name(fault->device);
}

static const char *smmu_event_name(uint64_t word)
{
	switch (word & SMMU_EVENT_ID) {
	case 0x10:
		return "F_TRANSLATION";
	case 0x11:
		return "F_ADDR_SIZE";
	case 0x12:
		return "F_ACCESS";
	case 0x13:
		return "F_PERMISSION";
	default:
		return NULL; /* no access to an address */
	}
}

/* "arm-smmu-v3 NAME: " of a line, up to the colon; NULL if it is no such line. */
static const char *smmu_speaks(const char *text, char *who, size_t who_bytes)
{
	const char *colon = strstr(text, ": ");

	if (strncmp(text, "arm-smmu-v3 ", 12) || !colon || (size_t)(colon - text) >= who_bytes)
		return NULL;
	memcpy(who, text, (size_t)(colon - text));
	who[colon - text] = '\0';
	return colon + 2;
}

bool fault_lines_end(struct fault_lines *lines, struct quoll_fault *fault)
{
	const char *name = smmu_event_name(lines->raw[0]);
	bool complete = lines->who[0] && lines->nr == 4;

	lines->who[0] = '\0';
	if (!complete || !name)
		return false;
	memset(fault, 0, sizeof(*fault));
	snprintf(fault->device, sizeof(fault->device), "sid 0x%x", (unsigned int)(lines->raw[0] >> SMMU_SID_SHIFT));
	fault->access = lines->raw[1] & SMMU_READ ? QUOLL_FAULT_READ : QUOLL_FAULT_WRITE;
	fault->iova = lines->raw[2];
	fault->log_us = lines->log_us;
	fault->mark = lines->mark;
	copy_reason(fault, name);
	return true;
}

/* event: F_TRANSLATION client: 0000:03:00.0 sid: 0x300 ...: says whose stream the raw words before it were about. */
static void name_client(const char *p, struct quoll_fault *fault)
{
	char name[sizeof(fault->device)];
	size_t len;

	p = strstr(p, " client: ");
	if (!p)
		return;
	p += strlen(" client: ");
	len = strcspn(p, " ");
	if (!len || len >= sizeof(name) || p[0] == '(') /* "(unassigned sid)" */
		return;
	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)p[i]))
			return;
	memcpy(fault->device, p, len);
	fault->device[len] = '\0';
}

/*
 * arm-smmu-v3 arm-smmu-v3.0.auto: event 0x10 received:
 * arm-smmu-v3 arm-smmu-v3.0.auto: \x090x0000030000000010     four of these
 * arm-smmu-v3 arm-smmu-v3.0.auto: event: F_TRANSLATION client: 0000:03:00.0 sid: 0x300 ...     since 6.15
 */
static enum fault_line smmu_line(struct fault_lines *lines, const char *text, struct quoll_fault *fault)
{
	char who[sizeof(lines->who)];
	const char *p = smmu_speaks(text, who, sizeof(who));
	bool same = p && lines->who[0] && !strcmp(who, lines->who);
	uint64_t word;

	if (same && lines->nr == 4 && !strncmp(p, "event: ", 7)) {
		if (!fault_lines_end(lines, fault))
			return FAULT_LINE_NONE;
		name_client(p, fault);
		return FAULT_LINE_FAULT;
	}
	if (same && lines->nr < 4 && (skip(&p, "\\x09") || skip(&p, "\t")) && take_hex(&p, &word) && !*p) {
		lines->raw[lines->nr++] = word;
		return FAULT_LINE_NONE;
	}
	if (lines->who[0] && lines->nr < 4 && !same)
		return FAULT_LINE_NONE; /* somebody else's, in between */
	/* Another line ends an event: it is complete, or it never will be. */
	if (lines->who[0] && fault_lines_end(lines, fault))
		return FAULT_LINE_EARLIER;
	if (p && skip(&p, "event 0x") && take_hex(&p, &word) && skip(&p, " received:")) {
		memcpy(lines->who, who, sizeof(who));
		lines->nr = 0;
	}
	return FAULT_LINE_NONE;
}

enum fault_line fault_line(struct fault_lines *lines, const char *text, uint64_t log_us, uint64_t mark,
			   struct quoll_fault *fault)
{
	enum fault_line what;

	memset(fault, 0, sizeof(*fault));
	what = smmu_line(lines, text, fault);
	if (lines->who[0] && !lines->nr) {
		lines->log_us = log_us;
		lines->mark = mark;
	}
	if (what != FAULT_LINE_NONE)
		return what;
	memset(fault, 0, sizeof(*fault));
	if (!vtd_line(text, fault)) {
		memset(fault, 0, sizeof(*fault));
		if (!amd_line(text, fault))
			return FAULT_LINE_NONE;
	}
	fault->log_us = log_us;
	fault->mark = mark;
	return FAULT_LINE_FAULT;
}
