/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * caps.h - the capabilities that both sides state in VERSION: JSON in, JSON out.
 *
 * Source: the specification's section on VFIO_USER_VERSION. Thread rule: pure functions, any thread; set-up, they
 * allocate.
 */
#ifndef QUOLL_EAL_VFIO_USER_CAPS_H
#define QUOLL_EAL_VFIO_USER_CAPS_H

#include <stdbool.h>
#include <stddef.h>

#include <vfio_user/wire.h>

/* Peers in the field send some 200 bytes. */
#define VUSER_CAPS_MAX_BYTES 4096u

/**
 * struct vuser_caps - what a side can take
 * @max_msg_fds:    fds in one message; may be 0
 * @max_data_bytes: data of one read or write, "max_data_xfer_size"; at least 1
 * @max_dma_maps:   DMA_MAPs in force at once; of interest in a server's
 * @pgsizes:        page sizes of DMA_MAP, a bit each; not 0
 * @write_multiple: knows REGION_WRITE_MULTI
 * @twin_socket:    server's commands on a socket of their own: a client can, a server does
 * @twin_fd_index:  which fd of the server's reply that socket is; -1 if it does not say
 */
struct vuser_caps {
	uint32_t max_msg_fds;
	uint32_t max_data_bytes;
	uint32_t max_dma_maps;
	uint64_t pgsizes;
	bool write_multiple;
	bool twin_socket;
	int twin_fd_index;
};

/* What holds for a side that states nothing. */
void vuser_caps_default(struct vuser_caps *caps);

/*
 * What follows struct vuser_version in the message: @bytes with the terminating zero, or 0 bytes. What is not mentioned
 * has its default, what is unknown is passed over, what is more than a field holds becomes the field's largest.
 * Return: 0; -EPROTO: no JSON of this form, a negative number, nothing where there must be something; -ENOMEM.
 */
int vuser_caps_parse(const void *text, size_t bytes, struct vuser_caps *caps);

/* The text, to be freed with free(); send it with its terminating zero. Return: NULL if there is no memory. */
char *vuser_caps_print(const struct vuser_caps *caps);

#endif
