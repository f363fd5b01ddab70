use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::kernel_op::{KernelOpRequest, Target};
use crate::{Nanos, Topology};

fn op(text: &str) -> Op {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn ops_read_as_they_show_themselves() {
    for text in [
        "put-program /bin/ls",
        "read /proc/stat",
        "cgroup a",
        "cgroup a cpus=0-2,5 weight=300",
        "spawn a burst/4ms/1ms/20% 8 nice=-5",
        "spawn a spin 2",
        "start-scheduler /opt/schedrig/bin/scx_baton --slice 5",
        "stop-scheduler",
        "run 1.5s",
        "exec 10s /bin/ls /data",
        "note key a value of words",
        "offline 3",
        "online 3",
        "write /sys/fs/cgroup/a/cpu.max 20000 100000",
        "seed 18446744073709551615",
    ] {
        assert_eq!(op(text).to_string(), text);
    }
}

#[test]
fn every_form_has_its_own_keyword_and_names_itself_when_it_is_misspelled() {
    let keywords: BTreeSet<&str> = Op::forms().map(Form::keyword).collect();
    assert_eq!(keywords.len(), Op::forms().count());
    for form in Op::forms().filter(|form| form.usage.contains(' ')) {
        let error = form.keyword().parse::<Op>().unwrap_err().to_string();
        assert!(
            error.contains("is missing") && error.contains(form.usage),
            "{error}"
        );
    }
    let error = "fly /to/the/moon".parse::<Op>().unwrap_err().to_string();
    assert!(error.contains("unknown op `fly`"), "{error}");
    assert!(Op::forms().all(|form| error.contains(form.usage)), "{error}");
}

#[test]
fn what_is_wrong_with_an_ops_text_is_said() {
    let check = |text: &str, expect: &str| {
        let error = text.parse::<Op>().unwrap_err().to_string();
        assert!(error.contains(expect), "{text}: {error}");
    };
    check("run 5", "`5` is not a span of time");
    check("run 5s 6s", "`6s` is too much");
    check("read proc/stat", "`proc/stat` is not an absolute path");
    check("spawn a spun 8", "spun");
    check("spawn a burst/4ms/1 8", "`1` is not a span of time");
    check("spawn a spin eight", "the count");
    check("spawn a spin 8 nicely", "unknown option `nicely`");
    check("cgroup a weight=0", "from 1 to 10000");
    check("cgroup a colour=red", "unknown option `colour=red`");
    check("exec 5s", "the program is missing");
    check("write cpu.max 5", "`cpu.max` is not an absolute path");
    check("write /cpu.max", "the text is missing");
    check("seed", "the seed is missing");
    check("seed -1", "the seed");
    check("seed 1 2", "`2` is too much");
}

#[test]
fn an_op_is_checked_against_the_machine_before_it_is_sent() {
    let machine: Topology = "1n2l2c1t".parse().unwrap();
    let check = |text: &str, expect: &str| {
        let error = op(text).check(&machine).unwrap_err().to_string();
        assert!(error.contains(expect), "{text}: {error}");
    };
    check("cgroup a cpus=3-4", "has no CPU 4; it has the CPUs 0-3");
    check("cgroup a cpus=", "an empty list");
    check("spawn a spin 1 nice=20", "-20 to 19");
    check("offline 4", "has no CPU 4");
    check("offline 0", "CPU 0 of an x86 machine cannot go offline");
    for text in [
        "cgroup a cpus=3",
        "spawn a spin 1 nice=-20",
        "run 1s",
        "offline 3",
        "online 0",
    ] {
        assert_eq!(op(text).check(&machine), Ok(()), "{text}");
    }
    let read = KernelOpRequest::read("t", vec![Target::symbol("jiffies").u64(0)]);
    assert!(Op::from(WriteKernel { op: read }).check(&machine).is_err());
    let content = Content::Omitted { bytes: 9 };
    let (path, mode) = ("/data".to_owned(), 0o644);
    let error = PutFile { path, mode, content }.check(&machine).unwrap_err();
    assert!(error.to_string().contains("9 bytes of /data"), "{error}");
}

/// Scripts on disk are made of these; a change here is a change of the record's format.
#[test]
fn the_spelling_in_a_record_is_pinned() {
    let check = |op: Op, json: &str| {
        assert_eq!(serde_json::to_string(&op).unwrap(), json);
        assert_eq!(serde_json::from_str::<Op>(json).unwrap(), op);
    };
    check(op("run 2s"), r#"{"do":"run_for","span":2000000000}"#);
    check(op("stop-scheduler"), r#"{"do":"stop_scheduler"}"#);
    check(op("read /x"), r#"{"do":"read_file","path":"/x"}"#);
    check(
        op("cgroup a cpus=0-1"),
        r#"{"do":"make_cgroup","group":{"name":"a","cpus":"0-1","weight":100}}"#,
    );
    check(
        op("exec 1s /bin/ls"),
        r#"{"do":"exec","argv":["/bin/ls"],"within":1000000000}"#,
    );
    check(op("offline 3"), r#"{"do":"cpu","cpu":3,"online":false}"#);
    check(op("write /a 5"), r#"{"do":"write","path":"/a","text":"5"}"#);
    check(op("seed 7"), r#"{"do":"seed","seed":7}"#);
    check(op("note a b c"), r#"{"do":"note","key":"a","value":"b c"}"#);
    check(
        PutFile {
            path: "/data".into(),
            mode: 0o600,
            content: Content::of(b"\xff"),
        }
        .into(),
        r#"{"do":"put_file","path":"/data","mode":384,"content":{"hex":"ff"}}"#,
    );
    check(
        PutProgram {
            program: HostProgram {
                path: "/bin/ls".into(),
                files: vec![FileSum {
                    path: "/lib/a".into(),
                    sha256: "00".into(),
                }],
            },
        }
        .into(),
        r#"{"do":"put_program","program":{"path":"/bin/ls","files":[{"path":"/lib/a","sha256":"00"}]}}"#,
    );
    let spawn = serde_json::to_value(op("spawn a spin 2 nice=-1")).unwrap();
    assert_eq!(
        (&spawn["do"], &spawn["group"], &spawn["count"], &spawn["nice"]),
        (&"spawn".into(), &"a".into(), &2.into(), &(-1).into())
    );
}

#[test]
fn a_script_of_an_older_version_reads_back() {
    let older = r#"{"do":"gave_up","reason":"tired"}"#;
    let reason = "tired".to_owned();
    assert_eq!(
        serde_json::from_str::<Op>(older).unwrap(),
        BodyFailed {
            reason,
            refused: false
        }
        .into()
    );
}

#[test]
fn only_ops_of_the_host_cannot_be_sent() {
    let check = |text: &str, expect: bool| assert_eq!(op(text).by_host(), expect, "{text}");
    check("put-program /bin/ls", true);
    check("note a b", true);
    check("read /x", false);
    check("run 1s", false);
}

#[test]
fn what_takes_guest_time_says_how_much() {
    let check = |text: &str, expect: Takes| assert_eq!(op(text).takes(), expect, "{text}");
    check("run 2s", Takes::Span(Nanos::from_secs(2)));
    check("exec 3s /bin/ls", Takes::Span(Nanos::from_secs(3)));
    check("stop-scheduler", Takes::SchedulerLimit);
    check("read /x", Takes::Nothing);
}

proptest! {
    #[test]
    fn no_text_panics(text in "[a-z-]{0,16} ?\\PC{0,32}") {
        let _ = text.parse::<Op>();
    }

    #[test]
    fn what_reads_shows_itself_so_that_it_reads_again(
        form in prop::sample::select(Op::forms().collect::<Vec<_>>()),
        arguments in prop::collection::vec("[a-z0-9/=,-]{1,8}|[0-9]{1,3}(s|ms)?|spin|/[a-z]{1,4}", 0..4),
    ) {
        let text = format!("{} {}", form.keyword(), arguments.join(" "));
        if let Ok(op) = text.parse::<Op>() {
            prop_assert_eq!(op.to_string().parse::<Op>(), Ok(op));
        }
    }
}
