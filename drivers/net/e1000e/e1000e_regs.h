/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * e1000e_regs.h - registers and descriptors of the Intel 82574 (8086:10d3).
 *
 * Source: Intel 82574 GbE Controller Family Datasheet, revision 3.4, June 2014: registers in chapter 10, receive
 * descriptors in 7.1, transmit descriptors in 7.2. Only what the driver uses is here.
 */
#ifndef QUOLL_E1000E_REGS_H
#define QUOLL_E1000E_REGS_H

#include <assert.h>

#include <quoll/types.h>

#define E1000E_VENDOR_ID 0x8086
#define E1000E_DEVICE_ID 0x10d3
#define E1000E_REGS_BYTES 0x20000u

enum e1000e_reg {
	E1000E_CTRL = 0x0000,
	E1000E_STATUS = 0x0008,
	E1000E_EECD = 0x0010,
	E1000E_CTRL_EXT = 0x0018,
	E1000E_MDIC = 0x0020,
	E1000E_FCAL = 0x0028,
	E1000E_FCAH = 0x002c,
	E1000E_FCT = 0x0030,
	E1000E_VET = 0x0038,
	E1000E_ICR = 0x00c0,
	E1000E_IMS = 0x00d0,
	E1000E_IMC = 0x00d8,
	E1000E_EIAC = 0x00dc,
	E1000E_IAM = 0x00e0,
	E1000E_IVAR = 0x00e4,
	E1000E_EITR = 0x00e8, /* of vector 0; the next four follow */
	E1000E_RCTL = 0x0100,
	E1000E_FCTTV = 0x0170,
	E1000E_TCTL = 0x0400,
	E1000E_TIPG = 0x0410,
	E1000E_EXTCNF_CTRL = 0x0f00,
	E1000E_FCRTL = 0x2160,
	E1000E_FCRTH = 0x2168,
	E1000E_RDBAL = 0x2800, /* of queue 0; queue 1 is E1000E_QUEUE_STRIDE on */
	E1000E_RDBAH = 0x2804,
	E1000E_RDLEN = 0x2808,
	E1000E_RDH = 0x2810,
	E1000E_RDT = 0x2818,
	E1000E_RDTR = 0x2820,
	E1000E_RXDCTL = 0x2828,
	E1000E_RADV = 0x282c,
	E1000E_RSRPD = 0x2c00,
	E1000E_TDBAL = 0x3800,
	E1000E_TDBAH = 0x3804,
	E1000E_TDLEN = 0x3808,
	E1000E_TDH = 0x3810,
	E1000E_TDT = 0x3818,
	E1000E_TXDCTL = 0x3828,
	E1000E_TARC = 0x3840,
	E1000E_CRCERRS = 0x4000, /* first of the counters, which are cleared when read */
	E1000E_ALGNERRC = 0x4004,
	E1000E_RXERRC = 0x400c,
	E1000E_MPC = 0x4010,
	E1000E_ECOL = 0x4018,
	E1000E_LATECOL = 0x4020,
	E1000E_CEXTERR = 0x403c,
	E1000E_RLEC = 0x4040,
	E1000E_ROC = 0x40ac,
	E1000E_STATS_LAST = 0x4124,
	E1000E_RXCSUM = 0x5000,
	E1000E_RFCTL = 0x5008,
	E1000E_MTA = 0x5200,
	E1000E_RAL = 0x5400, /* of entry 0; RAH and the next entries follow */
	E1000E_RAH = 0x5404,
	E1000E_VFTA = 0x5600,
	E1000E_MRQC = 0x5818,
	E1000E_GCR = 0x5b00,
	E1000E_GCR2 = 0x5b64,
	E1000E_RETA = 0x5c00,
	E1000E_RSSRK = 0x5c80,
};

#define E1000E_QUEUE_STRIDE 0x100u
#define E1000E_MAX_QUEUES 2u
#define E1000E_NR_VECTORS 5u
#define E1000E_MTA_REGS 128u
#define E1000E_VFTA_REGS 128u
#define E1000E_NR_RAR 16u
#define E1000E_RSS_ENTRIES 128u /* four a register */

/* CTRL */
#define E1000E_CTRL_GIO_MASTER_DISABLE (1u << 2)
#define E1000E_CTRL_SLU (1u << 6)
#define E1000E_CTRL_FRCSPD (1u << 11)
#define E1000E_CTRL_FRCDPX (1u << 12)
#define E1000E_CTRL_RST (1u << 26)
#define E1000E_CTRL_RFCE (1u << 27)
#define E1000E_CTRL_TFCE (1u << 28)
#define E1000E_CTRL_VME (1u << 30)
#define E1000E_CTRL_PHY_RST (1u << 31)
#define E1000E_CTRL_BIT29 (1u << 29) /* reserved, to be written as 0 */

/* STATUS */
#define E1000E_STATUS_FD (1u << 0)
#define E1000E_STATUS_LU (1u << 1)
#define E1000E_STATUS_SPEED_SHIFT 6
#define E1000E_STATUS_SPEED_MASK 3u
#define E1000E_STATUS_GIO_MASTER_ENABLE (1u << 19)

/* EECD, CTRL_EXT, EXTCNF_CTRL, GCR, GCR2 */
#define E1000E_EECD_AUTO_RD (1u << 9)
#define E1000E_CTRL_EXT_BIT22 (1u << 22) /* reserved, to be written as 1 */
#define E1000E_CTRL_EXT_BIT23 (1u << 23) /* reserved, to be written as 0 */
#define E1000E_CTRL_EXT_EIAME (1u << 24)
#define E1000E_CTRL_EXT_IAME (1u << 27)
#define E1000E_CTRL_EXT_DRV_LOAD (1u << 28)
#define E1000E_CTRL_EXT_PBA_CLR (1u << 31)
#define E1000E_EXTCNF_CTRL_MDIO_SW_OWNERSHIP (1u << 5)
#define E1000E_GCR_BIT22 (1u << 22) /* reserved, to be written as 1 */
#define E1000E_GCR2_BIT0 (1u << 0)  /* likewise: completions go astray with ASPM without it */

/* MDIC and the PHY register behind it */
#define E1000E_MDIC_DATA_MASK 0xffffu
#define E1000E_MDIC_REG_SHIFT 16
#define E1000E_MDIC_PHY_1 (1u << 21)
#define E1000E_MDIC_OP_WRITE (1u << 26)
#define E1000E_MDIC_OP_READ (1u << 27)
#define E1000E_MDIC_READY (1u << 28)
#define E1000E_MDIC_ERROR (1u << 30)
#define E1000E_PHY_CONTROL 0
#define E1000E_PHY_CONTROL_RESTART_AN (1u << 9)
#define E1000E_PHY_CONTROL_POWER_DOWN (1u << 11)
#define E1000E_PHY_CONTROL_AN_ENABLE (1u << 12)

/* ICR, IMS, IMC */
#define E1000E_INT_LSC (1u << 2)
#define E1000E_INT_RXQ0 (1u << 20) /* queue 1 is the next bit */
#define E1000E_INT_OTHER (1u << 24)
#define E1000E_INT_ALL UINT32_MAX

/* IVAR: a vector and a valid bit for each cause */
#define E1000E_IVAR_VALID 8u
#define E1000E_IVAR_RXQ0_SHIFT 0
#define E1000E_IVAR_RXQ1_SHIFT 4
#define E1000E_IVAR_OTHER_SHIFT 16

/* RCTL */
#define E1000E_RCTL_EN (1u << 1)
#define E1000E_RCTL_UPE (1u << 3)
#define E1000E_RCTL_MPE (1u << 4)
#define E1000E_RCTL_LPE (1u << 5)
#define E1000E_RCTL_BAM (1u << 15)
#define E1000E_RCTL_BSIZE_SHIFT 16 /* 2048, 1024, 512, 256; with BSEX a reserved value, 16384, 8192, 4096 */
#define E1000E_RCTL_BSIZE_MASK 3u
#define E1000E_RCTL_BSEX (1u << 25)
#define E1000E_RCTL_SECRC (1u << 26)
#define E1000E_RCTL_FLXBUF_SHIFT 27 /* in KiB; 0: BSIZE counts */
#define E1000E_RCTL_FLXBUF_MASK 15u

/* TCTL, TIPG, TXDCTL, RXDCTL, TARC */
#define E1000E_TCTL_EN (1u << 1)
#define E1000E_TCTL_PSP (1u << 3)
#define E1000E_TCTL_CT_SHIFT 4
#define E1000E_TCTL_COLD_SHIFT 12
#define E1000E_TCTL_RTLC (1u << 24)
#define E1000E_TIPG_COPPER (8u | 8u << 10 | 6u << 20)
#define E1000E_DCTL_PTHRESH_SHIFT 0
#define E1000E_DCTL_HTHRESH_SHIFT 8
#define E1000E_DCTL_WTHRESH_SHIFT 16
#define E1000E_DCTL_GRAN (1u << 24)
#define E1000E_TXDCTL_BIT22 (1u << 22) /* reserved, to be written as 1 */
#define E1000E_TARC_COUNT_1 3u
#define E1000E_TARC_ENABLE (1u << 10)
#define E1000E_TARC_BIT26 (1u << 26) /* reserved, to be written as 1 in TARC0 */

/* RXCSUM, RFCTL, RAH, MRQC, RETA */
#define E1000E_RXCSUM_IPOFLD (1u << 8)
#define E1000E_RXCSUM_TUOFLD (1u << 9)
#define E1000E_RXCSUM_PCSD (1u << 13)
#define E1000E_RFCTL_NFSW_DIS (1u << 6)
#define E1000E_RFCTL_NFSR_DIS (1u << 7)
#define E1000E_RFCTL_ACK_DIS (1u << 12)
#define E1000E_RFCTL_EXSTEN (1u << 15)
#define E1000E_RAH_AV (1u << 31)
#define E1000E_MRQC_RSS_2Q 1u
#define E1000E_MRQC_TCPIPV4 (1u << 16)
#define E1000E_MRQC_IPV4 (1u << 17)
#define E1000E_MRQC_TCPIPV6 (1u << 18)
#define E1000E_MRQC_IPV6 (1u << 20)
#define E1000E_RETA_QUEUE_1 0x80u

/*
 * Receive descriptor, extended format (7.1). What we write: address, zero. What the device writes back: MRQ and RSS
 * hash in the first half; status, errors, length and VLAN tag in the second.
 */
struct e1000e_rx_desc {
	quoll_le64 first;
	quoll_le64 second;
};

static_assert(sizeof(struct e1000e_rx_desc) == 16, "a receive descriptor is 16 bytes");

/* In the first half */
#define E1000E_RX_MRQ_TYPE_MASK 15u
#define E1000E_RX_RSS_SHIFT 32
/* In the second half */
#define E1000E_RX_DD (1ull << 0)
#define E1000E_RX_EOP (1ull << 1)
#define E1000E_RX_IXSM (1ull << 2)
#define E1000E_RX_VP (1ull << 3)
#define E1000E_RX_UDPCS (1ull << 4)
#define E1000E_RX_TCPCS (1ull << 5)
#define E1000E_RX_IPCS (1ull << 6)
#define E1000E_RX_CE (1ull << 24)
#define E1000E_RX_SE (1ull << 25)
#define E1000E_RX_SEQ (1ull << 26)
#define E1000E_RX_CXE (1ull << 28)
#define E1000E_RX_TCPE (1ull << 29)
#define E1000E_RX_IPE (1ull << 30)
#define E1000E_RX_RXE (1ull << 31)
#define E1000E_RX_FRAME_ERRORS (E1000E_RX_CE | E1000E_RX_SE | E1000E_RX_SEQ | E1000E_RX_CXE | E1000E_RX_RXE)
#define E1000E_RX_LENGTH_SHIFT 32
#define E1000E_RX_VLAN_SHIFT 48

/*
 * Transmit descriptors (7.2): legacy, extended data, context. Second half of the first two, as what it shares:
 * length, command, status, VLAN tag.
 */
struct e1000e_tx_desc {
	quoll_le64 first;
	quoll_le64 second;
};

static_assert(sizeof(struct e1000e_tx_desc) == 16, "a transmit descriptor is 16 bytes");

#define E1000E_TX_DTYP_DATA (1ull << 20)
#define E1000E_TX_EOP (1ull << 24)
#define E1000E_TX_IFCS (1ull << 25)
#define E1000E_TX_RS (1ull << 27)
#define E1000E_TX_DEXT (1ull << 29)
#define E1000E_TX_VLE (1ull << 30)
#define E1000E_TX_DD (1ull << 32)
#define E1000E_TX_IXSM (1ull << 40)
#define E1000E_TX_TXSM (1ull << 41)
#define E1000E_TX_VLAN_SHIFT 48
/* Context: first half */
#define E1000E_TX_IPCSS_SHIFT 0
#define E1000E_TX_IPCSO_SHIFT 8
#define E1000E_TX_IPCSE_SHIFT 16
#define E1000E_TX_TUCSS_SHIFT 32
#define E1000E_TX_TUCSO_SHIFT 40
/* Context: second half; DEXT without DTYP_DATA */
#define E1000E_TX_TUCMD_TCP (1ull << 24)
#define E1000E_TX_TUCMD_IP (1ull << 25)

#endif
