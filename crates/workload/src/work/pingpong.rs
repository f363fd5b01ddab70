//! Ping-pong: two workers wake each other over a futex. Who has the ball computes one unit and gives it away.
//!
//! Waiting for the ball is not wanting to run. Who gives it writes down, just before it wakes the partner,
//! that the partner wants to run from now on: the gap that the partner then closes is its wakeup latency.

use std::sync::atomic::{AtomicU32, Ordering};

use super::Steps;
use crate::compute::Compute;
use crate::futex;
use crate::scratch::Layout;
use crate::{SelfTelemetry, Slot, Team, clock};

/// What the two share: a futex with the number of the worker that has the ball. The first one has it in the beginning.
struct Ball(AtomicU32);

// SAFETY: one atomic.
unsafe impl Layout for Ball {}

/// One side of the work; a work unit is one turn with the ball, that is one round trip.
pub(super) struct PingPong<'a> {
    ball: &'a Ball,
    /// The value of the ball when it is this side's turn.
    mine: u32,
    /// The value of the ball when it is the partner's turn.
    others: u32,
    partner: &'a Slot,
    compute: Compute,
}

impl<'a> PingPong<'a> {
    /// This worker's side; `None` where the team is no pair.
    pub(super) fn new(team: Team<'a>) -> Option<PingPong<'a>> {
        let (mine, others) = match team.number() {
            0 => (0, 1),
            1 => (1, 0),
            _ => return None,
        };
        Some(PingPong {
            ball: team.scratch(),
            mine,
            others,
            partner: team.member(others as usize)?,
            compute: Compute::new(),
        })
    }
}

impl Steps for PingPong<'_> {
    fn step(&mut self, telemetry: &mut SelfTelemetry<'_>) {
        let (Ball(ball), mine, others) = (self.ball, self.mine, self.others);
        if ball.load(Ordering::Acquire) != mine {
            let since = telemetry.stamp();
            telemetry.slot().stop_wanting(since);
            while ball.load(Ordering::Acquire) != mine {
                futex::wait(ball, others);
            }
        }
        let since = telemetry.stamp();
        self.compute.unit();
        telemetry.count();
        // The order matters: once the ball is given the partner may say at any time what this side wants.
        telemetry.slot().stop_wanting(since);
        self.partner.set_wants_since(Some(clock::now()));
        ball.store(others, Ordering::Release);
        futex::wake(ball);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_sides_take_turns() {
        const ROUNDS: u64 = 200;
        let slots = [Slot::new(), Slot::new()];
        let units = || slots.each_ref().map(|slot| slot.read().work_units);
        let play = |number| {
            let team = Team::new(&slots, number).unwrap();
            let mut telemetry = SelfTelemetry::new(team.slot());
            let mut work = PingPong::new(team).unwrap();
            (0..ROUNDS).for_each(|_| {
                work.step(&mut telemetry);
                let [one, other] = units();
                assert!(one.abs_diff(other) <= 1, "{one} and {other}");
            });
        };
        std::thread::scope(|scope| {
            scope.spawn(|| play(0));
            scope.spawn(|| play(1));
        });
        assert_eq!(units(), [ROUNDS; 2]);
        assert!(slots[0].read().closed_gap.is_some());
    }

    #[test]
    fn who_waits_for_the_ball_does_not_want_to_run() {
        let slots = [Slot::new(), Slot::new()];
        let team = Team::new(&slots, 0).unwrap();
        let mut telemetry = SelfTelemetry::new(team.slot());
        PingPong::new(team).unwrap().step(&mut telemetry);
        assert_eq!(slots[0].read().wants_since, None);
        assert!(slots[1].read().wants_since.is_some());
    }

    #[test]
    fn only_a_pair_plays() {
        let check = |size: usize, number, expect: bool| {
            let slots: Vec<Slot> = (0..size).map(|_| Slot::new()).collect();
            let team = Team::new(&slots, number).unwrap();
            assert_eq!(PingPong::new(team).is_some(), expect, "{number} of {size}");
        };
        check(1, 0, false);
        check(2, 0, true);
        check(2, 1, true);
        check(3, 2, false);
    }
}
