// A program of the guest that asks the host as it should, and as it should not.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "schedrig.h"

static void must(int error, int expected, const char *what)
{
	if (error == expected)
		return;
	printf("%s: %d, %s\n", what, error, schedrig_reason());
	exit(1);
}

/* A call with any buffer at all. */
static void knock(uint64_t buffer, uint64_t len, uint64_t capacity)
{
	__asm__ volatile(".byte 0x0f, 0x1f, 0x84, 0x00, 'S', 'R', 'I', 'G'"
			 :
			 : "D"(buffer), "S"(len), "d"(capacity)
			 : "memory");
}

static void ask(void)
{
	uint64_t jiffies = 0;

	must(schedrig_snapshot("from-c"), 0, "snapshot");
	must(schedrig_scenario_start(), 0, "start");
	must(schedrig_metrics("{\"ops\": 42}"), 0, "metrics");
	must(schedrig_read_u64("jiffies_64", &jiffies), 0, "read");
	must(jiffies > 0 ? 0 : 1, 0, "jiffies");
	must(schedrig_read_u64("no_such_symbol", &jiffies), SCHEDRIG_REFUSED, "no such symbol");
	must(strstr(schedrig_reason(), "no_such_symbol") ? 0 : 1, 0, schedrig_reason());
	must(schedrig_watch("no_such_symbol"), SCHEDRIG_REFUSED, "watch");
	must(schedrig_say("NONE", "x", 1), SCHEDRIG_REFUSED, "unknown");
	/* Nobody but the agent speaks for the agent, nor for the host. */
	must(schedrig_say("RPLY", "\0\0", 2), SCHEDRIG_REFUSED, "reply");
	must(schedrig_say("HELO", "", 0), SCHEDRIG_REFUSED, "hello");
	must(schedrig_say("CMND", "", 0), SCHEDRIG_REFUSED, "command");
	must(schedrig_say("STIM", "short", 5), SCHEDRIG_REFUSED, "stimulus");
}

/* Frames of every kind that a program may send: none of them ends the run or says how it went. */
static void say_everything(void)
{
	static const char *const kinds[] = {
		"STIM", "SCST", "SCPA", "SCRE", "SCEN", "EXIT", "TEST", "SCHX", "CRSH", "PMET", "PRAW",
		"COVP", "SOUT", "SERR", "SLOG", "SLGB", "SLGE", "LIFE", "EXEX", "DMSG", "PROB", "KBID",
		"SWAP", "SNRQ", "KORQ",
	};
	static const char bytes[24];
	static const size_t lengths[] = { 0, 1, 16, 20, 24 };

	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(*kinds); kind++)
		for (size_t len = 0; len < sizeof(lengths) / sizeof(*lengths); len++)
			schedrig_say(kinds[kind], bytes, lengths[len]);
	must(schedrig_say("SCHX", "1", 1), 0, "a scheduler's exit");
	must(schedrig_say("KBID", bytes, 20), SCHEDRIG_REFUSED, "the build id of another kernel");
}

static void lie(void)
{
	static const char constant[4096] __attribute__((aligned(4096))) = "a page that may not be written";
	static char untouched[1 << 16];

	/* The kernel's memory, the program's code, a constant, pages that are not there, lengths without end. */
	knock(0xffffffff81000000, 64, 4096);
	knock(0xffff888000001000, 64, 4096);
	knock((uint64_t)&lie, 64, 4096);
	knock((uint64_t)constant, 64, 4096);
	knock((uint64_t)(untouched + 8192), 64, 4096);
	knock(0, 0, 0);
	knock(0x10, ~0ull, ~0ull);
	knock(~0ull - 8, 4096, 4096);
	knock((uint64_t)schedrig_buffer, ~0ull, SCHEDRIG_BUFFER);
	knock((uint64_t)schedrig_buffer, 100, 8);
	/* Noise. */
	for (unsigned int i = 0; i < SCHEDRIG_BUFFER; i++)
		schedrig_buffer[i] = i * 2654435761u >> 24;
	for (unsigned int i = 0; i < 64; i++)
		knock((uint64_t)schedrig_buffer + 7 * i, 16 + 13 * i, 4096);
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1) {
		say_everything();
		puts("done");
		return 0;
	}
	ask();
	lie();
	ask();
	/* More than a record has room for. */
	for (int i = 0; i < 2000; i++)
		knock(0x10, 64, 4096);
	puts("done");
	return 0;
}
