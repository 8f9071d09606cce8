/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * names.c - names of PCI devices and classes from libpci's database.
 *
 * libpci ends the program when it runs out of memory or finds its database malformed, unless its error handler does not
 * come back. Ours jumps out; the handler gets no argument, so where to is kept per thread, for the length of a call.
 */
#include <pci/pci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct pci_names {
	struct pci_access *access;
	bool broken; /* libpci gave up: do not ask it again */
};

static _Thread_local jmp_buf *way_out;

static void QUOLL_PRINTF(1, 2) __attribute__((noreturn)) on_error(char *fmt, ...)
{
	(void)fmt;
	longjmp(*way_out, 1);
}

static void QUOLL_PRINTF(1, 2) on_message(char *fmt, ...)
{
	(void)fmt;
}

struct pci_names *pci_names_open(void)
{
	struct pci_names *names = calloc(1, sizeof(*names));
	jmp_buf here;

	if (!names)
		return NULL;
	way_out = &here;
	if (setjmp(here)) {
		names->broken = true;
	} else {
		names->access = pci_alloc();
		names->access->error = on_error;
		names->access->warning = on_message;
		names->access->debug = on_message;
		names->access->method = PCI_ACCESS_SYS_BUS_PCI; /* nothing is read by it: only names are asked for */
		pci_init(names->access);
	}
	way_out = NULL;
	return names;
}

void pci_names_close(struct pci_names *names)
{
	if (!names)
		return;
	if (!names->broken)
		pci_cleanup(names->access);
	free(names);
}

static void lookup(struct pci_access *access, struct quoll_member *m)
{
	char text[sizeof(m->description)];
	const char *found;

	found = pci_lookup_name(access, text, sizeof(text),
				PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE | PCI_LOOKUP_NO_NUMBERS, m->vendor_id,
				m->device_id);
	if (found) {
		snprintf(m->description, sizeof(m->description), "%s", found);
	} else {
		found = pci_lookup_name(access, text, sizeof(text), PCI_LOOKUP_VENDOR | PCI_LOOKUP_NO_NUMBERS,
					m->vendor_id);
		if (found)
			snprintf(m->description, sizeof(m->description), "%.110s device %04x", found, m->device_id);
	}
	found = pci_lookup_name(access, text, sizeof(text), PCI_LOOKUP_CLASS | PCI_LOOKUP_NO_NUMBERS,
				m->class_code >> 8);
	if (found)
		snprintf(m->class_name, sizeof(m->class_name), "%s", found);
	printable(m->description);
	printable(m->class_name);
}

void pci_names_find(struct pci_names *names, struct quoll_member *member)
{
	jmp_buf here;

	if (!names || names->broken)
		return;
	way_out = &here;
	if (setjmp(here))
		names->broken = true;
	else
		lookup(names->access, member);
	way_out = NULL;
}
