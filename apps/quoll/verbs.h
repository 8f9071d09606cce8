/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verbs.h - every verb's description, for the table in main.c and for tests.
 */
#ifndef QUOLL_APPS_VERBS_H
#define QUOLL_APPS_VERBS_H

#include "cli.h"

/* apps/groups */
extern const struct cli_verb verb_groups;
extern const struct cli_verb verb_plan;
extern const struct cli_verb verb_bind;
extern const struct cli_verb verb_restore;

/* apps/doctor */
extern const struct cli_verb verb_doctor;

/* apps/fwd */
extern const struct cli_verb verb_fwd;

/* apps/gen */
extern const struct cli_verb verb_gen;

/* apps/nvme */
extern const struct cli_verb verb_nvme_list;
extern const struct cli_verb verb_nvme_identify;
extern const struct cli_verb verb_nvme_read;
extern const struct cli_verb verb_nvme_write;
extern const struct cli_verb verb_nvme_verify;
extern const struct cli_verb verb_nvme_perf;

/* apps/target */
extern const struct cli_verb verb_target;
extern const struct cli_verb verb_rpc;

#endif
