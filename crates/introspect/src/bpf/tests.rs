//! Maps in a kernel made by hand; healthy ones, and ones that lie.

use guestmem::GuestVirt;
use record::Value;

use super::{Bpf, Contents, Held, Key, Map};
use crate::btf::Kind;
use crate::btf::testing::BtfWriter;
use crate::testing::{FakeKernel, UNMAPPED};
use crate::{Limits, ReadError};

const TYPES: &str = "
    enum bpf_map_type { BPF_MAP_TYPE_UNSPEC, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_HASH = 5,
        BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_ARRAY_OF_MAPS = 12, BPF_MAP_TYPE_QUEUE = 22,
        BPF_MAP_TYPE_RINGBUF = 27, BPF_MAP_TYPE_TASK_STORAGE = 29, BPF_MAP_TYPE_ARENA = 33 };
    enum bpf_prog_type { BPF_PROG_TYPE_UNSPEC, BPF_PROG_TYPE_STRUCT_OPS = 27 };
    enum bpf_attach_type { BPF_STRUCT_OPS = 44 };
    enum flags { BPF_F_NO_PREALLOC = 1, BPF_F_MMAPABLE = 1024 };
    struct cpumask { u64 bits[1]; };
    struct xarray { u32 xa_flags; void *xa_head; };
    struct idr { struct xarray idr_rt; u32 idr_base; u32 idr_next; };
    struct xa_node { u8 shift; u8 offset; u8 count; u8 nr_values; struct xa_node *parent; void *slots[64]; };
    struct btf { void *data; u32 data_size; u32 id; struct btf *base_btf; char name[56]; bool kernel_btf; };
    struct bpf_map { enum bpf_map_type map_type; u32 key_size; u32 value_size; u32 max_entries; u64 map_extra;
        u32 map_flags; u32 id; u32 btf_key_type_id; u32 btf_value_type_id; struct btf *btf; char name[16];
        bool frozen; };
    struct bpf_array { struct bpf_map map; u32 elem_size; u32 index_mask;
        union { char value[0]; void *ptrs[0]; void *pptrs[0]; }; };
    struct hlist_nulls_node { struct hlist_nulls_node *next; struct hlist_nulls_node **pprev; };
    struct hlist_nulls_head { struct hlist_nulls_node *first; };
    struct bucket { struct hlist_nulls_head head; u32 raw_lock; };
    struct htab_elem { struct hlist_nulls_node hash_node; void *ptr_to_pptr; u32 hash; u32 pad; char key[0]; };
    struct bpf_htab { struct bpf_map map; struct bucket *buckets; u32 n_buckets; u32 elem_size; };
    struct hlist_node { struct hlist_node *next; struct hlist_node **pprev; };
    struct hlist_head { struct hlist_node *first; };
    struct bpf_local_storage_map_bucket { struct hlist_head list; u64 lock; };
    struct bpf_local_storage_map { struct bpf_map map; struct bpf_local_storage_map_bucket *buckets; u32 bucket_log; };
    struct bpf_local_storage { void *owner; };
    struct bpf_local_storage_data { struct bpf_local_storage_map *smap; u8 data[0]; };
    struct bpf_local_storage_elem { struct hlist_node map_node; struct hlist_node snode;
        struct bpf_local_storage *local_storage; struct bpf_local_storage_data sdata; };
    struct task_struct { s32 pid; char comm[16]; };
    struct bpf_ringbuf { u64 mask; u64 consumer_pos; u64 producer_pos; u64 pending_pos; char data[0]; };
    struct bpf_ringbuf_map { struct bpf_map map; struct bpf_ringbuf *rb; };
    struct bpf_ksym { u64 start; };
    struct bpf_func_info { u32 insn_off; u32 type_id; };
    struct bpf_prog_stats { u64 cnt; u64 nsecs; u64 misses; };
    struct bpf_prog_aux { u32 id; u32 used_map_cnt; u32 func_cnt; u32 func_info_cnt; u32 verified_insns; u64 load_time;
        char *attach_func_name; struct bpf_prog **func; struct bpf_map **used_maps; struct btf *btf;
        struct bpf_func_info *func_info; struct bpf_ksym ksym; char name[16]; };
    struct bpf_prog { u16 pages; enum bpf_prog_type type; enum bpf_attach_type expected_attach_type; u32 len;
        u32 jited_len; u8 tag[8]; struct bpf_prog_stats *stats; struct bpf_prog_aux *aux; };
";

/// A kernel with empty IDRs and two CPUs.
struct Made {
    kernel: FakeKernel,
    maps: GuestVirt,
    count: u64,
}

impl Made {
    fn new() -> Made {
        let mut kernel = FakeKernel::new(2, TYPES);
        let cpus = kernel.variable("__cpu_possible_mask", "cpumask");
        kernel.set(cpus, "cpumask", "bits[0]", 3);
        let idr = kernel.variable("map_idr", "idr");
        let maps = kernel.alloc("xa_node");
        kernel.set(idr, "idr", "idr_rt.xa_head", maps.0 + 2);
        Made {
            kernel,
            maps,
            count: 0,
        }
    }

    /// A map of this kind and these sizes, with the next id.
    fn map(&mut self, structure: &str, room: u64, kind: u64, sizes: [u64; 3]) -> GuestVirt {
        let size = self.kernel.btf().structure(structure).unwrap();
        let size = self.kernel.btf().size_of(size).unwrap();
        let map = self.kernel.alloc_bytes(size + room);
        self.count += 1;
        let id = self.count;
        for (field, value) in [
            ("map_type", kind),
            ("key_size", sizes[0]),
            ("value_size", sizes[1]),
            ("max_entries", sizes[2]),
            ("id", id),
        ] {
            self.kernel.set(map, "bpf_map", field, value);
        }
        self.kernel.set_text(map, "bpf_map", "name", &format!("map{id}"));
        self.kernel
            .set(self.maps, "xa_node", &format!("slots[{id}]"), map.0);
        map
    }

    /// An array of `u32` values.
    fn array(&mut self, values: &[u32]) -> GuestVirt {
        let map = self.map("bpf_array", 64, 2, [4, 4, values.len() as u64]);
        self.kernel.set(map, "bpf_array", "elem_size", 8);
        let at = self.kernel.at(map, "bpf_array", "value");
        for (index, value) in (0..).zip(values) {
            self.kernel
                .write(at.wrapping_add(8 * index), &value.to_le_bytes());
        }
        map
    }

    /// A hash from `u32` to `u32` of four buckets, with elements in the buckets told.
    fn hash(&mut self, elements: &[(u64, u32, u32)]) -> (GuestVirt, Vec<GuestVirt>) {
        let map = self.map("bpf_htab", 0, 1, [4, 4, 8]);
        let kernel = &mut self.kernel;
        let buckets = kernel.alloc_bytes(4 * 16);
        kernel.set(map, "bpf_htab", "buckets", buckets.0);
        kernel.set(map, "bpf_htab", "n_buckets", 4);
        let head = |bucket: u64| buckets.wrapping_add(16 * bucket);
        for bucket in 0..4 {
            kernel.set(head(bucket), "bucket", "head.first", bucket << 1 | 1);
        }
        let mut firsts = [1, 3, 5, 7];
        let mut made = Vec::new();
        for (bucket, key, value) in elements {
            let element = kernel.alloc_bytes(64);
            let at = kernel.at(element, "htab_elem", "key");
            kernel.write(at, &key.to_le_bytes());
            kernel.write(at.wrapping_add(8), &value.to_le_bytes());
            let first = &mut firsts[*bucket as usize];
            kernel.set(element, "htab_elem", "hash_node.next", *first);
            *first = element.0;
            kernel.set(head(*bucket), "bucket", "head.first", element.0);
            made.push(element);
        }
        (map, made)
    }

    fn ringbuf(&mut self, consumer: u64, producer: u64) -> GuestVirt {
        let map = self.map("bpf_ringbuf_map", 0, 27, [0, 0, 4096]);
        let ring = self.kernel.alloc_bytes(8192 + 64);
        self.kernel.set(map, "bpf_ringbuf_map", "rb", ring.0);
        self.kernel.set(ring, "bpf_ringbuf", "mask", 4095);
        self.kernel.set(ring, "bpf_ringbuf", "consumer_pos", consumer);
        self.kernel.set(ring, "bpf_ringbuf", "producer_pos", producer);
        ring
    }

    /// Looks at the only map.
    fn look<T>(self, look: impl FnOnce(Map<'_>) -> T) -> T {
        let guest = self.kernel.built();
        let kernel = guest.kernel();
        let bpf = Bpf::of(&kernel);
        let maps = bpf.maps().unwrap();
        look(maps[0])
    }
}

fn pairs(contents: &Contents<'_>) -> Vec<(u32, u32)> {
    let word = |bytes: Vec<u8>| u32::from_le_bytes(bytes.try_into().unwrap());
    let pair = |entry: &super::Entry<'_>| {
        let key = match &entry.key {
            Key::Data(key) => word(key.bytes().unwrap()),
            Key::Index(index) => *index as u32,
            Key::Owner(owner) => owner.i64("pid").unwrap() as u32,
        };
        let Held::One(value) = &entry.value else {
            panic!("{:?}", entry.value);
        };
        (key, word(value.bytes().unwrap()))
    };
    contents.entries.iter().map(pair).collect()
}

fn problem(contents: &Contents<'_>) -> String {
    contents.problem.as_ref().unwrap().to_string()
}

#[test]
fn an_array_has_an_entry_for_each_index() {
    let mut made = Made::new();
    made.array(&[7, 8, 9]);
    made.look(|map| {
        assert_eq!(map.name().unwrap(), "map1");
        assert_eq!(map.kind().unwrap(), "BPF_MAP_TYPE_ARRAY");
        assert_eq!(pairs(&map.contents(10).unwrap()), [(0, 7), (1, 8), (2, 9)]);
        let some = map.contents(2).unwrap();
        assert_eq!((some.entries.len(), some.total), (2, 3));
        let text = some.value(&Limits::default());
        let Value::List(all) = text else { panic!() };
        assert_eq!(all[2], Value::Missing("left out: 1 more entries".to_owned()));
    });
}

/// C7, C8: no entry is made up where nothing is mapped.
#[test]
fn an_array_that_claims_more_entries_than_its_memory_has_ends_with_a_reason() {
    let mut made = Made::new();
    let map = made.array(&[7]);
    made.kernel.set(map, "bpf_map", "max_entries", 0xffff_ffff);
    made.kernel.set(map, "bpf_array", "elem_size", 1 << 31);
    made.look(|map| {
        let contents = map.contents(1000).unwrap();
        let Held::One(last) = &contents.entries.last().unwrap().value else {
            panic!()
        };
        assert_eq!((contents.entries.len(), contents.total), (1000, 0xffff_ffff));
        assert!(last.bytes().is_err());
    });
}

#[test]
fn a_value_of_a_size_that_no_memory_holds_is_not_read() {
    let mut made = Made::new();
    let map = made.array(&[7]);
    made.kernel.set(map, "bpf_map", "value_size", 0xffff_fff0);
    made.kernel.set(map, "bpf_array", "elem_size", 0xffff_fff0);
    made.look(|map| {
        let contents = map.contents(10).unwrap();
        let Held::One(value) = &contents.entries[0].value else {
            panic!()
        };
        assert!(matches!(value.bytes(), Err(ReadError::OutOfRange { .. })));
        let shown = value.value(&Limits::default()).to_text();
        assert!(shown.contains("07 00 00 00"), "{shown}");
    });
}

#[test]
fn elements_larger_than_their_slots_are_an_error() {
    let mut made = Made::new();
    let map = made.array(&[7]);
    made.kernel.set(map, "bpf_map", "value_size", 64);
    made.look(|map| {
        let error = map.contents(10).unwrap_err().to_string();
        assert!(error.contains("elem_size"), "{error}");
    });
}

#[test]
fn a_per_cpu_array_has_a_value_of_each_cpu() {
    let mut made = Made::new();
    let own = made.kernel.per_cpu("values", "bpf_prog_stats");
    made.kernel.write(own[0], &5u32.to_le_bytes());
    made.kernel.write(own[1], &6u32.to_le_bytes());
    let map = made.map("bpf_array", 64, 6, [4, 4, 2]);
    let pointers = made.kernel.at(map, "bpf_array", "ptrs");
    let template = FakeKernel::per_cpu_pointer(own[0]);
    made.kernel.write(pointers, &template.to_le_bytes());
    made.look(|map| {
        let contents = map.contents(10).unwrap();
        assert_eq!(contents.total, 1, "a slot with NULL is no entry");
        let Held::PerCpu(values) = &contents.entries[0].value else {
            panic!()
        };
        let bytes: Vec<_> = values
            .iter()
            .map(|(cpu, value)| (*cpu, value.bytes().unwrap()[0]))
            .collect();
        assert_eq!(bytes, [(0, 5), (1, 6)]);
    });
}

#[test]
fn a_map_of_maps_tells_their_ids() {
    let mut made = Made::new();
    let outer = made.map("bpf_array", 64, 12, [4, 4, 2]);
    let inner = made.array(&[1]);
    let pointers = made.kernel.at(outer, "bpf_array", "ptrs");
    made.kernel
        .write(pointers.wrapping_add(8), &inner.0.to_le_bytes());
    made.look(|map| {
        let contents = map.contents(10).unwrap();
        assert!(matches!(
            (&contents.entries[0].key, &contents.entries[0].value),
            (Key::Index(1), Held::Map(2))
        ));
    });
}

#[test]
fn a_hash_is_told_by_ascending_keys_whatever_its_buckets_are() {
    let mut made = Made::new();
    made.hash(&[(0, 300, 1), (3, 2, 2), (3, 1, 3), (1, 17, 4)]);
    made.look(|map| {
        let contents = map.contents(10).unwrap();
        assert_eq!(problem_free(&contents), [(1, 3), (2, 2), (17, 4), (300, 1)]);
        let some = map.contents(2).unwrap();
        assert_eq!((some.entries.len(), some.total), (2, 4));
    });
}

/// Bytes of maps, types and chains at random places are changed: whatever comes out, it comes out.
#[test]
fn damaged_memory_is_neither_a_panic_nor_an_endless_walk() {
    // A sequence of Lehmer's: the same in every run.
    let mut state = 1u64;
    let mut random = move |below: u64| {
        state = state * 48_271 % 0x7fff_ffff;
        state % below
    };
    for _ in 0..200 {
        let mut made = Made::new();
        made.array(&[1, 2, 3]);
        made.hash(&[(0, 1, 1), (1, 2, 2), (1, 3, 3)]);
        made.ringbuf(8, 40);
        section(&mut made, |_| {});
        let (first, end) = (made.maps.0, made.kernel.alloc_bytes(1).0);
        for _ in 0..16 {
            let at = GuestVirt(first + random(end - first));
            made.kernel.write(at, &[random(256) as u8]);
        }
        let guest = made.kernel.built();
        let kernel = guest.kernel();
        let bpf = Bpf::of(&kernel);
        let limits = Limits::default().following(2);
        assert!(!bpf.maps_value(100, &limits).to_text().is_empty());
        let _ = (bpf.progs_value(), bpf.globals("nr"));
    }
}

fn problem_free(contents: &Contents<'_>) -> Vec<(u32, u32)> {
    assert_eq!(contents.problem, None);
    pairs(contents)
}

/// A21: a chain that leads back is told, and what was found before it stays.
#[test]
fn a_bucket_that_runs_in_a_circle_is_told() {
    let mut made = Made::new();
    let (_, elements) = made.hash(&[(2, 1, 1), (2, 2, 2)]);
    made.kernel
        .set(elements[0], "htab_elem", "hash_node.next", elements[1].0);
    made.look(|map| {
        let contents = map.contents(10).unwrap();
        assert_eq!(contents.total, 2);
        assert!(problem(&contents).contains("circle"), "{}", problem(&contents));
    });
}

#[test]
fn a_chain_that_ends_in_another_bucket_is_told() {
    let mut made = Made::new();
    let (_, elements) = made.hash(&[(2, 1, 1)]);
    made.kernel.set(elements[0], "htab_elem", "hash_node.next", 3);
    made.look(|map| {
        let contents = map.contents(10).unwrap();
        assert_eq!(pairs(&contents), [(1, 1)]);
        assert!(problem(&contents).contains("another bucket"));
    });
}

#[test]
fn a_chain_that_leads_out_of_memory_is_told() {
    let mut made = Made::new();
    let (_, elements) = made.hash(&[(2, 1, 1)]);
    made.kernel
        .set(elements[0], "htab_elem", "hash_node.next", UNMAPPED.0);
    made.look(|map| {
        let contents = map.contents(10).unwrap();
        assert_eq!(pairs(&contents), [(1, 1)]);
        assert!(contents.problem.is_some());
    });
}

/// A20: more elements than the map says that it can have end the walk.
#[test]
fn a_hash_with_more_elements_than_its_limit_is_told() {
    let mut made = Made::new();
    let (map, _) = made.hash(&[(0, 1, 1), (1, 2, 2), (2, 3, 3), (3, 4, 4)]);
    made.kernel.set(map, "bpf_map", "max_entries", 1);
    made.look(|map| {
        let contents = map.contents(10).unwrap();
        assert_eq!(contents.total, 3, "one, and one more for each CPU");
        assert!(matches!(contents.problem, Some(ReadError::TooMany { .. })));
    });
}

#[test]
fn a_number_of_buckets_that_is_no_power_of_two_is_an_error() {
    for buckets in [0, 3, 1 << 31] {
        let mut made = Made::new();
        let (map, _) = made.hash(&[]);
        made.kernel.set(map, "bpf_htab", "n_buckets", buckets);
        made.look(|map| {
            assert!(matches!(
                map.contents(10).unwrap_err(),
                ReadError::OutOfRange { .. }
            ));
        });
    }
}

#[test]
fn task_storage_is_told_by_tasks() {
    let mut made = Made::new();
    let map = made.map("bpf_local_storage_map", 0, 29, [4, 4, 0]);
    let kernel = &mut made.kernel;
    let buckets = kernel.alloc_bytes(2 * 16);
    kernel.set(map, "bpf_local_storage_map", "buckets", buckets.0);
    kernel.set(map, "bpf_local_storage_map", "bucket_log", 1);
    for (bucket, pid, value) in [(0u64, 9u64, 90u32), (1, 4, 40)] {
        let task = kernel.alloc("task_struct");
        kernel.set(task, "task_struct", "pid", pid);
        let storage = kernel.alloc("bpf_local_storage");
        kernel.set(storage, "bpf_local_storage", "owner", task.0);
        let element = kernel.alloc_bytes(96);
        kernel.set(element, "bpf_local_storage_elem", "local_storage", storage.0);
        let at = kernel.at(element, "bpf_local_storage_elem", "sdata.data");
        kernel.write(at, &value.to_le_bytes());
        kernel.write(buckets.wrapping_add(16 * bucket), &element.0.to_le_bytes());
    }
    made.look(|map| {
        assert_eq!(problem_free(&map.contents(10).unwrap()), [(4, 40), (9, 90)]);
    });
}

#[test]
fn a_ring_buffer_tells_the_records_that_wait() {
    let mut made = Made::new();
    // The first record ends behind the end of the buffer, where it is mapped a second time.
    let ring = made.ringbuf(4096 - 8, 4096 + 8 + 24);
    let data = made.kernel.at(ring, "bpf_ringbuf", "data");
    made.kernel
        .write(data.wrapping_add(4096 - 8), &8u64.to_le_bytes());
    made.kernel.write(data.wrapping_add(4096), b"wrapped!");
    made.kernel
        .write(data.wrapping_add(8), &(1u32 << 31 | 12).to_le_bytes());
    made.look(|map| {
        let ring = super::RingBuf::of(&map).unwrap();
        assert_eq!(ring.unread().unwrap(), 40);
        let (records, total) = ring.records(10).unwrap();
        assert_eq!(total, 2);
        assert_eq!(records[0].data.bytes().unwrap(), b"wrapped!");
        assert!(!records[0].busy && records[1].busy);
        assert_eq!(records[1].data.size(), 12);
    });
}

#[test]
fn a_ring_buffer_whose_positions_are_too_far_apart_is_an_error() {
    let mut made = Made::new();
    made.ringbuf(0, 4097);
    made.look(|map| {
        assert!(matches!(
            map.contents(10).unwrap_err(),
            ReadError::OutOfRange { .. }
        ));
        let shown = map.value(10, &Limits::default()).to_text();
        assert!(shown.contains("consumer_pos is 0x0"), "{shown}");
    });
}

#[test]
fn a_record_longer_than_what_was_written_is_an_error() {
    let mut made = Made::new();
    let ring = made.ringbuf(0, 16);
    let data = made.kernel.at(ring, "bpf_ringbuf", "data");
    made.kernel.write(data, &64u32.to_le_bytes());
    made.look(|map| {
        let error = map.contents(10).unwrap_err().to_string();
        assert!(error.contains("the record at 0x0"), "{error}");
    });
}

#[test]
fn a_kind_of_map_that_is_not_known_here_is_named_without_contents() {
    let mut made = Made::new();
    made.map("bpf_map", 0, 22, [0, 4, 8]);
    made.look(|map| {
        let shown = map.value(10, &Limits::default()).to_text();
        assert!(shown.contains("BPF_MAP_TYPE_QUEUE"), "{shown}");
        assert!(map.contents(10).is_err());
    });
}

/// A map of one value, a section `.bss` with the variables `nr` and `on`, whose types are in the guest.
fn section(made: &mut Made, damage: impl FnOnce(&mut Vec<u8>)) -> GuestVirt {
    let mut writer = BtfWriter::new();
    let int = writer.int("unsigned int", 4, false);
    let flag = writer.int_with("bool", 1, 4 << 24 | 8);
    let (nr, on) = (writer.var("nr", int), writer.var("on", flag));
    let section = writer.datasec(".bss", 8, &[[nr, 0, 4], [on, 4, 1]]);
    let mut bytes = writer.bytes();
    damage(&mut bytes);
    let map = made.map("bpf_array", 64, 2, [4, 8, 1]);
    let kernel = &mut made.kernel;
    let data = kernel.alloc_bytes(bytes.len() as u64);
    kernel.write(data, &bytes);
    let btf = kernel.alloc("btf");
    kernel.set(btf, "btf", "data", data.0);
    kernel.set(btf, "btf", "data_size", bytes.len() as u64);
    kernel.set(map, "bpf_map", "btf", btf.0);
    kernel.set(map, "bpf_map", "btf_value_type_id", section.into());
    kernel.set(map, "bpf_array", "elem_size", 8);
    let at = kernel.at(map, "bpf_array", "value");
    kernel.write(at, &[42, 0, 0, 0, 1, 0, 0, 0]);
    btf
}

#[test]
fn variables_of_a_program_are_found_by_name() {
    let mut made = Made::new();
    section(&mut made, |_| {});
    made.look(|map| {
        let bpf = map.bpf();
        assert_eq!(bpf.global("nr").unwrap().bits().unwrap(), 42);
        assert_eq!(bpf.global("on").unwrap().bits().unwrap(), 1);
        assert!(matches!(bpf.global("off"), Err(ReadError::NotLoaded { .. })));
        let shown = map.value(10, &Limits::default());
        assert_eq!(shown.get("variables.nr").unwrap(), &Value::Unsigned(42));
        assert_eq!(shown.get("variables.on").unwrap(), &Value::Bool(true));
    });
}

#[test]
fn paths_lead_to_variables_of_programs() {
    let mut made = Made::new();
    section(&mut made, |_| {});
    made.look(|map| {
        let number = |path: &str| match crate::path::resolve(map.bpf(), &path.parse().unwrap()) {
            Ok(crate::path::Place::Typed(object)) => object.bits().map_err(|error| error.to_string()),
            Ok(place) => panic!("{place:?}"),
            Err(error) => Err(error.to_string()),
        };
        for (path, expect) in [("nr", 42), ("map[map1].nr", 42), ("map[1].on", 1)] {
            assert_eq!(number(path), Ok(expect), "{path}");
        }
        assert!(number("nr:4").unwrap_err().contains("leave the size out"));
        assert!(number("map[map1].off").unwrap_err().contains("off"));
        assert!(number("off").unwrap_err().contains("no symbol off"));
    });
}

#[test]
fn a_path_to_values_without_a_type_says_where_to_look() {
    let mut made = Made::new();
    made.array(&[7, 8]);
    made.look(|map| {
        for (path, expect) in [
            ("map[map1]", "holds 2 entries: give a key as in `map[map1][0]`"),
            ("map[map1][1]", "look at all of it with `map map1`"),
            ("map[map1][2]", "has no entry with the key 2"),
        ] {
            let error = crate::path::resolve(map.bpf(), &path.parse().unwrap()).unwrap_err();
            assert!(error.to_string().contains(expect), "{path}: {error}");
        }
    });
}

#[test]
fn damaged_types_of_a_map_are_told_and_the_map_stays_readable() {
    for damage in [0, 4, 12, 24, 28, 40] {
        let mut made = Made::new();
        section(&mut made, |bytes| bytes[damage] ^= 0xff);
        made.look(|map| {
            let _ = map.globals();
            let shown = map.value(10, &Limits::default()).to_text();
            assert!(shown.contains("map1"), "{shown}");
        });
    }
}

/// Types of 4 GiB are a claim that is not followed.
#[test]
fn types_that_are_too_large_are_an_error() {
    let mut made = Made::new();
    let btf = section(&mut made, |_| {});
    made.kernel.set(btf, "btf", "data_size", 0xffff_ffff);
    made.look(|map| {
        let error = map.globals().unwrap_err();
        assert!(matches!(error, ReadError::OutOfRange { .. }), "{error}");
    });
}

#[test]
fn a_map_that_says_another_id_of_itself_is_an_error() {
    let mut made = Made::new();
    let map = made.array(&[1]);
    made.kernel.set(map, "bpf_map", "id", 5);
    let guest = made.kernel.built();
    let kernel = guest.kernel();
    let error = Bpf::of(&kernel).maps().err().unwrap().to_string();
    assert!(error.contains("map_idr has it as 1"), "{error}");
}

#[test]
fn a_program_tells_its_name_types_maps_and_run_time() {
    let mut made = Made::new();
    let map = made.array(&[1]);
    let kernel = &mut made.kernel;
    let mut writer = BtfWriter::new();
    let proto = writer.prototype(0, &[]);
    let func = writer.plain(Kind::Func, "a_rather_long_name", proto);
    let bytes = writer.bytes();
    let data = kernel.alloc_bytes(bytes.len() as u64);
    kernel.write(data, &bytes);
    let btf = kernel.alloc("btf");
    kernel.set(btf, "btf", "data", data.0);
    kernel.set(btf, "btf", "data_size", bytes.len() as u64);
    let (prog, aux) = (kernel.alloc("bpf_prog"), kernel.alloc("bpf_prog_aux"));
    let info = kernel.alloc("bpf_func_info");
    kernel.set(info, "bpf_func_info", "type_id", func.into());
    let maps = kernel.alloc_bytes(8);
    kernel.write(maps, &map.0.to_le_bytes());
    let stats = kernel.per_cpu("prog_stats", "bpf_prog_stats");
    for (cpu, own) in (1u64..).zip(&stats) {
        kernel.set(*own, "bpf_prog_stats", "cnt", 10 * cpu);
        kernel.set(*own, "bpf_prog_stats", "nsecs", 100 * cpu);
    }
    kernel.set(prog, "bpf_prog", "aux", aux.0);
    kernel.set(prog, "bpf_prog", "type", 27);
    kernel.set(prog, "bpf_prog", "len", 3);
    kernel.set(prog, "bpf_prog", "stats", FakeKernel::per_cpu_pointer(stats[0]));
    kernel.write(
        kernel.at(prog, "bpf_prog", "tag"),
        &[0x0a, 1, 2, 3, 4, 5, 6, 0xff],
    );
    kernel.set(aux, "bpf_prog_aux", "id", 7);
    kernel.set(aux, "bpf_prog_aux", "used_map_cnt", 1);
    kernel.set(aux, "bpf_prog_aux", "used_maps", maps.0);
    kernel.set(aux, "bpf_prog_aux", "func_info_cnt", 1);
    kernel.set(aux, "bpf_prog_aux", "func_info", info.0);
    kernel.set(aux, "bpf_prog_aux", "btf", btf.0);
    kernel.set_text(aux, "bpf_prog_aux", "name", "a_rather_long_n");
    let idr = kernel.variable("prog_idr", "idr");
    let node = kernel.alloc("xa_node");
    kernel.set(idr, "idr", "idr_rt.xa_head", node.0 + 2);
    kernel.set(node, "xa_node", "slots[7]", prog.0);
    let guest = made.kernel.built();
    let kernel = guest.kernel();
    let bpf = Bpf::of(&kernel);
    let progs = bpf.progs().unwrap();
    let prog = progs[0];
    assert_eq!(prog.id().unwrap(), 7);
    assert_eq!(prog.name().unwrap(), "a_rather_long_n");
    assert_eq!(prog.full_name().unwrap().unwrap(), "a_rather_long_name");
    assert_eq!(prog.tag().unwrap(), "0a010203040506ff");
    assert_eq!(prog.kind().unwrap(), "BPF_PROG_TYPE_STRUCT_OPS");
    assert_eq!(prog.xlated_len().unwrap(), 24);
    let stats = prog.stats().unwrap();
    assert_eq!((stats.cnt, stats.nsecs, stats.misses), (30, 300, 0));
    assert_eq!(prog.used_maps().unwrap()[0].id().unwrap(), 1);
}

#[test]
fn a_program_with_more_maps_than_any_has_is_an_error() {
    let mut made = Made::new();
    let kernel = &mut made.kernel;
    let (prog, aux) = (kernel.alloc("bpf_prog"), kernel.alloc("bpf_prog_aux"));
    kernel.set(prog, "bpf_prog", "aux", aux.0);
    kernel.set(aux, "bpf_prog_aux", "used_map_cnt", 1 << 30);
    let idr = kernel.variable("prog_idr", "idr");
    kernel.set(idr, "idr", "idr_rt.xa_head", prog.0);
    let guest = made.kernel.built();
    let kernel = guest.kernel();
    let bpf = Bpf::of(&kernel);
    let error = bpf.progs().unwrap()[0].used_maps().err().unwrap();
    assert!(matches!(error, ReadError::OutOfRange { .. }), "{error}");
}

#[test]
fn questions_about_maps_are_answered() {
    let mut made = Made::new();
    made.array(&[7]);
    let guest = made.kernel.built();
    let kernel = guest.kernel();
    let ask = |words: &str| {
        let query: crate::Query = words.parse().unwrap();
        assert_eq!(query.to_string(), words);
        query.answer(&kernel)
    };
    for words in ["maps", "map map1", "map 1"] {
        let answer = ask(words);
        assert_eq!(answer.get("[0].name").unwrap(), &Value::from("map1"), "{words}");
        let value = answer.get("[0].contents[0].value").unwrap();
        assert_eq!(value, &Value::from("07 00 00 00"));
    }
    let Value::Missing(why) = ask("map map2") else {
        panic!()
    };
    assert_eq!(why, "no BPF map map2 is loaded");
    let Value::Missing(why) = ask("progs") else {
        panic!()
    };
    assert!(why.contains("prog_idr"), "{why}");
}
