//! Ping-pong: two workers wake each other over a futex. Who has the ball computes one unit and gives it away.
//!
//! Waiting for the ball is not wanting to run. Who gives it writes down, just before it wakes the partner,
//! that the partner wants to run from now on: the gap that the partner then closes is its wakeup latency.

use std::sync::atomic::Ordering;

use crate::compute::Compute;
use crate::slot::{self, Slot};
use crate::{SelfTelemetry, Work, clock};

/// Which of the two; the first one has the ball in the beginning, and it lies in its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Begins.
    First,
    /// Answers.
    Second,
}

impl Side {
    fn turn(self) -> u32 {
        match self {
            Side::First => 0,
            Side::Second => 1,
        }
    }

    fn other(self) -> Side {
        match self {
            Side::First => Side::Second,
            Side::Second => Side::First,
        }
    }
}

/// One side of the work; a work unit is one turn with the ball, that is one round trip.
pub struct PingPong<'s> {
    side: Side,
    partner: &'s Slot,
    compute: Compute,
}

impl<'s> PingPong<'s> {
    /// The side `side`, whose partner writes its diary in `partner`.
    pub fn new(side: Side, partner: &'s Slot) -> PingPong<'s> {
        PingPong {
            side,
            partner,
            compute: Compute::new(),
        }
    }
}

impl Work for PingPong<'_> {
    fn step(&mut self, telemetry: &mut SelfTelemetry<'_>) {
        let ball = match self.side {
            Side::First => &telemetry.slot().ball,
            Side::Second => &self.partner.ball,
        };
        let (mine, others) = (self.side.turn(), self.side.other().turn());

        if ball.load(Ordering::Acquire) != mine {
            let since = telemetry.stamp();
            telemetry.slot().stop_wanting(since);
            while ball.load(Ordering::Acquire) != mine {
                slot::wait(ball, others);
            }
        }
        let since = telemetry.stamp();
        self.compute.unit();
        telemetry.count();
        // The order matters: once the ball is given the partner may say at any time what this side wants.
        telemetry.slot().stop_wanting(since);
        self.partner.set_wants_since(Some(clock::now()));
        ball.store(others, Ordering::Release);
        slot::wake(ball);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_sides_take_turns() {
        const ROUNDS: u64 = 200;
        let (first, second) = (Slot::new(), Slot::new());
        let play = |side, own, partner| {
            let mut telemetry = SelfTelemetry::new(own);
            let mut work = PingPong::new(side, partner);
            (0..ROUNDS).for_each(|_| {
                work.step(&mut telemetry);
                let (one, other) = (first.read().work_units, second.read().work_units);
                assert!(one.abs_diff(other) <= 1, "{one} and {other}");
            });
        };
        std::thread::scope(|scope| {
            scope.spawn(|| play(Side::First, &first, &second));
            scope.spawn(|| play(Side::Second, &second, &first));
        });
        assert_eq!(first.read().work_units, ROUNDS);
        assert_eq!(second.read().work_units, ROUNDS);
        assert!(first.read().closed_gap.is_some());
    }

    #[test]
    fn who_waits_for_the_ball_does_not_want_to_run() {
        let (first, second) = (Slot::new(), Slot::new());
        let mut telemetry = SelfTelemetry::new(&first);
        PingPong::new(Side::First, &second).step(&mut telemetry);
        assert_eq!(first.read().wants_since, None);
        assert!(second.read().wants_since.is_some());
    }
}
