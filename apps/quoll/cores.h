/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cores.h - lists of cores, as verbs with threads take them.
 */
#ifndef QUOLL_APPS_CORES_H
#define QUOLL_APPS_CORES_H

#include "cli.h"

/**
 * cores_parse() - "0,2-4" to 0 2 3 4
 * Return: how many, -EINVAL (not such a list), -ERANGE (more than @max, or a core above 4095).
 */
int cores_parse(const char *text, unsigned int *cores, unsigned int max);

/**
 * cores_option() - the value of --cores
 * Return: 0 with *@nr, or an exit status after the error was printed.
 */
int cores_option(const struct cli *cli, const char *text, unsigned int *cores, unsigned int max, unsigned int *nr);

#endif
