#!/bin/sh
# gcc's clones of a function for an architecture are chosen by the CPU's model number, not by the features that it has.
#
# Seen with gcc 12.2.0 and qemu-user 7.2. `__attribute__((target_clones("arch=sapphirerapids", "default")))` makes two
# versions of a function and a resolver. A good guess: the resolver looks whether the CPU has what the version was compiled
# for. In fact an `arch=` clone is taken where family and model say that the CPU is one (`__cpu_model.__cpu_subtype`): an
# emulated CPU with a server's model number and without AVX-512 gets code that is free to use AVX-512. Clones for a feature
# ("avx512f") ask CPUID and are well. So an emulator that has AVX2 must not call itself a Sapphire Rapids.
set -eu
seen="gcc 12.2.0, qemu-x86_64 7.2"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
packages() { command -v gcc >/dev/null && command -v qemu-x86_64 >/dev/null; }
packages || apt-get install -y -q gcc libc6-dev qemu-user >/dev/null
printf 'versions: gcc %s, %s (seen with %s)\n' "$(gcc -dumpfullversion)" "$(qemu-x86_64 --version | head -n 1)" "$seen"

cat > "$work/which.c" <<'C'
#include <stdio.h>

/* No instruction of either version depends on its target: only the choice is looked at. */
__attribute__((target("arch=sapphirerapids"))) const char *by_arch(void) { return "sapphirerapids"; }
__attribute__((target("default"))) const char *by_arch(void) { return "default"; }
__attribute__((target("avx512f"))) const char *by_feature(void) { return "avx512f"; }
__attribute__((target("default"))) const char *by_feature(void) { return "default"; }

int main(void)
{
	__builtin_cpu_init();
	printf("arch: %s, feature: %s, has avx512f: %d\n", by_arch(), by_feature(), __builtin_cpu_supports("avx512f") != 0);
	return 0;
}
C
g++ -x c++ -O1 -o "$work/which" "$work/which.c" 2>/dev/null || { apt-get install -y -q g++ >/dev/null; g++ -x c++ -O1 -o "$work/which" "$work/which.c"; }

run() { qemu-x86_64 -cpu "max,vendor=GenuineIntel,family=6,model=$1,stepping=$2" "$work/which" 2>/dev/null; }
server=$(run 143 8)
desktop=$(run 60 3)
printf 'model 143 (Sapphire Rapids): %s\n' "$server"
printf 'model 60 (Haswell):          %s\n' "$desktop"
[ "$server" = "arch: sapphirerapids, feature: default, has avx512f: 0" ] &&
    [ "$desktop" = "arch: default, feature: default, has avx512f: 0" ] || { echo "the behaviour has changed"; exit 1; }
