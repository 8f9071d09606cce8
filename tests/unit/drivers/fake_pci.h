/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_pci.h - the bus side of a fake device in the test's own process: a back-end whose only group has one PCI device,
 * BAR 0 is a memfd, config space an array. Its DMA goes through what the driver's heap has mapped, with the arena's
 * permissions and the bus master bit; what it may not do is a violation, and tests check that there was none.
 *
 * What the device does is its own fake's: this is its first member.
 */
#ifndef QUOLL_TESTS_FAKE_PCI_H
#define QUOLL_TESTS_FAKE_PCI_H

#include <pthread.h>
#include <stdbool.h>

#include "backend/backend.h"

#define FAKE_PCI_MAX_MAPS 256
#define FAKE_PCI_MAX_VECTORS 16

struct fake_pci {
	/* Knobs, set before the device is opened. */
	uint64_t bar_bytes;
	uint64_t mappable_bytes; /* of BAR 0, from its start; 0 for all */
	bool bar_by_message;	 /* BAR 0 cannot be mapped */
	bool is_process;	 /* as with vfio-user */
	bool hung_up;		 /* messages fail; set between steps */
	unsigned int nr_msix;
	bool forgets_masked;  /* a masked vector does not remember, as with a device in another process */
	int irq_rc;	      /* what changing MSI-X fails with; 0: it works */
	struct quoll_env env; /* of the address space; a test may listen to its log */
	/* BAR 0 has been mapped for the driver; NULL for none. */
	void (*on_map)(struct fake_pci *pci, void *va, uint64_t len);

	/* What was seen. */
	unsigned int nr_violations;			  /* of the device's specification or of DMA permissions */
	char violation[160];				  /* the first */
	unsigned int nr_irq_sets;			  /* of MSI-X, by the driver */
	unsigned int nr_msix_on;			  /* enabled, masked or not */
	unsigned int nr_interrupts[FAKE_PCI_MAX_VECTORS]; /* by vector: eventfds that were signalled */

	/* The machine. */
	int bar_fd;
	uint8_t *bar;
	uint8_t config[256];
	unsigned int nr_maps;
	struct ioas_mapping maps[FAKE_PCI_MAX_MAPS];
	/* May be NULL. What the device also finds, in a window for streaming: NULL if nothing. */
	uint8_t *(*stream_at)(quoll_iova_t iova, uint64_t len, bool write);
	int req_fd;
	int err_fd;
	int msix_fds[FAKE_PCI_MAX_VECTORS];	 /* -1: masked */
	bool msix_pending[FAKE_PCI_MAX_VECTORS]; /* wanted to signal while masked */
	uint64_t seed;
	pthread_mutex_t lock; /* of BAR, config space and interrupts */
};

/* Return: 0, -errno. */
int fake_pci_init(struct fake_pci *pci, uint64_t bar_bytes, uint16_t vendor, uint16_t device, uint32_t class_code);
void fake_pci_fini(struct fake_pci *pci);
/* The address space whose only group has the fake as its only device. */
int fake_pci_ioas_open(struct fake_pci *pci, struct quoll_ioas **ioas);

uint32_t fake_pci_reg(const struct fake_pci *pci, uint64_t offset);
void fake_pci_reg_set(struct fake_pci *pci, uint64_t offset, uint32_t value);
bool fake_pci_bus_master(const struct fake_pci *pci);
/* Host memory at an IOVA, as far as mappings and bus mastering allow; NULL is an IOMMU fault, and a violation. */
void *fake_pci_dma(struct fake_pci *pci, quoll_iova_t iova, uint64_t len, bool write);
void fake_pci_violation(struct fake_pci *pci, const char *fmt, ...) QUOLL_PRINTF(2, 3);
uint32_t fake_pci_random(struct fake_pci *pci);
/* All registers and config space read all ones from now on. */
void fake_pci_yank(struct fake_pci *pci);
/* The kernel asks for the device; an uncorrectable error is reported. */
void fake_pci_request_removal(struct fake_pci *pci);
void fake_pci_report_error(struct fake_pci *pci);
/* An MSI-X message; of a vector that is masked it is sent once that is over. The fake holds the lock. */
void fake_pci_interrupt(struct fake_pci *pci, unsigned int vector);

#endif
