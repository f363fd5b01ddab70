/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Requests from C programs in a guest of schedrig to the host: snapshots, watches and kernel ops; marks of phases;
 * metrics. Nothing to link with.
 *
 *	#include "schedrig.h"
 *
 *	schedrig_snapshot("mid-run");
 *
 * All functions return 0 when the host has met the request, or a negative number: SCHEDRIG_NO_HOST if schedrig did not
 * start this machine, SCHEDRIG_REFUSED with the reason in schedrig_reason(), SCHEDRIG_TOO_LONG. The machine is frozen
 * until the host has answered. Not for several threads at a time.
 */
#ifndef SCHEDRIG_H
#define SCHEDRIG_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SCHEDRIG_NO_HOST -1
#define SCHEDRIG_REFUSED -2
#define SCHEDRIG_TOO_LONG -3

#define SCHEDRIG_HEADER 16
#define SCHEDRIG_BUFFER 65536

/* The frame, and the answer to it. */
static unsigned char schedrig_buffer[SCHEDRIG_BUFFER] __attribute__((aligned(4096)));
static char schedrig_words[513];

/* CRC-32 of IEEE 802.3. */
static inline uint32_t schedrig_crc(const unsigned char *bytes, size_t len)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static inline void schedrig_put(size_t at, uint32_t word)
{
	for (int i = 0; i < 4; i++)
		schedrig_buffer[at + i] = word >> 8 * i;
}

static inline uint32_t schedrig_get(size_t at)
{
	uint32_t word = 0;

	for (int i = 0; i < 4; i++)
		word |= (uint32_t)schedrig_buffer[at + i] << 8 * i;
	return word;
}

static inline int schedrig_is(const char *kind)
{
	return memcmp(schedrig_buffer, kind, 4) == 0;
}

/* Why the last request was refused. */
static inline const char *schedrig_reason(void)
{
	return schedrig_words;
}

/* Sends a frame of a kind, four letters; the buffer then holds the answer. */
static inline int schedrig_say(const char *kind, const void *payload, size_t len)
{
	schedrig_words[0] = 0;
	if (len > SCHEDRIG_BUFFER - SCHEDRIG_HEADER)
		return SCHEDRIG_TOO_LONG;
	/* The host only writes to present, writable pages of this program: so each is written to first. */
	memset(schedrig_buffer, 0, sizeof(schedrig_buffer));
	memcpy(schedrig_buffer, kind, 4);
	schedrig_put(4, len);
	if (len)
		memcpy(schedrig_buffer + SCHEDRIG_HEADER, payload, len);
	schedrig_put(8, schedrig_crc(schedrig_buffer + SCHEDRIG_HEADER, len));
	schedrig_put(12, schedrig_crc(schedrig_buffer, 12));
#ifdef __x86_64__
	/* nopl 0x47495253(%rax,%rax,1) */
	__asm__ volatile(".byte 0x0f, 0x1f, 0x84, 0x00, 'S', 'R', 'I', 'G'"
			 :
			 : "D"(schedrig_buffer), "S"(SCHEDRIG_HEADER + len), "d"((uint64_t)SCHEDRIG_BUFFER)
			 : "memory");
#endif
	if (schedrig_is(kind))
		return SCHEDRIG_NO_HOST;
	if (schedrig_is("DENY")) {
		/* Postcard: the length of the text, 7 bits a byte, and the text. */
		size_t at = SCHEDRIG_HEADER, size = 0;
		int shift = 0;

		do {
			size |= (size_t)(schedrig_buffer[at] & 0x7f) << shift;
			shift += 7;
		} while (schedrig_buffer[at++] & 0x80 && shift < 28);
		if (size > sizeof(schedrig_words) - 1)
			size = sizeof(schedrig_words) - 1;
		memcpy(schedrig_words, schedrig_buffer + at, size);
		schedrig_words[size] = 0;
		return SCHEDRIG_REFUSED;
	}
	return 0;
}

static inline int schedrig_look(uint32_t kind, const char *tag)
{
	static uint32_t asked;
	unsigned char request[72] = { 0 };
	int error;

	if (strlen(tag) > 64)
		return SCHEDRIG_TOO_LONG;
	asked++;
	memcpy(request, &asked, 4);
	memcpy(request + 4, &kind, 4);
	memcpy(request + 8, tag, strlen(tag));
	error = schedrig_say("SNRQ", request, sizeof(request));
	if (error || schedrig_get(SCHEDRIG_HEADER + 4) == 1)
		return error;
	memcpy(schedrig_words, schedrig_buffer + SCHEDRIG_HEADER + 8, 512);
	return SCHEDRIG_REFUSED;
}

/* Requests a snapshot of the kernel, taken now; the tag has at most 64 bytes. */
static inline int schedrig_snapshot(const char *tag)
{
	return schedrig_look(1, tag);
}

/*
 * Requests a snapshot for every store of the kernel to the number at this path, as "runqueues[0].nr_running" or
 * "jiffies_64"; a run has at most three such watches.
 */
static inline int schedrig_watch(const char *path)
{
	return schedrig_look(2, path);
}

/* Marks the phases of a scenario. */
static inline int schedrig_scenario_start(void)
{
	return schedrig_say("SCST", NULL, 0);
}

static inline int schedrig_scenario_pause(void)
{
	return schedrig_say("SCPA", NULL, 0);
}

static inline int schedrig_scenario_resume(void)
{
	return schedrig_say("SCRE", NULL, 0);
}

/* Reports that another scheduler took over: periodic snapshots go on with it. */
static inline int schedrig_scheduler_swapped(void)
{
	return schedrig_say("SWAP", NULL, 0);
}

/* Keeps a measurement in the record. */
static inline int schedrig_metrics(const char *text)
{
	return schedrig_say("PMET", text, strlen(text));
}

/* Reads 64 bits at a symbol of the kernel. */
static inline int schedrig_read_u64(const char *symbol, uint64_t *value)
{
	/* Postcard: id, tag "c", read, cold, one entry: Symbol { name }, U64(0). */
	unsigned char request[160] = { 1, 1, 'c', 0, 0, 1, 0 };
	size_t len = strlen(symbol), at = 7;
	int error, shift = 0;

	if (len > 127)
		return SCHEDRIG_TOO_LONG;
	request[at++] = len;
	memcpy(request + at, symbol, len);
	at += len;
	request[at++] = 1;
	request[at++] = 0;
	error = schedrig_say("KORQ", request, at);
	if (error)
		return error;
	/* The reply: id 1, success, the reason, one value: U64. */
	at = SCHEDRIG_HEADER + 1;
	if (schedrig_buffer[at++] != 1) {
		size_t size = schedrig_buffer[at] & 0x7f;

		if (schedrig_buffer[at++] & 0x80)
			size |= (size_t)schedrig_buffer[at++] << 7;
		memcpy(schedrig_words, schedrig_buffer + at, size < 512 ? size : 512);
		return SCHEDRIG_REFUSED;
	}
	at += 1 + 1 + 1;
	*value = 0;
	do {
		*value |= (uint64_t)(schedrig_buffer[at] & 0x7f) << shift;
		shift += 7;
	} while (schedrig_buffer[at++] & 0x80 && shift < 64);
	return 0;
}

#endif /* SCHEDRIG_H */
