//! Lists with a bound, for what a run keeps (contract F3).
//!
//! What has no room is given back and counted, so nothing is lost in silence. A full list keeps what came first.

use record::Tag;

/// Snapshots that a run keeps.
pub const MAX_SNAPSHOTS: usize = 64;

/// Events that a run keeps.
pub const MAX_EVENTS: usize = 1024;

/// Watches that programs of the guest set in a run.
pub const MAX_PROGRAM_WATCHES: usize = 3;

/// A list with a bound.
#[derive(Debug, Clone)]
pub struct BoundedVec<T> {
    kept: Vec<T>,
    most: usize,
    refused: u64,
}

/// A list with a bound of things with tags, each tag once.
#[derive(Debug, Clone)]
pub struct TaggedVec<T>(BoundedVec<(Tag, T)>);

/// There is no room for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{most} are kept already, which is the most")]
pub struct Full<T> {
    /// The bound.
    pub most: usize,
    /// What had no room.
    pub item: T,
}

/// What became of something with a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put<T> {
    /// It is kept.
    Stored,
    /// It is kept, in place of this, which had its tag.
    Replaced(T),
}

impl<T> BoundedVec<T> {
    /// An empty list for so many.
    pub fn new(most: usize) -> BoundedVec<T> {
        BoundedVec {
            kept: Vec::new(),
            most,
            refused: 0,
        }
    }

    /// Keeps it, behind all others.
    ///
    /// # Errors
    /// [`Full`] when there is no room.
    pub fn push(&mut self, item: T) -> Result<(), Full<T>> {
        if self.is_full() {
            self.refuse();
            let most = self.most;
            return Err(Full { most, item });
        }
        self.kept.push(item);
        Ok(())
    }

    /// What is kept, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.kept.iter()
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Is there nothing?
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Is there no room?
    pub fn is_full(&self) -> bool {
        self.kept.len() >= self.most
    }

    /// Counts something that had no room, and that nobody needs back.
    pub fn refuse(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    /// How many had no room so far.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Takes all out, the oldest first. How many had no room stays known.
    pub fn drain(&mut self) -> Vec<T> {
        std::mem::take(&mut self.kept)
    }
}

impl<T> TaggedVec<T> {
    /// An empty list for so many.
    pub fn new(most: usize) -> TaggedVec<T> {
        TaggedVec(BoundedVec::new(most))
    }

    /// Keeps it under this tag, in place of what had the tag.
    ///
    /// # Errors
    /// [`Full`] when the tag is new and there is no room.
    pub fn put(&mut self, tag: Tag, item: T) -> Result<Put<T>, Full<(Tag, T)>> {
        match self.0.kept.iter().position(|(other, _)| *other == tag) {
            Some(index) => {
                // Behind all others, as it is the youngest now.
                let (tag, old) = self.0.kept.remove(index);
                self.0.kept.push((tag, item));
                Ok(Put::Replaced(old))
            }
            None => self.0.push((tag, item)).map(|()| Put::Stored),
        }
    }

    /// What has this tag.
    pub fn get(&self, tag: &str) -> Option<&T> {
        let found = self.0.iter().find(|(other, _)| other.as_str() == tag);
        found.map(|(_, item)| item)
    }

    /// All, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&Tag, &T)> {
        self.0.iter().map(|(tag, item)| (tag, item))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is there nothing?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many had no room so far.
    pub fn refused(&self) -> u64 {
        self.0.refused()
    }

    /// Takes all out, the oldest first. How many had no room stays known.
    pub fn drain(&mut self) -> Vec<(Tag, T)> {
        self.0.drain()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> Tag {
        Tag::new(text).unwrap()
    }

    /// F3: 64 snapshots are kept; one more is given back and counted.
    #[test]
    fn a_full_list_gives_back_what_has_no_room() {
        let mut list = TaggedVec::new(MAX_SNAPSHOTS);
        for number in 0..64 {
            assert_eq!(list.put(tag(&format!("s{number}")), number), Ok(Put::Stored));
        }
        let full = list.put(tag("one-more"), 64).unwrap_err();
        assert_eq!(full.item, (tag("one-more"), 64));
        assert!(full.to_string().contains("64 are kept"), "{full}");
        assert_eq!((list.len(), list.refused()), (64, 1));
        assert_eq!(list.get("one-more"), None);
    }

    /// F3: the same tag overwrites, on a full list too, and is the youngest then.
    #[test]
    fn the_same_tag_overwrites() {
        let mut list = TaggedVec::new(2);
        assert_eq!(list.put(tag("a"), 1), Ok(Put::Stored));
        assert_eq!(list.put(tag("b"), 2), Ok(Put::Stored));
        assert_eq!(list.put(tag("a"), 3), Ok(Put::Replaced(1)));
        assert_eq!(list.get("a"), Some(&3));
        assert_eq!(list.refused(), 0);
        assert_eq!(list.drain(), [(tag("b"), 2), (tag("a"), 3)]);
    }

    /// F3: 1024 events and 3 watches are kept.
    #[test]
    fn lists_keep_what_came_first() {
        for most in [MAX_EVENTS, MAX_PROGRAM_WATCHES, 0] {
            let mut list = BoundedVec::new(most);
            let refused = (0..1030).filter(|number| list.push(*number).is_err()).count();
            assert_eq!((list.len(), refused), (most, 1030 - most));
            assert_eq!(list.refused(), refused as u64);
            assert!(list.iter().copied().eq(0..most));
        }
        assert_eq!((MAX_EVENTS, MAX_PROGRAM_WATCHES), (1024, 3));
    }

    /// F3: the host takes all out at once, and there is room again.
    #[test]
    fn what_is_drained_makes_room() {
        let mut list = TaggedVec::new(1);
        list.put(tag("a"), 1).unwrap();
        list.put(tag("b"), 2).unwrap_err();
        assert_eq!(list.drain(), [(tag("a"), 1)]);
        assert!(list.is_empty());
        assert_eq!(list.put(tag("b"), 2), Ok(Put::Stored));
        assert_eq!(list.refused(), 1, "what was refused stays known");
    }
}
