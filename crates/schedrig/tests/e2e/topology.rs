//! The guest sees the declared shape: last-level caches, SMT siblings, NUMA nodes and distances.

use schedrig::prelude::*;
use schedrig::{RunSpec, Topology};

use crate::stage::{STANDARD, pass, spec};

/// Presets up to 16 CPUs.
const SHAPES: [&str; 10] = [
    "1n1l1c1t", "1n1l2c1t", "1n1l4c2t", "1n2l2c1t", "1n2l2c2t", "1n2l4c1t", "2n2l2c1t", "1n4l4c1t",
    "2n4l2c2t", "2n4l4c1t",
];

fn line(rig: &mut Rig, path: &str) -> Result<String, schedrig::RigError> {
    Ok(rig.read_file(path)?.trim().to_owned())
}

fn is_as_declared(rig: &mut Rig) -> Outcome {
    let shape: Topology = rig.topology();
    let cpu_dir = "/sys/devices/system/cpu";
    assert_eq!(
        line(rig, &format!("{cpu_dir}/online"))?,
        shape.all_cpus().to_string(),
        "{shape}"
    );
    for llc in 0..shape.llcs() {
        let expect = shape.cpus_of_llc(Llc(llc)).unwrap();
        for cpu in expect.iter() {
            let found = line(rig, &format!("{cpu_dir}/cpu{cpu}/cache/index3/shared_cpu_list"))?;
            assert_eq!(found, expect.to_string(), "{shape}: L3 of CPU {cpu}");
        }
    }
    for cpu in shape.all_cpus().iter() {
        let found = line(rig, &format!("{cpu_dir}/cpu{cpu}/topology/thread_siblings_list"))?;
        assert_eq!(
            found,
            shape.siblings(cpu).unwrap().to_string(),
            "{shape}: siblings of CPU {cpu}"
        );
    }
    let node_dir = "/sys/devices/system/node";
    let expect = if shape.numa_nodes() == 1 {
        "0".to_owned()
    } else {
        format!("0-{}", shape.numa_nodes() - 1)
    };
    assert_eq!(
        line(rig, &format!("{node_dir}/online"))?,
        expect,
        "{shape}: nodes"
    );
    for node in (0..shape.numa_nodes()).map(Node) {
        let found = line(rig, &format!("{node_dir}/node{}/cpulist", node.0))?;
        assert_eq!(
            found,
            shape.cpus_of_node(node).unwrap().to_string(),
            "{shape}: CPUs of node {}",
            node.0
        );
        let distances: Vec<String> = (0..shape.numa_nodes())
            .map(|other| shape.distance(node, Node(other)).to_string())
            .collect();
        let found = line(rig, &format!("{node_dir}/node{}/distance", node.0))?;
        assert_eq!(
            found,
            distances.join(" "),
            "{shape}: distances of node {}",
            node.0
        );
    }
    rig.cgroup("a").spawn(Spin.workers(1))?;
    rig.run_for(millis(10))?;
    rig.finish()
}

#[test]
fn every_preset_up_to_16_cpus_is_seen_from_inside_as_it_was_declared() {
    for shape in SHAPES {
        pass(
            &spec(&format!("shape-{shape}"), shape, STANDARD, "eevdf"),
            is_as_declared,
        );
    }
}

#[test]
fn sixty_four_cpus_boot_in_their_shape() {
    // Most of the boot waits in loops, and coarse guest time shortens them.
    let spec = RunSpec {
        shift: Some(1),
        ..spec("shape-64", "2n8l8c1t", STANDARD, "eevdf")
    };
    pass(&spec, is_as_declared);
}
