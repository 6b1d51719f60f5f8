//! [`Outcomes`]: how each id of a batch was served.

use super::Outcome;
use crate::key::Key;

/// How each id of a batch was served; see [`outcomes`](crate::outcomes()).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// In the order of the keys.
    by_key: Vec<(Key, Outcome)>,
}

impl Outcomes {
    /// Of several outcomes of a key the last one counts.
    pub(crate) fn new(mut by_key: Vec<(Key, Outcome)>) -> Self {
        // The last one of each key comes first, and stays.
        by_key.reverse();
        by_key.sort_by(|(one, _), (other, _)| one.cmp(other));
        by_key.dedup_by(|(later, _), (first, _)| later == first);
        Self { by_key }
    }

    /// How the entry of this key was served, if it was asked for.
    #[must_use]
    pub fn of(&self, key: &str) -> Option<Outcome> {
        let found = self
            .by_key
            .binary_search_by(|(other, _)| other.as_str().cmp(key));
        let (_, outcome) = self.by_key.get(found.ok()?)?;
        Some(*outcome)
    }

    /// How many were served like this.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        let all = self.by_key.iter();
        all.filter(|(_, other)| *other == outcome).count()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Each key and its outcome, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Outcome)> {
        let all = self.by_key.iter();
        all.map(|(key, outcome)| (key.as_str(), *outcome))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_outcome_of_a_key_counts() {
        let key = |text| Key::raw("ns", text);
        let outcomes = Outcomes::new(vec![
            (key("b"), Outcome::Hit),
            (key("a"), Outcome::Joined),
            (key("b"), Outcome::Loaded),
        ]);
        assert_eq!(outcomes.of("ns:a"), Some(Outcome::Joined));
        assert_eq!(outcomes.of("ns:b"), Some(Outcome::Loaded));
        assert_eq!(outcomes.of("ns:c"), None);
        assert_eq!((outcomes.len(), outcomes.count(Outcome::Hit)), (2, 0));
        let keys: Vec<_> = outcomes.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["ns:a", "ns:b"]);
    }
}
