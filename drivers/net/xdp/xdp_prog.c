/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * xdp_prog.c - the program on the interface: frames of a queue that has a socket go to it, all others to the kernel.
 *
 * It hangs on a link that is never pinned: the kernel takes the program off when the last descriptor of the link is
 * closed, so also when the process is killed. libxdp's own program stays behind then; that is why it is not used.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <string.h>
#include <unistd.h>

#include "xdp.h"

#ifndef BPF_F_XDP_HAS_FRAGS
#define BPF_F_XDP_HAS_FRAGS (1u << 5)
#endif

#define INSN(op, dst, src, offset, value)                                                                              \
	{                                                                                                              \
		.code = (op), .dst_reg = (dst), .src_reg = (src), .off = (offset), .imm = (value)                      \
	}

/* return bpf_redirect_map(&map, ctx->rx_queue_index, XDP_PASS): pass where the map has no socket. Linux 5.3. */
static int load(int map_fd, bool frags)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct xdp_md, rx_queue_index), 0),
		INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map_fd),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, XDP_PASS),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = frags ? BPF_F_XDP_HAS_FRAGS : 0);

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "quoll_xdp", "BSD", insns, sizeof(insns) / sizeof(insns[0]), &opts);
}

static int refuse(const struct xdp_port *xp, int rc, const char *what, struct quoll_error *err)
{
	const char *name = xp->ifc.name;

	quoll_error_set(err, -rc, "program", name, "%s", what);
	if (rc == -EPERM || rc == -EACCES)
		quoll_error_hint(err, "run as root, or give the program CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW: "
				      "setcap cap_bpf,cap_net_admin,cap_net_raw+ep FILE");
	else if (rc == -EBUSY || rc == -EEXIST)
		quoll_error_hint(err,
				 "another XDP program is on it; take it off, or end who put it there: "
				 "ip link set dev %s xdp off",
				 name);
	else if (rc == -ERANGE || rc == -EINVAL)
		quoll_error_hint(err,
				 "a smaller mtu, of %s and, with veth, of its peer: without rx-scatter a frame must "
				 "fit a page",
				 name);
	else if (rc == -EOPNOTSUPP)
		quoll_error_hint(err, "xdp:%s?mode=generic", name);
	return rc;
}

static int attach(const struct xdp_port *xp, int prog_fd, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);

	return bpf_link_create(prog_fd, xp->ifc.idx, BPF_XDP, &opts);
}

static int attach_as_wanted(struct xdp_port *xp, int prog_fd)
{
	int fd = xp->mode == XDP_MODE_GENERIC ? -EOPNOTSUPP : attach(xp, prog_fd, XDP_FLAGS_DRV_MODE);

	xp->prog.generic = fd == -EOPNOTSUPP && xp->mode != XDP_MODE_NATIVE;
	return xp->prog.generic ? attach(xp, prog_fd, XDP_FLAGS_SKB_MODE) : fd;
}

static int put_in_map(struct xdp_port *xp, unsigned int nr_queues)
{
	for (unsigned int i = 0; i < nr_queues; i++) {
		uint32_t key = xp->first_queue + i;
		int fd = xp->socks[i]->fd;

		if (xp->port.rxqs[i] && bpf_map_update_elem(xp->prog.map_fd, &key, &fd, BPF_ANY))
			return -errno;
	}
	return 0;
}

int xdp_prog_attach(struct xdp_port *xp, unsigned int nr_queues, struct quoll_error *err)
{
	bool frags = xp->port.settings.offloads & QUOLL_OFFLOAD_RX_SCATTER;
	int prog_fd, rc;

	xp->prog.map_fd = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "quoll_xsks", sizeof(uint32_t), sizeof(int),
					 xp->first_queue + nr_queues, NULL);
	if (xp->prog.map_fd < 0)
		return refuse(xp, xp->prog.map_fd, "the map of sockets cannot be made", err);
	rc = put_in_map(xp, nr_queues);
	if (rc)
		return refuse(xp, rc, "a socket cannot be put into the map", err);
	prog_fd = load(xp->prog.map_fd, frags);
	if (prog_fd < 0)
		return refuse(xp, prog_fd, "the XDP program cannot be loaded", err);
	xp->prog.link_fd = attach_as_wanted(xp, prog_fd);
	close(prog_fd);
	if (xp->prog.link_fd < 0)
		return refuse(xp, xp->prog.link_fd, "the XDP program cannot be attached", err);
	return 0;
}

void xdp_prog_detach(struct xdp_prog *prog)
{
	if (prog->link_fd >= 0)
		close(prog->link_fd);
	if (prog->map_fd >= 0)
		close(prog->map_fd);
	prog->link_fd = prog->map_fd = -1;
}
