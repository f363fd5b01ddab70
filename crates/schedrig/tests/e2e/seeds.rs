//! What a seed decides in the guest beside the agent's choices: everything random.

use std::fs;
use std::process::Command;

use schedrig::prelude::*;
use schedrig::{Setup, Verdict};

use crate::stage::{STANDARD, of_verdict, spec};

/// Prints, a line each: what RDRAND gives, `getrandom(2)`, `AT_RANDOM`, where its stack is.
const PROGRAM: &str = r#"
#include <immintrin.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/random.h>

int main(void)
{
    unsigned long long drawn = 0, got = 0;
    if (!_rdrand64_step(&drawn) || getrandom(&got, sizeof got, 0) != sizeof got)
        return 1;
    const unsigned long long *at_random = (const unsigned long long *)getauxval(AT_RANDOM);
    printf("%llx\n%llx\n%llx\n%p\n", drawn, got, *at_random, (void *)&drawn);
    return 0;
}
"#;

/// The static program, or why there is none.
fn program(directory: &std::path::Path) -> Option<std::path::PathBuf> {
    let (source, program) = (directory.join("random.c"), directory.join("random"));
    fs::write(&source, PROGRAM).unwrap();
    let built = Command::new("cc")
        .args(["-O1", "-mrdrnd", "-static", "-o"])
        .args([&program, &source])
        .status();
    if built.is_ok_and(|status| status.success()) {
        return Some(program);
    }
    println!("skipped: there is no C compiler that makes a static program");
    None
}

#[test]
fn the_seed_decides_what_the_guest_gets_as_random() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = program(directory.path()) else {
        return;
    };
    let setup = Setup::new(spec("random", "1n1l1c1t", STANDARD, "eevdf"), &mut |_| {}).unwrap();
    let draw = |seed| {
        let mut drawn = String::new();
        let finished = setup.run(seed, &mut |_| {}, |rig| {
            let program = rig.put_program(&program)?;
            let (status, stdout, _) = rig.exec(&[&program], secs(10))?;
            assert!(status.success(), "{status}");
            drawn = String::from_utf8(stdout)?;
            rig.finish()
        });
        of_verdict(Verdict::Pass, finished.unwrap().record);
        drawn.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (one, again, other) = (draw(1), draw(1), draw(2));
    assert_eq!(one, again);
    assert_eq!((one.len(), other.len()), (4, 4), "{one:?} {other:?}");
    for (what, (one, other)) in ["RDRAND", "getrandom", "AT_RANDOM", "the stack's place"]
        .iter()
        .zip(one.iter().zip(&other))
    {
        assert_ne!(one, other, "{what} of two seeds");
    }
}
