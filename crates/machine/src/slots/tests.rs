use std::cell::RefCell;

use super::*;

const LINK: u64 = 0xffff_ffff_8260_0000;
const SLIDE: u64 = 0x20_0000;

/// The symbols of a kernel.
fn link(symbol: &str) -> Option<u64> {
    match symbol {
        "jiffies" => Some(LINK),
        "odd" => Some(LINK + 2),
        "zero" => Some(0),
        "low" => Some(0x1000),
        "edge" => Some(MOVED_BY_KASLR),
        "below" => Some(MOVED_BY_KASLR - 4),
        _ => None,
    }
}

fn arm(slots: &Slots, symbol: &str, slide: u64) -> Result<Armed, ArmError> {
    slots.arm("tag", symbol, link, slide, &Warned::new())
}

fn full() -> Slots {
    let slots = Slots::default();
    for register in 1..=3 {
        let armed = arm(&slots, "jiffies", SLIDE).unwrap();
        assert_eq!(armed.slot.register(), register);
    }
    slots
}

fn state(slots: &Slots) -> ([Option<GuestVirt>; 3], [Option<String>; 3], bool) {
    let tag = |register| UserSlot::of_register(register).and_then(|slot| slots.tag(slot));
    (slots.requests(), [tag(1), tag(2), tag(3)], slots.any_armed())
}

/// B6: free slot, symbol, KASLR, zero, alignment: the first that fails is told, though the others would fail, too.
#[test]
fn checks_come_in_their_order() {
    let all_in_use = full();
    let error = |slots: &Slots, symbol: &str, slide: u64| arm(slots, symbol, slide).unwrap_err();
    // No slot, before no symbol.
    assert_eq!(error(&all_in_use, "none", 0), ArmError::AllInUse);
    let slots = Slots::default();
    assert!(matches!(error(&slots, "none", 0), ArmError::NoSymbol { .. }));
    // Not slid, before unaligned.
    assert!(matches!(error(&slots, "odd", 0), ArmError::NotSlid { .. }));
    assert!(matches!(error(&slots, "odd", SLIDE), ArmError::Unaligned { .. }));
    assert!(matches!(error(&slots, "zero", 0), ArmError::AtZero { .. }));
    // Moved around to zero.
    let around = 0u64.wrapping_sub(LINK);
    assert!(matches!(
        error(&slots, "jiffies", around),
        ArmError::AtZero { .. }
    ));
}

/// B6: a watch that is refused leaves all slots as they were.
#[test]
fn a_refused_watch_touches_no_slot() {
    let slots = Slots::default();
    arm(&slots, "low", 0).unwrap();
    let before = state(&slots);
    for (symbol, slide) in [("none", 0), ("jiffies", 0), ("zero", 0), ("odd", SLIDE)] {
        arm(&slots, symbol, slide).unwrap_err();
        assert_eq!(state(&slots), before, "{symbol}");
    }
    let slots = full();
    let before = state(&slots);
    arm(&slots, "low", 0).unwrap_err();
    assert_eq!(state(&slots), before);
}

/// B6: four bytes and no more: every multiple of 4 will do.
#[test]
fn every_multiple_of_four_will_do() {
    for offset in 0..16 {
        let slots = Slots::default();
        let armed = slots.arm("t", "s", |_| Some(0x1000 + offset), 0, &Warned::new());
        assert_eq!(armed.is_ok(), offset % 4 == 0, "{offset}");
    }
}

/// B7: registers 1, 2 and 3 in this order; the first one freed is taken first; a full set is not overwritten.
#[test]
fn slots_are_taken_in_their_order() {
    let slots = full();
    let error = arm(&slots, "low", 0).unwrap_err().to_string();
    assert!(
        error.contains("1..3") && error.contains("3 are the most"),
        "{error}"
    );
    for register in [2, 1, 3] {
        slots.free(UserSlot::of_register(register).unwrap());
        assert_eq!(slots.requests()[register - 1], None);
        let armed = arm(&slots, "low", 0).unwrap();
        assert_eq!(armed.slot.register(), register);
    }
    slots.free(UserSlot::of_register(3).unwrap());
    slots.free(UserSlot::of_register(2).unwrap());
    assert_eq!(arm(&slots, "low", 0).unwrap().slot.register(), 2, "the lowest");
}

/// B7: the same symbol twice is two watches.
#[test]
fn one_symbol_may_be_watched_twice() {
    assert_eq!(full().requests(), [Some(GuestVirt(LINK + SLIDE)); 3]);
}

/// B7: register 0 is not the user's, and there is no fourth.
#[test]
fn only_registers_one_to_three_are_the_users() {
    let found =
        [0, 1, 3, 4, usize::MAX].map(|register| UserSlot::of_register(register).map(UserSlot::register));
    assert_eq!(found, [None, Some(1), Some(3), None, None]);
}

/// B8: without a slide nothing that KASLR moves is watched, from the first address on that it moves.
#[test]
fn what_kaslr_moves_is_not_watched_without_its_slide() {
    let slots = Slots::default();
    for symbol in ["jiffies", "edge"] {
        let error = arm(&slots, symbol, 0).unwrap_err().to_string();
        let link = format!("{:#x}", link(symbol).unwrap());
        for part in [symbol, &link, "kaslr=false"] {
            assert!(error.contains(part), "{error}");
        }
    }
    let at = |symbol, slide| arm(&Slots::default(), symbol, slide).unwrap().at.0;
    assert_eq!(at("below", 0), MOVED_BY_KASLR - 4);
    assert_eq!(at("low", 0), 0x1000);
    assert_eq!(at("jiffies", SLIDE), LINK + SLIDE);
    assert_eq!(at("edge", 4096), MOVED_BY_KASLR + 4096);
}

/// B8: a warning once for a symbol and its address, an error each time; neither where all is well.
#[test]
fn a_warning_comes_once_and_the_error_each_time() {
    let slots = Slots::default();
    let warned = Warned::new();
    let warn = |symbol: &str, at: u64, slide: u64| match slots.arm("t", symbol, |_| Some(at), slide, &warned)
    {
        Err(ArmError::NotSlid { warn, .. }) => Some(warn),
        _ => None,
    };
    assert_eq!(warn("a", LINK, SLIDE), None);
    assert_eq!(warn("a", 0x1000, 0), None);
    assert_eq!(warn("a", LINK, 0), Some(true));
    assert_eq!(warn("a", LINK, 0), Some(false));
    assert_eq!(warn("a", LINK + 4, 0), Some(true));
    assert_eq!(warn("b", LINK, 0), Some(true));
    assert_eq!(warn("b", LINK, 0), Some(false));
}

/// B8: other slots of the same process do not warn again, and what is remembered is bounded.
#[test]
fn warnings_are_the_processes_and_bounded() {
    let once = |slots: &Slots, symbol: &str| {
        let error = slots.arm("t", symbol, |_| Some(LINK), 0, Warned::of_the_process());
        matches!(error, Err(ArmError::NotSlid { warn: true, .. }))
    };
    assert!(once(&Slots::default(), "of this test"));
    assert!(!once(&Slots::default(), "of this test"));
    let warned = Warned::new();
    let count = (0..2000).filter(|number| warned.first("many", *number)).count();
    assert_eq!(count, MAX_WARNED);
}

/// B9: who sees that any is armed sees its request, and its tag.
#[test]
fn that_any_is_armed_is_published_last() {
    let all: Vec<Slots> = (0..2000).map(|_| Slots::default()).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for slots in &all {
                while !slots.any_armed() {
                    std::hint::spin_loop();
                }
                let slot = UserSlot::of_register(1).unwrap();
                assert_eq!(slots.requests()[0], Some(GuestVirt(LINK + SLIDE)));
                assert_eq!(slots.tag(slot).as_deref(), Some("tag"));
            }
        });
        for slots in &all {
            arm(slots, "jiffies", SLIDE).unwrap();
        }
    });
}

/// B9: a slot that is freed has no tag any more, and the next one's is its own.
#[test]
fn a_tag_goes_with_its_watch() {
    let slots = full();
    let slot = UserSlot::of_register(2).unwrap();
    slots.free(slot);
    assert_eq!(slots.tag(slot), None);
    slots.arm("other", "low", link, 0, &Warned::new()).unwrap();
    assert_eq!(slots.tag(slot).as_deref(), Some("other"));
}

/// B9: that any is armed is known until the last one is freed.
#[test]
fn any_armed_holds_until_the_last_is_freed() {
    let slots = full();
    for register in [1, 3, 2] {
        assert!(slots.any_armed());
        slots.free(UserSlot::of_register(register).unwrap());
    }
    assert!(!slots.any_armed());
}

struct Thread<'l> {
    name: &'static str,
    alive: bool,
    log: &'l RefCell<Vec<String>>,
}

impl Kick for Thread<'_> {
    fn is_alive(&self) -> bool {
        self.alive
    }
    fn request_exit(&self) {
        self.log.borrow_mut().push(format!("exit {}", self.name));
    }
    fn signal(&self) {
        self.log.borrow_mut().push(format!("signal {}", self.name));
    }
}

/// B9: all that live are asked before the first is interrupted; the first vCPU only if it lives.
#[test]
fn all_are_asked_before_any_is_interrupted() {
    let kicked = |first_alive: bool| {
        let log = RefCell::new(Vec::new());
        let thread = |name, alive| Thread {
            name,
            alive,
            log: &log,
        };
        kick_all(
            &[thread("1", true), thread("2", false)],
            &thread("0", first_alive),
        );
        log.take()
    };
    assert_eq!(
        kicked(true),
        ["exit 1", "exit 0", "signal 1", "signal 2", "signal 0"]
    );
    assert_eq!(kicked(false), ["exit 1", "signal 1", "signal 2"]);
}
