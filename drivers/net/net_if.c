/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_if.c - see net_if.h. Source: netdevice(7), packet(7), linux/ethtool.h.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_if.h"

static int ask(const struct net_if *ifc, unsigned long what, struct ifreq *req)
{
	memcpy(req->ifr_name, ifc->name, sizeof(req->ifr_name));
	return ioctl(ifc->fd, what, req) ? -errno : 0;
}

static int ask_ethtool(const struct net_if *ifc, void *cmd)
{
	struct ifreq req = {.ifr_data = cmd};

	return ask(ifc, SIOCETHTOOL, &req);
}

int net_if_open(struct net_if *ifc, const char *name, struct quoll_error *err)
{
	size_t length = strlen(name);
	int rc;

	*ifc = (struct net_if){.fd = -1, .filter_fd = -1};
	if (!length || length >= IFNAMSIZ)
		return quoll_error_set(err, EINVAL, "address", name, "the name of an interface has 1 to %d characters",
				       IFNAMSIZ - 1);
	memcpy(ifc->name, name, length);
	ifc->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ifc->fd < 0)
		return quoll_error_set(err, errno, "open", name, "no socket to ask about the interface with");
	ifc->idx = (int)if_nametoindex(name);
	if (ifc->idx)
		return 0;
	rc = quoll_error_set(err, ENODEV, "open", name, "there is no such interface in this network namespace");
	quoll_error_hint(err, "ip -br link");
	net_if_close(ifc);
	return rc;
}

void net_if_close(struct net_if *ifc)
{
	if (ifc->filter_fd >= 0)
		close(ifc->filter_fd);
	if (ifc->fd >= 0)
		close(ifc->fd);
	ifc->fd = ifc->filter_fd = -1;
}

int net_if_mac(const struct net_if *ifc, uint8_t *mac)
{
	struct ifreq req = {0};
	int rc = ask(ifc, SIOCGIFHWADDR, &req);

	memset(mac, 0, QUOLL_MAC_BYTES);
	if (!rc && req.ifr_hwaddr.sa_family == ARPHRD_ETHER)
		memcpy(mac, req.ifr_hwaddr.sa_data, QUOLL_MAC_BYTES);
	return rc;
}

int net_if_mtu(const struct net_if *ifc, unsigned int *mtu)
{
	struct ifreq req = {0};
	int rc = ask(ifc, SIOCGIFMTU, &req);

	*mtu = rc ? 0 : (unsigned int)req.ifr_mtu;
	return rc;
}

int net_if_raise_mtu(struct net_if *ifc, unsigned int mtu, struct quoll_error *err)
{
	struct ifreq req = {.ifr_mtu = (int)mtu};
	unsigned int now;
	int rc = net_if_mtu(ifc, &now);

	ifc->mtu_raised = 0;
	if (!rc && now >= mtu)
		return 0;
	if (!rc)
		rc = ask(ifc, SIOCSIFMTU, &req);
	if (!rc) {
		ifc->mtu_raised = mtu;
		ifc->mtu_before = now;
		return 0;
	}
	quoll_error_set(err, -rc, "mtu", ifc->name, "the interface's mtu is %u and cannot be made %u", now, mtu);
	quoll_error_hint(err,
			 rc == -EPERM ? "give the program CAP_NET_ADMIN, or: ip link set %s mtu %u"
				      : "a smaller mtu; what %s can do, here %u and less: ip -d link",
			 ifc->name, mtu);
	return rc;
}

void net_if_restore_mtu(struct net_if *ifc)
{
	struct ifreq req = {.ifr_mtu = (int)ifc->mtu_before};
	unsigned int now;

	if (ifc->mtu_raised && !net_if_mtu(ifc, &now) && now == ifc->mtu_raised)
		(void)ask(ifc, SIOCSIFMTU, &req);
	ifc->mtu_raised = 0;
}

unsigned int net_if_nr_queues(const struct net_if *ifc)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	unsigned int alone;

	if (ask_ethtool(ifc, &channels))
		return 1;
	alone = channels.rx_count > channels.tx_count ? channels.rx_count : channels.tx_count;
	return alone + channels.combined_count ? alone + channels.combined_count : 1;
}

static uint32_t speed(const struct net_if *ifc, bool *full_duplex)
{
	struct ethtool_cmd cmd = {.cmd = ETHTOOL_GSET};
	uint32_t mbit_per_s;

	*full_duplex = true;
	if (ask_ethtool(ifc, &cmd))
		return 0;
	*full_duplex = cmd.duplex != DUPLEX_HALF;
	mbit_per_s = ethtool_cmd_speed(&cmd);
	return mbit_per_s == (uint32_t)SPEED_UNKNOWN ? 0 : mbit_per_s;
}

int net_if_check(const struct net_if *ifc, struct quoll_port *port)
{
	struct ifreq req = {.ifr_ifindex = ifc->idx};
	struct quoll_port_link link;
	uint32_t mbit_per_s = 0;
	bool up, full = false;

	/* By its number: another one may have its name by now. */
	if (ioctl(ifc->fd, SIOCGIFNAME, &req) || ioctl(ifc->fd, SIOCGIFFLAGS, &req))
		return -ENODEV;
	up = (req.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
	quoll_port_link(port, &link);
	if (up == link.up)
		return 0;
	if (up)
		mbit_per_s = speed(ifc, &full);
	net_port_set_link(port, up, full, mbit_per_s);
	return 0;
}

/* Filters. */

static int join(const struct net_if *ifc, int fd, int type, const uint8_t *mac)
{
	struct packet_mreq req = {.mr_ifindex = ifc->idx, .mr_type = (unsigned short)type};

	if (mac) {
		req.mr_alen = QUOLL_MAC_BYTES;
		memcpy(req.mr_address, mac, QUOLL_MAC_BYTES);
	}
	return setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &req, sizeof(req)) ? -errno : 0;
}

static int join_mac(const struct net_if *ifc, int fd, const uint8_t *mac)
{
	return join(ifc, fd, mac[0] & 1 ? PACKET_MR_MULTICAST : PACKET_MR_UNICAST, mac);
}

static int join_all(const struct net_if *ifc, int fd, const struct quoll_port *port,
		    const struct quoll_port_settings *s)
{
	int rc = 0;

	if (s->promiscuous)
		rc = join(ifc, fd, PACKET_MR_PROMISC, NULL);
	if (!rc && s->all_multicast)
		rc = join(ifc, fd, PACKET_MR_ALLMULTI, NULL);
	if (!rc && memcmp(s->mac, port->info.mac, QUOLL_MAC_BYTES) != 0)
		rc = join_mac(ifc, fd, s->mac);
	for (unsigned int i = 0; !rc && i < s->nr_macs; i++)
		rc = join_mac(ifc, fd, s->macs[i]);
	return rc;
}

int net_if_filter(struct net_if *ifc, const struct quoll_port *port, const struct quoll_port_settings *settings,
		  struct quoll_error *err)
{
	/* Of no protocol: it receives nothing. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), rc;

	if (fd < 0) {
		rc = quoll_error_set(err, errno, "filter", ifc->name, "no packet socket to hold the filters");
		quoll_error_hint(err, "run as root, or give the program CAP_NET_RAW");
		return rc;
	}
	rc = join_all(ifc, fd, port, settings);
	if (rc) {
		close(fd);
		return quoll_error_set(err, -rc, "filter", ifc->name, "the interface does not take these filters");
	}
	/* The new ones are in force before the old ones go. */
	if (ifc->filter_fd >= 0)
		close(ifc->filter_fd);
	ifc->filter_fd = fd;
	return 0;
}
