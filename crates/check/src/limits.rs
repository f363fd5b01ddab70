//! Other limits for a record that is judged again.

use record::Expectation;

use crate::kind;

/// Puts an expectation in the place of the one that promises the same with another limit; where there is none, it is
/// added.
pub fn relimit(expectations: &mut Vec<Expectation>, with: Expectation) {
    match expectations.iter_mut().find(|other| promise_alike(other, &with)) {
        Some(other) => *other = with,
        None => expectations.push(with),
    }
}

/// Do two expectations differ in their limits at the most?
fn promise_alike(one: &Expectation, other: &Expectation) -> bool {
    match (one, other) {
        (Expectation::GroupShare { groups: one, .. }, Expectation::GroupShare { groups: other, .. }) => {
            one == other
        }
        (Expectation::WorkerShare { group: one, .. }, Expectation::WorkerShare { group: other, .. }) => {
            one == other
        }
        _ => kind(one).name == kind(other).name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parse, text};

    #[test]
    fn a_limit_is_replaced_in_its_place_and_a_new_check_is_added() {
        let check = |before: &[&str], with: &str, after: &[&str]| {
            let mut expectations: Vec<Expectation> = before.iter().map(|text| parse(text).unwrap()).collect();
            relimit(&mut expectations, parse(with).unwrap());
            assert_eq!(expectations.iter().map(text).collect::<Vec<_>>(), after, "{with}");
        };
        check(&["stall=1s", "kernel"], "stall=5ms", &["stall=5ms", "kernel"]);
        check(&["kernel"], "stall=5ms", &["kernel", "stall=5ms"]);
        check(&["kernel"], "kernel", &["kernel"]);
        check(
            &["fair:a=10%", "fair:b=10%"],
            "fair:b=5%",
            &["fair:a=10%", "fair:b=5%"],
        );
        check(
            &["share:a,b=10%"],
            "share:a,c=5%",
            &["share:a,b=10%", "share:a,c=5%"],
        );
        check(&["share:a=10%"], "fair:a=5%", &["share:a=10%", "fair:a=5%"]);
    }
}
