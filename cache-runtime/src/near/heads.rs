//! [`Heads`]: the beginnings of keys whose changes the server tells.

use parking_lot::RwLock;

use crate::key::Key;

/// The beginnings of keys that the server is to tell of. None is the beginning of another: the
/// server refuses that, and it would tell everything twice.
#[derive(Debug, Default)]
pub(super) struct Heads {
    wanted: RwLock<Wanted>,
}

#[derive(Debug, Default)]
struct Wanted {
    heads: Vec<String>,
    /// How many times they were changed.
    version: u64,
    /// The version that the server tells of.
    tracked: Option<u64>,
}

impl Heads {
    /// Adds a head; whether that changes anything.
    pub(super) fn add(&self, head: &str) -> bool {
        if self.covers(head) {
            return false;
        }
        let mut wanted = self.wanted.write();
        if wanted.covers(head) {
            return false;
        }
        wanted.heads.retain(|other| !other.starts_with(head));
        wanted.heads.push(head.to_owned());
        wanted.version += 1;
        true
    }

    pub(super) fn covers(&self, text: &str) -> bool {
        self.wanted.read().covers(text)
    }

    /// Whether the server tells of all these keys.
    pub(super) fn are_tracked(&self, key: &Key, tags: &[Key]) -> bool {
        let wanted = self.wanted.read();
        let covered = |key: &Key| wanted.covers(key.as_str());
        wanted.tracked == Some(wanted.version) && covered(key) && tags.iter().all(covered)
    }

    /// All of them, and their version.
    pub(super) fn all(&self) -> (Vec<String>, u64) {
        let wanted = self.wanted.read();
        (wanted.heads.clone(), wanted.version)
    }

    /// The server tells of the heads of this version from now on; of none without one.
    pub(super) fn tracked(&self, version: Option<u64>) {
        self.wanted.write().tracked = version;
    }
}

impl Wanted {
    fn covers(&self, text: &str) -> bool {
        self.heads
            .iter()
            .any(|head| text.starts_with(head.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_head_is_the_beginning_of_another() {
        let heads = Heads::default();
        assert!(heads.add("shop:user:"));
        assert!(heads.add("shop:order:"));
        assert!(!heads.add("shop:user:admin:"), "covered already");
        assert!(heads.add("shop:us"));
        let (all, version) = heads.all();
        assert_eq!(all, ["shop:order:", "shop:us"]);
        assert_eq!(version, 3);
        assert!(heads.add("shop:"));
        assert_eq!(heads.all().0, ["shop:"]);
    }

    #[test]
    fn what_was_added_later_is_not_tracked_yet() {
        let heads = Heads::default();
        let (user, order) = (Key::raw("shop", "user:1"), Key::raw("shop", "order:1"));
        heads.add("shop:user:");
        assert!(!heads.are_tracked(&user, &[]));
        heads.tracked(Some(heads.all().1));
        assert!(heads.are_tracked(&user, &[]));
        assert!(!heads.are_tracked(&user, std::slice::from_ref(&order)));
        heads.add("shop:order:");
        assert!(!heads.are_tracked(&user, &[]), "the server is asked anew");
        heads.tracked(Some(heads.all().1));
        assert!(heads.are_tracked(&user, &[order]));
        heads.tracked(None);
        assert!(!heads.are_tracked(&user, &[]));
    }
}
