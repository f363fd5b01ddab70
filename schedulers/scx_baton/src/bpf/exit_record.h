/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why the scheduler ended, as ops.exit sends it to user space through a ring buffer. src/exit.rs reads the same bytes.
 *
 *   offset    0     8          16            144          1168
 *             | kind | exit_code | reason, NUL | message, NUL |
 */
#ifndef SCX_BATON_EXIT_RECORD_H
#define SCX_BATON_EXIT_RECORD_H

enum {
	EXIT_REASON_LEN = 128,
	EXIT_MESSAGE_LEN = 1024,
};

struct exit_record {
	u64 kind; /* enum scx_exit_kind */
	s64 exit_code;
	char reason[EXIT_REASON_LEN];
	char message[EXIT_MESSAGE_LEN];
};

#endif
