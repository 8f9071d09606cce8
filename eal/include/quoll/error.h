/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * error.h - an error that a person can act on.
 *
 * Functions return 0 or a count, else -errno. Those whose failure a person must mend also take a struct quoll_error
 * and fill it in: at which stage, on what, what was found, and what to do. NULL is allowed and means "errno will do".
 * Device status (an NVMe status code, say) is data, not an error of this kind.
 */
#ifndef QUOLL_ERROR_H
#define QUOLL_ERROR_H

#include <quoll/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct quoll_error - what went wrong, where, and the way out
 * @errnum:  positive errno; 0 while nothing is wrong
 * @stage:   which step failed ("claim", "map", "enable"); a word or two
 * @subject: the device, group, address or path it failed on, as the user spells it
 * @what:    what was found, one sentence without a full stop; may hold line breaks for lists of members
 * @hint:    what mends it, as a command or an instruction; empty if there is none
 *
 * Strings are always terminated; what does not fit is cut.
 */
struct quoll_error {
	int errnum;
	char stage[32];
	char subject[128];
	char what[1024];
	char hint[512];
};

/**
 * quoll_error_set() - fill in an error and hand its number back
 * @err:     to be filled in, or NULL
 * @errnum:  positive errno
 * @stage:   see struct quoll_error
 * @subject: see struct quoll_error; NULL counts as ""
 * @fmt:     printf format of the sentence for @what
 *
 * Overwrites what @err held, hint included. Return: -@errnum, so that it ends a function: return quoll_error_set(...).
 * Thread rule: any thread, one at a time an object; not for the hot path.
 */
QUOLL_API int quoll_error_set(struct quoll_error *err, int errnum, const char *stage, const char *subject,
			      const char *fmt, ...) QUOLL_PRINTF(5, 6);

/**
 * quoll_error_append() - add to the sentence, for lists of members
 */
QUOLL_API void quoll_error_append(struct quoll_error *err, const char *fmt, ...) QUOLL_PRINTF(2, 3);

/**
 * quoll_error_hint() - say what mends it; replaces an earlier hint
 */
QUOLL_API void quoll_error_hint(struct quoll_error *err, const char *fmt, ...) QUOLL_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif
#endif
