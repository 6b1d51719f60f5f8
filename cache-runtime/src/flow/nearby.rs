//! The near cache's part in a call that it could not serve.

use std::time::Duration;

use super::get_or_load::Flow;
use super::{Call, Engine};
use crate::call::Control;
use crate::key::{Key, KeyBuilder};
use crate::near::{Filling, NearRule, Numbered};
use crate::observe::{Event, Outcome};
use crate::site::Site;
use crate::store::Store;

/// A function whose values are kept, and what else the copy of this call is found by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nearby {
    pub(crate) site: &'static Site,
    pub(crate) scope: &'static str,
    pub(crate) numbered: Option<Numbered>,
}

impl Call {
    /// Before the store is asked: whether a copy of what is found may be kept.
    pub(super) fn filling(&self) -> Option<Filling> {
        let Self { engine, nearby, .. } = self;
        let (place, nearby, near) = (self.place()?, nearby.as_ref()?, engine.near.as_ref()?);
        near.begin(place, nearby.numbered).or_else(|| {
            nearby.watch(engine, !place.tags.is_empty());
            None
        })
    }
}

impl Flow {
    /// What was found is fresh for this much longer.
    pub(super) fn found_nearby(&mut self, left: Duration) {
        if let Some(filling) = &mut self.filling {
            filling.is_fresh_for(left);
        }
    }

    /// Keeps a copy of what was handed out last, if that was found fresh in the store.
    pub(crate) fn keep_nearby<V>(&mut self, rule: &NearRule<V>, value: &V) {
        let hit = self
            .handed_out
            .as_ref()
            .filter(|found| found.outcome == Outcome::Hit);
        let (Some(hit), Some(filling)) = (hit, self.filling.take()) else {
            return;
        };
        if let (Ok(place), Some(near)) = (&self.call.at, &self.call.engine.near) {
            rule.keep(near, place, filling, value, hit.payload.len());
        }
    }
}

impl Engine {
    /// A call was served by a copy in this process; `wrapped` if a wrapper wants to know. The key is
    /// rendered for who hears of it.
    #[inline]
    pub(crate) fn served_nearby(
        &self,
        site: &Site,
        scope: &str,
        key: impl Fn() -> Option<Key>,
        wrapped: bool,
    ) {
        let stats = self.stats.of(site, scope);
        stats.served_nearby();
        if wrapped && let Some(control) = Control::take() {
            control.record(key().as_ref(), Event::Ended(Outcome::Near));
        }
        tracing::debug!(
            target: "cache",
            function = stats.name(),
            key = key().as_ref().map_or("", Key::as_str),
            outcome = %Outcome::Near,
        );
    }
}

impl Nearby {
    /// Has the server tell of the keys of this function, and of tags if it has any.
    fn watch(&self, engine: &Engine, tagged: bool) {
        let (Some(near), Store::Redis(store)) = (&engine.near, &engine.store) else {
            return;
        };
        near.watch(store, &self.head(&engine.namespace));
        if tagged {
            near.watch(store, &format!("{}:{}", engine.namespace, Engine::TAG));
        }
    }

    /// What all keys of the function begin with.
    fn head(&self, namespace: &str) -> String {
        let key = KeyBuilder::new(namespace);
        let template = self.site.template().text();
        let key = match template.is_empty() {
            true => key.path(&self.site.path(self.scope)),
            false => key.text(literal_head(template)),
        };
        // A path can always be rendered.
        let draft = key.draft().ok();
        draft.map_or_else(|| format!("{namespace}:"), |head| head.as_str().to_owned())
    }
}

/// The part of a template before its first brace, doubled or not: short, but never wrong.
fn literal_head(template: &str) -> &str {
    let end = template.find(['{', '}']).unwrap_or(template.len());
    template.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_function_begin_with_its_head() {
        static USER: Site = Site::new("user", "user:{id}:{part}");
        static DEFAULT: Site = Site::new("user", "");
        let nearby = |site, scope| Nearby {
            site,
            scope,
            numbered: None,
        };
        let head = |site, scope| nearby(site, scope).head("shop");
        assert_eq!(head(&USER, "app::user::{{closure}}"), "shop:user:");
        assert_eq!(head(&DEFAULT, "app::user::{{closure}}"), "shop:app.user");
        assert_eq!(literal_head("{id}"), "");
        assert_eq!(literal_head("a{{b}}:{id}"), "a");
        assert_eq!(literal_head("all"), "all");
    }
}
