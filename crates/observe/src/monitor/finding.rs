//! What a monitor reports, as much as is kept.

use record::Finding;

/// Findings, as many as are kept.
#[derive(Debug, Clone)]
pub(super) struct Findings {
    all: Vec<Finding>,
    most: usize,
    unlisted: u64,
}

/// Which of the findings it is; `None` for one that is not kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handle(Option<usize>);

impl Findings {
    pub(super) fn new(most: usize) -> Findings {
        Findings {
            all: Vec::new(),
            most,
            unlisted: 0,
        }
    }

    /// Adds a finding, or tells more of one that there is.
    pub(super) fn tell(&mut self, known: Option<Handle>, finding: Finding) -> Handle {
        match known {
            Some(Handle(index)) => {
                let place = index.and_then(|index| self.all.get_mut(index));
                if let Some(place) = place {
                    *place = finding;
                }
                Handle(index)
            }
            None if self.all.len() >= self.most => {
                self.unlisted = self.unlisted.saturating_add(1);
                Handle(None)
            }
            None => {
                self.all.push(finding);
                Handle(Some(self.all.len() - 1))
            }
        }
    }

    pub(super) fn all(&self) -> &[Finding] {
        &self.all
    }

    pub(super) fn unlisted(&self) -> u64 {
        self.unlisted
    }
}
