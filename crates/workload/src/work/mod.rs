//! How each type of work is performed: one file a type, and the table that finds it.

mod burst;
mod pingpong;
mod spin;
mod r#yield;

use spec::Work;

use crate::{Random, SelfTelemetry, Team};

/// What a worker does from its gate on.
pub enum Behaviour<'a> {
    /// It works in steps and measures itself.
    Steps(Box<dyn Steps + 'a>),
    /// It becomes another program, by its path and arguments.
    Execute(&'a [String]),
}

/// Work that is done a step at a time.
pub trait Steps {
    /// Does the next piece of work and notes in `telemetry` what the worker saw. Called for ever, after the gate opened;
    /// it may sleep or wait for its team, and it may be preempted anywhere.
    fn step(&mut self, telemetry: &mut SelfTelemetry<'_>);
}

/// What a worker of `team` does to perform `work`; `random` is for a work that draws ([`Work::is_random`]). `None`: the
/// team has another size than the work's ([`spec::work::WorkType::team`]).
pub fn behaviour<'a>(work: &'a Work, team: Team<'a>, random: Option<Random>) -> Option<Behaviour<'a>> {
    Some(match work {
        Work::Spin => steps(spin::Spin::new()),
        Work::SleepBurst(burst) => steps(burst::SleepBurst::new(burst, random)),
        Work::PingPong => steps(pingpong::PingPong::new(team)?),
        Work::Program(program) => Behaviour::Execute(&program.argv),
        Work::Yield(work) => steps(r#yield::Yield::new(work)),
    })
}

fn steps<'a>(steps: impl Steps + 'a) -> Behaviour<'a> {
    Behaviour::Steps(Box::new(steps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Arena;

    #[test]
    fn every_work_with_a_text_form_is_performed_in_steps_by_a_team_of_its_size() {
        for work_type in Work::TYPES {
            for form in work_type.forms {
                let arena = Arena::new(8).unwrap();
                let work: Work = form.example.parse().unwrap();
                let team = Team::of(&arena, 0, 0, work_type.team).unwrap();
                let Some(Behaviour::Steps(mut steps)) = behaviour(&work, team, Some(Random::new(7))) else {
                    panic!("{form}")
                };
                // The first worker of a team does not wait for the others before its first unit.
                steps.step(&mut SelfTelemetry::new(team.slot()));
                assert_eq!(team.slot().work_units(), 1, "{form}");
            }
        }
    }
}
