//! Max-min fair division: of CPUs, among claimants that may use some of them, weigh differently and want so much.
//!
//! A division is max-min fair when nobody can get more, relative to its weight, without taking from somebody who has no
//! more than itself, relative to its own (Bertsekas and Gallager, *Data Networks*, 6.5.2). Progressive filling finds it:
//! all get the same, relative to their weights, until somebody has all that it wants, or no CPU that it may use has time
//! left; who can get no more stays there, and the others go on. Whether a division is possible at all is a question of
//! flow: from the claimants over the CPUs that each may use to the time that those have.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::ford_fulkerson;
use petgraph::graph::DiGraph;
use spec::{CpuSet, Nanos};

/// What one of those among whom CPUs are divided may get.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Claim {
    /// Above zero.
    pub(super) weight: f64,
    /// The most that it can use.
    pub(super) wants: Nanos,
    /// The CPUs that it may use.
    pub(super) cpus: CpuSet,
}

/// The max-min fair division of `total` among the claims, one amount each, on CPUs that all have the same time.
///
/// That time is found: as much as lets the claimants have `total` together, at most `most` each. So what others used of the
/// CPUs is nobody's due. Amounts are off by some microseconds at the most.
pub(super) fn divide(claims: &[Claim], total: Nanos, most: Nanos) -> Vec<Nanos> {
    let classes = Classes::of(claims);
    let wants: Vec<u64> = claims.iter().map(|claim| claim.wants.0).collect();
    let capacity = highest(most.0, |capacity| classes.carry(&wants, capacity) <= total.0);
    let mut filling = Filling {
        weights: unit_weights(claims),
        wants,
        open: vec![true; claims.len()],
        due: vec![0; claims.len()],
        fits: |amounts: &[u64]| classes.carry(amounts, capacity) == amounts.iter().sum::<u64>(),
    };
    while filling.open.contains(&true) {
        filling.raise();
        filling.close();
    }
    filling.due.into_iter().map(Nanos).collect()
}

/// Weights of which the lowest is 1, so that a level of one nanosecond is at least one nanosecond for everybody.
fn unit_weights(claims: &[Claim]) -> Vec<f64> {
    let weights = || claims.iter().map(|claim| claim.weight);
    let lowest = weights().fold(f64::INFINITY, f64::min);
    weights().map(|weight| weight / lowest).collect()
}

/// A division in progress.
struct Filling<F> {
    weights: Vec<f64>,
    wants: Vec<u64>,
    /// Who can still get more.
    open: Vec<bool>,
    due: Vec<u64>,
    /// Is there a division with these amounts?
    fits: F,
}

impl<F: Fn(&[u64]) -> bool> Filling<F> {
    /// Gives all who are open as much as can be, the same relative to their weights.
    fn raise(&mut self) {
        let at = |level: u64| -> Vec<u64> {
            let claims = self.weights.iter().zip(&self.due).zip(&self.open);
            claims
                .map(|((weight, due), open)| match open {
                    true => (level as f64 * weight) as u64,
                    false => *due,
                })
                .collect()
        };
        let most = self.wants.iter().copied().max().unwrap_or_default();
        let level = highest(most, |level| {
            let amounts = at(level);
            self.wanted(&amounts) && (self.fits)(&amounts)
        });
        self.due = at(level);
    }

    /// Closes those who can get no more: at least one, since the next level was too high for somebody.
    fn close(&mut self) {
        let claims = self.weights.iter().zip(&self.open);
        let step: f64 = claims.filter(|(_, open)| **open).map(|(weight, _)| weight).sum();
        // What a level adds to all of them together, and their rounding.
        let step = step as u64 + 2 * self.due.len() as u64;
        for index in 0..self.due.len() {
            let mut more = self.due.clone();
            more[index] += step;
            if self.open[index] && !(self.wanted(&more) && (self.fits)(&more)) {
                self.open[index] = false;
            }
        }
    }

    fn wanted(&self, amounts: &[u64]) -> bool {
        amounts
            .iter()
            .zip(&self.wants)
            .all(|(amount, wants)| amount <= wants)
    }
}

/// The highest number up to `most` for which that holds, where it holds for all below; 0 where it holds for none.
fn highest(most: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if holds(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// CPUs that the same claimants may use, by those: how many they are.
struct Classes {
    claims: usize,
    classes: BTreeMap<Vec<usize>, u64>,
}

impl Classes {
    fn of(claims: &[Claim]) -> Classes {
        let mut classes = BTreeMap::new();
        let cpus: BTreeSet<u32> = claims.iter().flat_map(|claim| claim.cpus.iter()).collect();
        for cpu in cpus {
            let users = (0..claims.len()).filter(|index| claims[*index].cpus.contains(cpu));
            *classes.entry(users.collect()).or_default() += 1;
        }
        Classes {
            claims: claims.len(),
            classes,
        }
    }

    /// The most of those amounts that the CPUs can carry together if each has `capacity`.
    fn carry(&self, amounts: &[u64], capacity: u64) -> u64 {
        let mut graph: DiGraph<(), u64> = DiGraph::new();
        let (source, sink) = (graph.add_node(()), graph.add_node(()));
        let claims: Vec<_> = (0..self.claims).map(|_| graph.add_node(())).collect();
        for (claim, amount) in claims.iter().zip(amounts) {
            graph.add_edge(source, *claim, *amount);
        }
        for (users, cpus) in &self.classes {
            let class = graph.add_node(());
            let time = cpus.saturating_mul(capacity);
            for user in users {
                graph.add_edge(claims[*user], class, time);
            }
            graph.add_edge(class, sink, time);
        }
        ford_fulkerson(&graph, source, sink).0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Nanos = Nanos::from_secs(1);

    fn claim(weight: f64, wants_ms: u64, cpus: &str) -> Claim {
        Claim {
            weight,
            wants: Nanos::from_millis(wants_ms),
            cpus: cpus.parse().unwrap(),
        }
    }

    #[track_caller]
    fn check(claims: &[Claim], total_ms: u64, dues_ms: &[u64]) {
        let dues = divide(claims, Nanos::from_millis(total_ms), SECOND);
        let near = |(due, expected): (&Nanos, &u64)| due.0.abs_diff(expected * 1_000_000) < 10_000;
        assert!(
            dues.len() == dues_ms.len() && dues.iter().zip(dues_ms).all(near),
            "{dues:?}"
        );
    }

    #[test]
    fn who_wants_little_gets_it_and_the_rest_is_split_by_weight() {
        check(
            &[claim(1.0, 9_000, "0"), claim(1.0, 100, "0")],
            1_000,
            &[900, 100],
        );
        check(
            &[claim(3.0, 9_000, "0"), claim(1.0, 9_000, "0")],
            1_000,
            &[750, 250],
        );
    }

    #[test]
    fn cpus_that_one_alone_may_use_are_its_own() {
        let six_on_two = claim(1.0, 6_000, "0-1");
        check(
            &[six_on_two.clone(), claim(1.0, 3_000, "2")],
            3_000,
            &[2_000, 1_000],
        );
        // The second may use all three: it takes CPU 2 and has as much as the first.
        check(&[six_on_two, claim(1.0, 3_000, "0-2")], 3_000, &[1_500, 1_500]);
    }

    #[test]
    fn a_weight_that_asks_for_more_than_can_be_used_is_worth_that() {
        let claims = [
            claim(1000.0, 1_000, "0-3"),
            claim(1.0, 1_000, "0-3"),
            claim(1.0, 1_000, "0-3"),
        ];
        check(&claims, 2_000, &[1_000, 500, 500]);
    }

    #[test]
    fn what_others_used_is_nobodys_due() {
        check(
            &[claim(1.0, 1_000, "0"), claim(1.0, 1_000, "0")],
            600,
            &[300, 300],
        );
    }

    #[test]
    fn nothing_to_divide_is_divided() {
        check(&[], 1_000, &[]);
        let nowhere = Claim {
            cpus: CpuSet::default(),
            ..claim(1.0, 1_000, "0")
        };
        check(&[claim(1.0, 0, "0"), nowhere], 1_000, &[0, 0]);
    }

    /// All subsets of some indices.
    fn subsets(of: &[usize]) -> Vec<Vec<usize>> {
        let chosen = |bits: usize| {
            (0..of.len())
                .filter(move |bit| bits >> bit & 1 == 1)
                .map(|bit| of[bit])
        };
        (0..1 << of.len()).map(|bits| chosen(bits).collect()).collect()
    }

    /// The most that those claimants can have together: what some want, and all the time of the CPUs of the others.
    fn most_of(claims: &[Claim], who: &[usize], capacity: f64) -> f64 {
        let bound = |limited: &Vec<usize>| {
            let cpus: BTreeSet<u32> = limited
                .iter()
                .flat_map(|index| claims[*index].cpus.iter())
                .collect();
            let wanted = who.iter().filter(|index| !limited.contains(index));
            capacity * cpus.len() as f64 + wanted.map(|index| claims[*index].wants.0 as f64).sum::<f64>()
        };
        subsets(who).iter().map(bound).fold(f64::INFINITY, f64::min)
    }

    /// The same division by the definition's other form: the tightest of all sets of claimants first (Fujishige's
    /// decomposition of a polymatroid).
    fn brute_force(claims: &[Claim], capacity: f64) -> Vec<f64> {
        let mut due = vec![0.0; claims.len()];
        let (mut open, mut closed): (Vec<usize>, Vec<usize>) = ((0..claims.len()).collect(), Vec::new());
        while !open.is_empty() {
            let level = |group: &Vec<usize>| {
                let left = |given: &Vec<usize>| {
                    let all: Vec<usize> = group.iter().chain(given).copied().collect();
                    most_of(claims, &all, capacity) - given.iter().map(|index| due[*index]).sum::<f64>()
                };
                let left = subsets(&closed).iter().map(left).fold(f64::INFINITY, f64::min);
                left.max(0.0) / group.iter().map(|index| claims[*index].weight).sum::<f64>()
            };
            let groups = subsets(&open).into_iter().filter(|group| !group.is_empty());
            let (level, tightest) = groups
                .map(|group| (level(&group), group))
                .min_by(|one, other| one.0.total_cmp(&other.0))
                .unwrap();
            for index in tightest {
                due[index] = level * claims[index].weight;
                open.retain(|other| *other != index);
                closed.push(index);
            }
        }
        due
    }

    fn any_claim() -> impl Strategy<Value = Claim> {
        (1..=100_u32, 0..=4_000_u64, 1..=15_u32).prop_map(|(weight, wants, cpus)| Claim {
            weight: f64::from(weight),
            wants: Nanos::from_millis(wants),
            cpus: (0..4).filter(|cpu| cpus >> cpu & 1 == 1).collect(),
        })
    }

    proptest! {
        #[test]
        fn it_is_the_division_that_brute_force_finds(claims in prop::collection::vec(any_claim(), 0..5)) {
            let all: Vec<usize> = (0..claims.len()).collect();
            let total = most_of(&claims, &all, SECOND.0 as f64);
            let found = divide(&claims, Nanos(total as u64), SECOND);
            for (found, expected) in found.iter().zip(brute_force(&claims, SECOND.0 as f64)) {
                prop_assert!((found.0 as f64 - expected).abs() < 50_000.0, "{found:?} {expected} of {claims:?}");
            }
        }

        #[test]
        fn it_divides_what_was_had(claims in prop::collection::vec(any_claim(), 1..8), part in 0.0..1.0_f64) {
            let all: Vec<usize> = (0..claims.len()).collect();
            let total = most_of(&claims, &all, SECOND.0 as f64) * part;
            let sum: u64 = divide(&claims, Nanos(total as u64), SECOND).iter().map(|due| due.0).sum();
            prop_assert!((sum as f64 - total).abs() < 50_000.0, "{sum} of {total}");
        }
    }
}
