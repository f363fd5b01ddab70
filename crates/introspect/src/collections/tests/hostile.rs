//! Collections as only a damaged or a lying guest has them: every walk ends, with the error that says what is wrong.

use super::*;
use crate::testing::UNMAPPED;

/// What is wrong with the link in the middle of a collection.
#[derive(Debug, Clone, Copy)]
enum Link {
    /// Back to a node that was there before.
    Circle,
    /// To itself.
    Self_,
    Null,
    Nowhere,
}

/// Five nodes of which the third's `field` is wrong; the walk yields those before, then the error, then nothing.
fn damaged(
    structure: &str,
    node: &str,
    field: &str,
    link: Link,
    attach: impl Fn(&mut FakeKernel, GuestVirt, &[u64]),
    over: impl for<'k> Fn(Object<'k>) -> Vec<Result<u64, ReadError>>,
) -> Option<ReadError> {
    let mut kernel = kernel();
    let head = kernel.variable("head", structure);
    let nodes = scattered(&mut kernel, node, &[4, 1, 5, 2, 3]);
    attach(&mut kernel, head, &nodes);
    let to = match link {
        Link::Circle => nodes[1],
        Link::Self_ => nodes[2],
        Link::Null => 0,
        Link::Nowhere => UNMAPPED.0,
    };
    kernel.set(GuestVirt(nodes[2]), node, field, to);
    let guest = kernel.built();
    let kernel = guest.kernel();
    let found = over(kernel.variable("head", structure).unwrap());
    let sound = found.iter().take_while(|node| node.is_ok()).count();
    assert!(
        (2..=3).contains(&sound) || matches!(link, Link::Nowhere),
        "{link:?}: {found:?}"
    );
    assert!(
        found.len() - sound <= 1,
        "a walk ends at its first error: {found:?}"
    );
    found.into_iter().nth(sound).map(Result::unwrap_err)
}

fn ring(kernel: &mut FakeKernel, head: GuestVirt, nodes: &[u64]) {
    let ring: Vec<u64> = [head.0].into_iter().chain(nodes.iter().copied()).collect();
    chain(kernel, "list_head", "next", &ring, head.0);
}

fn bucket(kernel: &mut FakeKernel, head: GuestVirt, nodes: &[u64]) {
    let table = bucket_table(kernel, &[nodes.to_vec()], 0);
    kernel.set(head, "rhashtable", "tbl", table.0);
}

fn first(kernel: &mut FakeKernel, head: GuestVirt, nodes: &[u64]) {
    kernel.set(head, "hlist_head", "first", nodes[0]);
    chain(kernel, "hlist_node", "next", nodes, 0);
}

/// A tree that is a list: every node the right child of the one before.
fn vine(kernel: &mut FakeKernel, head: GuestVirt, nodes: &[u64]) {
    kernel.set(head, "rb_root", "rb_node", nodes[0]);
    chain(kernel, "rb_node", "rb_right", nodes, 0);
}

fn of_list(link: Link) -> Option<ReadError> {
    damaged("list_head", "list_head", "next", link, ring, |head| {
        addresses(list(head, MOST))
    })
}

fn of_hlist(link: Link) -> Option<ReadError> {
    damaged("hlist_head", "hlist_node", "next", link, first, |head| {
        addresses(hlist(head, MOST))
    })
}

fn of_rbtree(field: &'static str, link: Link) -> Option<ReadError> {
    damaged("rb_root", "rb_node", field, link, vine, |root| {
        addresses(rbtree(root, MOST))
    })
}

fn of_rhashtable(link: Link) -> Option<ReadError> {
    damaged("rhashtable", "rhash_head", "next", link, bucket, |table| {
        addresses(rhashtable(table, MOST))
    })
}

/// The error is of this kind, and its text names what was walked.
macro_rules! says {
    ($error:expr, $kind:pat, $what:literal) => {
        let error = $error.unwrap();
        assert!(matches!(error, $kind), "{error:?}");
        assert!(error.to_string().contains($what), "{error}");
    };
}

#[test]
fn a_circle_is_told() {
    for link in [Link::Circle, Link::Self_] {
        says!(
            of_list(link),
            ReadError::Cycle { visited: 3, .. },
            "struct list_head"
        );
        says!(
            of_hlist(link),
            ReadError::Cycle { visited: 3, .. },
            "struct hlist_head"
        );
        says!(
            of_rbtree("rb_right", link),
            ReadError::Cycle { .. },
            "struct rb_root"
        );
        says!(
            of_rbtree("rb_left", link),
            ReadError::Cycle { .. },
            "struct rb_root"
        );
        says!(
            of_rhashtable(link),
            ReadError::Cycle { visited: 3, .. },
            "struct rhashtable"
        );
    }
}

#[test]
fn null_is_told_where_no_collection_of_the_kind_ends_with_it() {
    says!(
        of_list(Link::Null),
        ReadError::Null { .. },
        "next of struct list_head"
    );
    says!(
        of_rhashtable(Link::Null),
        ReadError::Null { .. },
        "chain of struct rhashtable"
    );
    assert_eq!(of_hlist(Link::Null), None);
    assert_eq!(of_rbtree("rb_right", Link::Null), None);
}

#[test]
fn a_pointer_to_nowhere_is_told_with_its_address() {
    let nowhere = UNMAPPED.to_string();
    for error in [
        of_list(Link::Nowhere),
        of_hlist(Link::Nowhere),
        of_rbtree("rb_right", Link::Nowhere),
        of_rbtree("rb_left", Link::Nowhere),
        of_rhashtable(Link::Nowhere),
    ] {
        let error = error.unwrap();
        assert!(matches!(error, ReadError::Memory { .. }), "{error:?}");
        // The field that was to be read is behind the node's first byte, in the same 64 bytes.
        assert!(
            error.to_string().contains(&nowhere[..nowhere.len() - 2]),
            "{error}"
        );
    }
}

#[test]
fn a_collection_that_is_too_long_is_told() {
    let order: Vec<u32> = (0..20).collect();
    let over_long = |structure: &str,
                     node: &str,
                     attach: &dyn Fn(&mut FakeKernel, GuestVirt, &[u64]),
                     over: &dyn for<'k> Fn(Object<'k>) -> Vec<Result<u64, ReadError>>| {
        let mut kernel = kernel();
        let head = kernel.variable("head", structure);
        let nodes = scattered(&mut kernel, node, &order);
        attach(&mut kernel, head, &nodes);
        let guest = kernel.built();
        let kernel = guest.kernel();
        let found = over(kernel.variable("head", structure).unwrap());
        assert_eq!(found.len(), 8, "{structure}");
        let error = found[7].clone().unwrap_err();
        assert!(matches!(error, ReadError::TooMany { most: 7, .. }), "{error:?}");
    };
    over_long("list_head", "list_head", &ring, &|head| addresses(list(head, 7)));
    over_long("hlist_head", "hlist_node", &first, &|head| {
        addresses(hlist(head, 7))
    });
    over_long("rb_root", "rb_node", &vine, &|root| addresses(rbtree(root, 7)));
    over_long("rhashtable", "rhash_head", &bucket, &|table| {
        addresses(rhashtable(table, 7))
    });
}

#[test]
fn a_tree_that_is_deeper_than_any_balanced_one_is_told() {
    let mut kernel = kernel();
    let head = kernel.variable("head", "rb_root");
    let order: Vec<u32> = (0..100).collect();
    let nodes = scattered(&mut kernel, "rb_node", &order);
    kernel.set(head, "rb_root", "rb_node", nodes[0]);
    chain(&kernel, "rb_node", "rb_left", &nodes, 0);
    let guest = kernel.built();
    let error = walk(&guest, "rb_root", |root| addresses(rbtree(root, MOST))).unwrap_err();
    assert!(matches!(error, ReadError::TooMany { most: 64, .. }), "{error:?}");
    assert!(error.to_string().contains("a branch of"), "{error}");
}

/// An array with this head; what its walk gives.
fn array(word: impl FnOnce(&mut FakeKernel) -> u64, most: usize) -> Result<Vec<(u64, GuestVirt)>, ReadError> {
    let mut kernel = kernel();
    let head = kernel.variable("head", "xarray");
    let word = word(&mut kernel);
    kernel.set(head, "xarray", "xa_head", word);
    let guest = kernel.built();
    let kernel = guest.kernel();
    xarray(kernel.variable("head", "xarray").unwrap(), most).collect()
}

/// A node with this shift whose fourth slot has this word.
fn node(kernel: &mut FakeKernel, shift: u64, word: u64) -> GuestVirt {
    let node = kernel.alloc("xa_node");
    kernel.set(node, "xa_node", "shift", shift);
    kernel.set(node, "xa_node", "slots[4]", word);
    node
}

#[test]
fn an_array_that_leads_back_or_nowhere_or_up_is_told() {
    let to_itself = array(
        |kernel| {
            let node = node(kernel, 6, 0);
            kernel.set(node, "xa_node", "slots[9]", node.0 + 2);
            node.0 + 2
        },
        MOST,
    );
    says!(
        to_itself.err(),
        ReadError::Cycle { visited: 1, .. },
        "struct xarray"
    );
    let nowhere = array(|kernel| node(kernel, 6, UNMAPPED.0 + 2).0 + 2, MOST);
    says!(nowhere.err(), ReadError::Memory { .. }, "bytes at");
    for (above, below) in [(6, 6), (6, 12), (0, 0), (64, 0), (255, 0)] {
        let up = array(
            |kernel| {
                let lower = node(kernel, below, 0);
                node(kernel, above, lower.0 + 2).0 + 2
            },
            MOST,
        );
        says!(up.err(), ReadError::OutOfRange { .. }, "shift of struct xa_node");
    }
    let many = array(
        |kernel| {
            let lower = node(kernel, 0, 0x4000);
            let upper = node(kernel, 6, lower.0 + 2);
            node(kernel, 12, upper.0 + 2).0 + 2
        },
        2,
    );
    says!(many.err(), ReadError::TooMany { most: 2, .. }, "struct xarray");
}

#[test]
fn an_index_that_no_array_has_is_told() {
    let beyond = array(|kernel| node(kernel, 63, 0x4000).0 + 2, MOST);
    says!(beyond.err(), ReadError::OutOfRange { .. }, "slot 4 of");
    let highest = array(|kernel| node(kernel, 61, 0x4000).0 + 2, MOST).unwrap();
    assert_eq!(highest, [(4 << 61, GuestVirt(0x4000))]);
}

#[test]
fn a_table_that_no_kernel_makes_is_told() {
    let table = |size: u64, nest: u64, circle: bool| {
        let mut kernel = kernel();
        let head = kernel.variable("head", "rhashtable");
        let table = bucket_table(&mut kernel, &vec![Vec::new(); 4], 0b1010);
        kernel.set(table, "bucket_table", "size", size);
        kernel.set(table, "bucket_table", "nest", nest);
        if circle {
            kernel.set(table, "bucket_table", "future_tbl", table.0);
        }
        kernel.set(head, "rhashtable", "tbl", table.0);
        let guest = kernel.built();
        walk(&guest, "rhashtable", |table| addresses(rhashtable(table, MOST))).err()
    };
    assert_eq!(table(4, 0, false), None);
    for size in [0, 5, 0x8000_0004, 1 << 31] {
        says!(
            table(size, 0, false),
            ReadError::OutOfRange { .. },
            "size of struct bucket_table"
        );
    }
    says!(
        table(4, 2, false),
        ReadError::OutOfRange { .. },
        "nest of struct bucket_table"
    );
    says!(
        table(4, 0, true),
        ReadError::TooMany { most: 8, .. },
        "chain of tables"
    );
}
