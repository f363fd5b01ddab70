/*
 * What bpftool cannot do: reads and makes BPF maps by system calls.
 *
 *   storage ID SIZE TID…     values of tasks, as hex
 *   arena PATH PAGES TOUCH…  makes an arena, touches some pages, tells where it is
 *   ring PATH TEXT…          makes a ring buffer that user space fills, and fills it
 *   cgroup PATH VALUE DIR…   makes a map in which cgroups have values; tells the cgroups' numbers and values
 *   positions ID             consumer's and producer's position of a ring buffer
 */
#include <linux/bpf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096
#define PIDFD_THREAD_FLAG 0200 /* O_EXCL (v6.9) */
#define TYPE_USER_RINGBUF 31
#define TYPE_CGRP_STORAGE 32
#define TYPE_ARENA 33
#define F_NO_PREALLOC 1
#define F_MMAPABLE 1024

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int checked(const char *what, long result)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static int map_of(const char *id)
{
	union bpf_attr attr = { .map_id = atoi(id) };

	return checked("BPF_MAP_GET_FD_BY_ID", bpf(BPF_MAP_GET_FD_BY_ID, &attr));
}

/* The type information of `int`, which is type 1. */
static int types(void)
{
	static const struct {
		struct { uint16_t magic; uint8_t version, flags; uint32_t len, parts[4]; } header;
		uint32_t type[4];
		char strings[8];
	} btf = {
		{ 0xeb9f, 1, 0, 24, { 0, 16, 16, 5 } },
		{ 1, 1 << 24, 4, 1 << 24 | 32 },
		"\0int",
	};
	union bpf_attr attr = { .btf = (uintptr_t)&btf, .btf_size = 24 + 16 + 5 };

	return checked("BPF_BTF_LOAD", bpf(BPF_BTF_LOAD, &attr));
}

static int made(const char *path, int type, int entries, int flags)
{
	union bpf_attr attr = { .map_type = type, .max_entries = entries, .map_flags = flags };
	union bpf_attr pin = {};
	int fd;

	if (type == TYPE_CGRP_STORAGE) {
		attr.key_size = attr.value_size = 4;
		attr.btf_fd = types();
		attr.btf_key_type_id = attr.btf_value_type_id = 1;
	}
	snprintf(attr.map_name, sizeof(attr.map_name), "%s", strrchr(path, '/') + 1);
	fd = checked("BPF_MAP_CREATE", bpf(BPF_MAP_CREATE, &attr));
	pin.pathname = (uintptr_t)path;
	pin.bpf_fd = fd;
	checked("BPF_OBJ_PIN", bpf(BPF_OBJ_PIN, &pin));
	return fd;
}

static void *mapped(int fd, size_t len, int prot, off_t at)
{
	void *where = mmap(NULL, len, prot, MAP_SHARED, fd, at);

	checked("mmap", where == MAP_FAILED ? -1 : 0);
	return where;
}

static void storage(int fd, int size, char **tids)
{
	unsigned char value[4096];
	int i;

	for (; *tids; tids++) {
		int pidfd = syscall(SYS_pidfd_open, atoi(*tids), PIDFD_THREAD_FLAG);
		union bpf_attr attr = { .map_fd = fd };

		if (pidfd < 0)
			continue;
		attr.key = (uintptr_t)&pidfd;
		attr.value = (uintptr_t)value;
		if (!bpf(BPF_MAP_LOOKUP_ELEM, &attr)) {
			printf("%s ", *tids);
			for (i = 0; i < size; i++)
				printf("%02x", value[i]);
			printf("\n");
		}
		close(pidfd);
	}
}

static void cgroups(const char *path, int value, char **directories)
{
	int map = made(path, TYPE_CGRP_STORAGE, 0, F_NO_PREALLOC);

	for (; *directories; directories++, value++) {
		int fd = checked(*directories, open(*directories, O_RDONLY));
		union bpf_attr attr = { .map_fd = map, .key = (uintptr_t)&fd, .value = (uintptr_t)&value };
		struct stat stat;

		checked("BPF_MAP_UPDATE_ELEM", bpf(BPF_MAP_UPDATE_ELEM, &attr));
		checked("fstat", fstat(fd, &stat));
		printf("%lu %d\n", (unsigned long)stat.st_ino, value);
	}
}

int main(int argc, char **argv)
{
	if (argc > 3 && !strcmp(argv[1], "storage")) {
		storage(map_of(argv[2]), atoi(argv[3]), argv + 4);
	} else if (argc > 3 && !strcmp(argv[1], "arena")) {
		size_t len = atoi(argv[3]) * (size_t)PAGE;
		char *start = mapped(made(argv[2], TYPE_ARENA, atoi(argv[3]), F_MMAPABLE), len, PROT_READ | PROT_WRITE, 0);
		char **page;

		for (page = argv + 4; *page; page++)
			strcpy(start + atoi(*page) * (size_t)PAGE, *page);
		printf("%lx %lx\n", (unsigned long)start, (unsigned long)start + len);
	} else if (argc > 2 && !strcmp(argv[1], "ring")) {
		int fd = made(argv[2], TYPE_USER_RINGBUF, PAGE, 0);
		uint64_t *producer = mapped(fd, 3 * PAGE, PROT_READ | PROT_WRITE, PAGE);
		char *data = (char *)producer + PAGE, **text;

		for (text = argv + 3; *text; text++) {
			uint32_t len = strlen(*text);

			*(uint32_t *)(data + *producer) = len;
			memcpy(data + *producer + 8, *text, len);
			*producer += (len + 8 + 7) / 8 * 8;
		}
		printf("%lu\n", (unsigned long)*producer);
	} else if (argc > 3 && !strcmp(argv[1], "cgroup")) {
		cgroups(argv[2], atoi(argv[3]), argv + 4);
	} else if (argc > 2 && !strcmp(argv[1], "positions")) {
		int fd = map_of(argv[2]);
		uint64_t *consumer = mapped(fd, PAGE, PROT_READ, 0), *producer = mapped(fd, PAGE, PROT_READ, PAGE);

		printf("%lu %lu\n", (unsigned long)*consumer, (unsigned long)*producer);
	} else {
		return 2;
	}
	return 0;
}
