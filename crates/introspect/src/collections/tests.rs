//! Walks of collections that were built without a line of the walkers: whole, and damaged.

mod hostile;

use proptest::prelude::*;

use guestmem::GuestVirt;

use super::*;
use crate::testing::{FakeGuest, FakeKernel};

/// As the kernel declares them, as far as walks read them.
const TYPES: &str = "
    struct list_head { struct list_head *next, *prev; };
    struct hlist_node { struct hlist_node *next, **pprev; };
    struct hlist_head { struct hlist_node *first; };
    struct rb_node { u64 __rb_parent_color; struct rb_node *rb_right, *rb_left; };
    struct rb_root { struct rb_node *rb_node; };
    struct rb_root_cached { struct rb_root rb_root; struct rb_node *rb_leftmost; };
    struct xarray { u32 xa_lock; u32 xa_flags; void *xa_head; };
    struct idr { struct xarray idr_rt; u32 idr_base; };
    struct xa_node { u8 shift, offset, count, nr_values; struct xa_node *parent; struct xarray *array;
        struct list_head private_list; void *slots[64]; u64 tags[3]; };
    struct rhash_head { struct rhash_head *next; };
    struct bucket_table { u32 size, nest, hash_rnd; struct list_head walkers; struct bucket_table *future_tbl;
        struct rhash_head *buckets[0]; };
    struct rhashtable { struct bucket_table *tbl; u32 key_len, max_elems; };
    struct item { u64 key; struct list_head node; struct hlist_node hnode; struct rb_node rb; struct rhash_head hash; };
";

fn kernel() -> FakeKernel {
    FakeKernel::new(1, TYPES)
}

/// The addresses that a walk of the variable `head` yields.
fn walk(
    guest: &FakeGuest,
    structure: &str,
    over: impl for<'k> Fn(Object<'k>) -> Vec<Result<u64, ReadError>>,
) -> Result<Vec<u64>, ReadError> {
    let kernel = guest.kernel();
    let head = kernel.variable("head", structure).unwrap();
    over(head).into_iter().collect()
}

fn addresses<'k>(nodes: impl Iterator<Item = Result<Object<'k>, ReadError>>) -> Vec<Result<u64, ReadError>> {
    nodes.map(|node| node.map(|node| node.address().0)).collect()
}

/// Links each node's field to the next one's place, and the last to `end`.
fn chain(kernel: &FakeKernel, structure: &str, field: &str, nodes: &[u64], end: u64) {
    let following = nodes.iter().skip(1).copied().chain([end]);
    for (node, next) in nodes.iter().zip(following) {
        kernel.set(GuestVirt(*node), structure, field, next);
    }
}

/// So many objects, and their addresses in an order that is not that of memory.
fn scattered(kernel: &mut FakeKernel, structure: &str, order: &[u32]) -> Vec<u64> {
    let mut nodes: Vec<_> = order
        .iter()
        .map(|key| (*key, kernel.alloc(structure).0))
        .collect();
    nodes.sort_unstable();
    nodes.into_iter().map(|(_, at)| at).collect()
}

fn orders() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(any::<u32>(), 0..60)
}

/// Hangs the keys in a binary tree as they come, without balance; gives the root and the nodes in the order of keys.
fn binary_tree(kernel: &mut FakeKernel, keys: &[u32]) -> (u64, Vec<u64>) {
    let mut nodes: Vec<(u32, u64)> = Vec::new();
    for &key in keys {
        let at = kernel.alloc("rb_node").0;
        let mut below = nodes.first().copied();
        while let Some((other, parent)) = below {
            let side = if key < other { "rb_left" } else { "rb_right" };
            let place = kernel.at(GuestVirt(parent), "rb_node", side);
            let child = kernel.read_u64(place);
            if child == 0 {
                kernel.set(GuestVirt(parent), "rb_node", side, at);
            }
            below = nodes.iter().find(|(_, node)| *node == child).copied();
        }
        nodes.push((key, at));
    }
    let root = nodes.first().map_or(0, |(_, at)| *at);
    // Equal keys went to the right of those that were there: a stable sort.
    nodes.sort_by_key(|(key, _)| *key);
    (root, nodes.into_iter().map(|(_, at)| at).collect())
}

/// Writes the slots below a node that covers `64 << shift` indices from `base` on; gives the word that leads to it.
fn radix_node(kernel: &mut FakeKernel, entries: &[(u64, u64)], base: u64, shift: u32, noise: u64) -> u64 {
    let node = kernel.alloc("xa_node");
    kernel.set(node, "xa_node", "shift", shift.into());
    for slot in 0..64u64 {
        let within = |index: u64| (index - base) >> shift == slot;
        let inside: Vec<_> = entries
            .iter()
            .copied()
            .filter(|(index, _)| within(*index))
            .collect();
        let word = match inside.as_slice() {
            // What is no entry: a sibling of slot 5, a retry entry, a zero entry.
            [] if slot << shift >> shift != slot => 0,
            [] => [0, 5 << 2 | 2, 256 << 2 | 2, 257 << 2 | 2][(noise >> (slot % 32)) as usize & 3],
            [(_, entry)] if shift == 0 => *entry,
            more => radix_node(kernel, more, base + (slot << shift), shift - 6, noise),
        };
        kernel.set(node, "xa_node", &format!("slots[{slot}]"), word);
    }
    node.0 + 2
}

/// The word for `xa_head`.
fn radix_tree(kernel: &mut FakeKernel, entries: &[(u64, u64)], noise: u64) -> u64 {
    match entries {
        [] => 0,
        [(0, entry)] => *entry,
        [.., (last, _)] => {
            let shift = (64 - last.leading_zeros()).saturating_sub(1) / 6 * 6;
            radix_node(kernel, entries, 0, shift, noise)
        }
    }
}

/// A table of buckets of these chains; `locked` buckets have their lowest bit set.
fn bucket_table(kernel: &mut FakeKernel, chains: &[Vec<u64>], locked: u64) -> GuestVirt {
    let buckets = kernel.at(GuestVirt(0), "bucket_table", "buckets").0;
    let table = kernel.alloc_bytes(buckets + 8 * chains.len() as u64);
    kernel.set(table, "bucket_table", "size", chains.len() as u64);
    for (bucket, nodes) in (0u64..).zip(chains) {
        let first = nodes.first().copied().unwrap_or(0) | (locked >> (bucket % 64) & 1);
        kernel.write(table.wrapping_add(buckets + 8 * bucket), &first.to_le_bytes());
        chain(kernel, "rhash_head", "next", nodes, bucket << 1 | 1);
    }
    table
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_list_is_walked_in_its_order(order in orders()) {
        let mut kernel = kernel();
        let head = kernel.variable("head", "list_head");
        let nodes = scattered(&mut kernel, "list_head", &order);
        let ring: Vec<u64> = [head.0].into_iter().chain(nodes.iter().copied()).collect();
        chain(&kernel, "list_head", "next", &ring, head.0);
        let guest = kernel.built();
        prop_assert_eq!(walk(&guest, "list_head", |head| addresses(list(head, MOST))).unwrap(), nodes);
    }

    #[test]
    fn a_chain_is_walked_in_its_order(order in orders(), nulls in 0u64..1000) {
        let mut kernel = kernel();
        let head = kernel.variable("head", "hlist_head");
        let nodes = scattered(&mut kernel, "hlist_node", &order);
        // A plain chain ends with NULL, the other kind with an odd number.
        let end = if nulls < 300 { 0 } else { nulls | 1 };
        kernel.set(head, "hlist_head", "first", nodes.first().copied().unwrap_or(end));
        chain(&kernel, "hlist_node", "next", &nodes, end);
        let guest = kernel.built();
        prop_assert_eq!(walk(&guest, "hlist_head", |head| addresses(hlist(head, MOST))).unwrap(), nodes);
    }

    #[test]
    fn a_tree_is_walked_in_the_order_of_its_keys(keys in orders(), cached in any::<bool>()) {
        let mut kernel = kernel();
        let (structure, field) = if cached { ("rb_root_cached", "rb_root.rb_node") } else { ("rb_root", "rb_node") };
        let head = kernel.variable("head", structure);
        let (root, nodes) = binary_tree(&mut kernel, &keys);
        kernel.set(head, structure, field, root);
        let guest = kernel.built();
        prop_assert_eq!(walk(&guest, structure, |root| addresses(rbtree(root, MOST))).unwrap(), nodes);
    }

    #[test]
    fn an_array_yields_its_entries_by_index(
        near in prop::collection::btree_map(0u64..5000, any::<u64>(), 0..40),
        far in prop::collection::btree_map(any::<u64>(), any::<u64>(), 0..4),
        idr in any::<bool>(),
        noise in any::<u64>(),
    ) {
        let mut kernel = kernel();
        let (structure, field) = if idr { ("idr", "idr_rt.xa_head") } else { ("xarray", "xa_head") };
        let head = kernel.variable("head", structure);
        // Pointers to something, and numbers.
        let entry = |word: u64| if word & 1 == 1 { word } else { word << 2 | 0x4000 };
        let mut entries: Vec<_> = near.into_iter().chain(far).map(|(index, word)| (index, entry(word))).collect();
        entries.sort_unstable();
        entries.dedup_by_key(|(index, _)| *index);
        let word = radix_tree(&mut kernel, &entries, noise);
        kernel.set(head, structure, field, word);
        let guest = kernel.built();
        let kernel = guest.kernel();
        let found: Result<Vec<_>, _> = xarray(kernel.variable("head", structure).unwrap(), MOST).collect();
        let found: Vec<_> = found.unwrap().into_iter().map(|(index, at)| (index, at.0)).collect();
        prop_assert_eq!(found, entries);
    }

    #[test]
    fn a_hash_table_yields_every_node_also_while_it_grows(
        order in orders(),
        sizes in (0u32..6, 0u32..7),
        growing in any::<bool>(),
        place in any::<u64>(),
        locked in any::<u64>(),
    ) {
        let mut kernel = kernel();
        let head = kernel.variable("head", "rhashtable");
        let mut chains = [vec![Vec::new(); 1 << sizes.0], vec![Vec::new(); 1 << sizes.1]];
        for (number, at) in (1u64..).zip(scattered(&mut kernel, "rhash_head", &order)) {
            let place = place.wrapping_mul(number) >> 7;
            let table = usize::from(growing && place & 1 == 1);
            let bucket = (place >> 1) as usize % chains[table].len();
            chains[table][bucket].push(at);
        }
        let tables = chains.each_ref().map(|chains| bucket_table(&mut kernel, chains, locked));
        kernel.set(head, "rhashtable", "tbl", tables[0].0);
        if growing {
            kernel.set(tables[0], "bucket_table", "future_tbl", tables[1].0);
        }
        let guest = kernel.built();
        let found = walk(&guest, "rhashtable", |table| addresses(rhashtable(table, MOST))).unwrap();
        prop_assert_eq!(found, chains.concat().concat());
    }
}

#[test]
fn nodes_become_what_they_are_a_part_of() {
    let mut kernel = kernel();
    let head = kernel.variable("head", "list_head");
    kernel.list_init(head);
    for key in [3, 1, 2] {
        let item = kernel.alloc("item");
        kernel.set(item, "item", "key", key);
        kernel.list_add_tail(kernel.at(item, "item", "node"), head);
    }
    let guest = kernel.built();
    let kernel = guest.kernel();
    let head = kernel.variable("head", "list_head").unwrap();
    let keys: Result<Vec<u64>, _> = containers(list(head, MOST), "item", "node")
        .map(|item| item?.u64("key"))
        .collect();
    assert_eq!(keys.unwrap(), [3, 1, 2]);
    let absent = containers(list(head, MOST), "item", "gone").next().unwrap();
    assert!(absent.unwrap_err().is_absent());
}
