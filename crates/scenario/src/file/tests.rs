//! Forty mistakes, each with what is said about it: all of it in one snapshot, to be read as a user would.

/// A scenario that is right, to be spoilt.
const RIGHT: &str = r#"[machine]
topology = "1n1l4c1t"
memory = 2048

[scheduler]
run = "scx_mine --slice-us 5000"

[[groups]]
name = "web"
cpus = "0-1"
weight = 300
workers = [{ work = "spin", count = 4, nice = 5 }]

[[steps]]
name = "load"
do = ["offline 3"]
run = "2s"

[verdict]
checks = ["share:web,batch=10%"]

[[groups]]
name = "batch"
workers = [{ work = "burst/4ms/1ms" }]
"#;

/// What is replaced, and by what.
const MISTAKES: &[(&str, &str)] = &[
    ("[machine]", "[machin]"),
    ("[machine]", "[machine"),
    ("[machine]", "[[machine]]"),
    ("[[steps]]", "[steps]"),
    (
        "workers = [{ work = \"spin\", count = 4, nice = 5 }]",
        "workers = [\"spin\"]",
    ),
    ("memory = 2048", "sysctl.kernel.sched_rt_runtime_us = \"-1\""),
    (
        "memory = 2048",
        "sysctl = { \"kernel.sched_rt_runtime_us\" = -1 }",
    ),
    ("memory = 2048", "kernel_args = \"a\\nb\""),
    ("run = \"scx_mine --slice-us 5000\"", "run = \"eevdf --x\""),
    (
        "do = [\"offline 3\"]",
        "do = [\"spawn later spin 1\", \"cgroup later\"]",
    ),
    ("do = [\"offline 3\"]", "do = [\"spawn web spin 0\"]"),
    ("run = \"2s\"", "run = \"5000000h\"\ntimes = 1000"),
    ("\"share:web,batch=10%\"", "\"share:web=10%\""),
    ("\"share:web,batch=10%\"", "\"share:web,batch=1000%\""),
    (
        "run = \"scx_mine --slice-us 5000\"",
        "run = \"\\u001b[31mred\"\nx = 1",
    ),
    ("topology = \"1n1l4c1t\"", "topologie = \"1n1l4c1t\""),
    ("\"1n1l4c1t\"", "\"4 CPUs\""),
    ("\"1n1l4c1t\"", "\"2n3l4c1t\""),
    ("\"1n1l4c1t\"", "\"1n1l4c4t\""),
    ("\"1n1l4c1t\"", "4"),
    ("\"1n1l4c1t\"", "1n1l4c1t"),
    ("memory = 2048", "memory = 16"),
    ("memory = 2048", "memory = \"2 GiB\""),
    ("memory = 2048", "memory = -1"),
    ("memory = 2048", "memory = 2048\nmemory = 4096"),
    ("memory = 2048", "kernel = \"debian\""),
    ("memory = 2048", "shift = 11"),
    ("memory = 2048", "sysctl = { \"../x\" = \"1\" }"),
    ("memory = 2048", "sysctl = [\"kernel.x\"]"),
    ("run = \"scx_mine --slice-us 5000\"", "run = \"\""),
    ("run = \"scx_mine --slice-us 5000\"", "program = \"scx_mine\""),
    (
        "run = \"scx_mine --slice-us 5000\"",
        "run = \"scx_mine\"\nattach = \"never\"",
    ),
    (
        "run = \"scx_mine --slice-us 5000\"",
        "run = \"scx_mine\"\nattach = \"step\"",
    ),
    (
        "run = \"scx_mine --slice-us 5000\"",
        "run = \"scx_mine\"\nattach_within = \"5\"",
    ),
    ("name = \"web\"", "name = \"web/1\""),
    ("name = \"web\"", "name = \"batch\""),
    ("cpus = \"0-1\"", "cpus = \"0-7\""),
    ("cpus = \"0-1\"", "cpus = \"llc1\""),
    ("cpus = \"0-1\"", "cpus = [0, 1]"),
    ("weight = 300", "weight = 0"),
    ("weight = 300", "wieght = 300"),
    ("work = \"spin\"", "work = \"spinn\""),
    ("work = \"spin\"", "work = \"burst/4ms/1\""),
    ("work = \"spin\", ", ""),
    ("count = 4", "count = 0"),
    ("count = 4", "count = 1001"),
    ("nice = 5", "nice = 20"),
    ("do = [\"offline 3\"]", "do = [\"ofline 3\"]"),
    ("do = [\"offline 3\"]", "do = [\"offline 4\"]"),
    ("do = [\"offline 3\"]", "do = [\"offline 0\"]"),
    ("do = [\"offline 3\"]", "do = [\"spawn wep spin 2\"]"),
    ("do = [\"offline 3\"]", "do = \"offline 3\""),
    ("do = [\"offline 3\"]\nrun = \"2s\"", "run = \"2 s\""),
    ("do = [\"offline 3\"]\nrun = \"2s\"", "times = 3"),
    ("run = \"2s\"", "run = \"2s\"\ntimes = 0"),
    ("run = \"2s\"", "run = \"2s\"\nattach = true"),
    ("do = [\"offline 3\"]\nrun = \"2s\"", "do = [\"offline 3\"]"),
    ("\"share:web,batch=10%\"", "\"shares:web,batch=10%\""),
    ("\"share:web,batch=10%\"", "\"share:web,bach=10%\""),
    ("\"share:web,batch=10%\"", "\"starvation=0s\""),
    ("checks = [\"share:web,batch=10%\"]", "without = [\"starvatoin\"]"),
];

#[test]
fn what_is_said_about_mistakes() {
    crate::parse(RIGHT, "right", None).unwrap();
    let mut said = String::new();
    for (right, wrong) in MISTAKES {
        assert!(RIGHT.contains(right), "{right}");
        let text = RIGHT.replacen(right, wrong, 1);
        let mistake = crate::parse(&text, "wrong", None).expect_err(wrong);
        said += &format!("──── {wrong:?}\nwrong.rig.toml:{mistake}\n\n");
    }
    insta::assert_snapshot!(said);
}
