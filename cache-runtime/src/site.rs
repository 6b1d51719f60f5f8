//! [`Site`]: the static facts of one annotated function.

use std::any::TypeId;
use std::panic::Location;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::codec::{Codec, CodecError, TypeIdentity, type_identity};
use crate::key::Template;
use crate::rules::CacheValue;

/// The static facts of one annotated function, written by the macro.
///
/// Nothing here depends on a type parameter, so a `static` inside a generic function is right.
/// What does depend on `Self` and type parameters is the *scope*, the `type_name` of a closure
/// inside the function.
#[derive(Debug)]
pub struct Site {
    function: &'static str,
    template: Template,
    place: &'static Location<'static>,
    id: OnceLock<usize>,
    /// Of the first value type that was asked for; a generic function has more.
    identity: OnceLock<(TypeId, TypeIdentity)>,
}

impl Site {
    /// `template` is empty for a default key.
    #[track_caller]
    pub const fn new(function: &'static str, template: &'static str) -> Self {
        Self {
            function,
            template: Template::new(template),
            place: Location::caller(),
            id: OnceLock::new(),
            identity: OnceLock::new(),
        }
    }

    /// A small number of this site's own.
    #[inline]
    pub(crate) fn id(&self) -> usize {
        static IDS: AtomicUsize = AtomicUsize::new(0);
        *self.id.get_or_init(|| IDS.fetch_add(1, Relaxed))
    }

    /// [`type_identity`], which it costs a little to find out.
    pub(crate) fn identity<V: CacheValue, C: Codec>(&self) -> Result<TypeIdentity, CodecError> {
        let id = TypeId::of::<(V, C)>();
        if let Some((of, identity)) = self.identity.get()
            && *of == id
        {
            return Ok(*identity);
        }
        let identity = type_identity::<V, C>()?;
        // Whoever came first stays.
        let _ = self.identity.set((id, identity));
        Ok(identity)
    }

    /// The key template, empty for a default key.
    #[inline]
    pub(crate) fn template(&self) -> &Template {
        &self.template
    }

    /// Where the attribute stands.
    pub(crate) fn place(&self) -> &'static Location<'static> {
        self.place
    }

    /// The function's full path, with `Self` and its type arguments by name but without the type
    /// parameters of the function itself.
    ///
    /// `scope` is the `type_name` of a closure inside the annotated function or inside its entry
    /// function: `shop::Repo<shop::User>::count::{{closure}}::{{closure}}` gives
    /// `shop::Repo<shop::User>::count`.
    pub(crate) fn path(&self, scope: &str) -> String {
        let mut inside = scope;
        while let Some(shorter) = inside.strip_suffix("::{{closure}}") {
            inside = shorter;
        }
        match last_separator(inside) {
            Some(at) => format!("{}::{}", inside.split_at(at).0, self.function),
            None => self.function.to_owned(),
        }
    }
}

/// Where the last `::` stands that is not inside angle brackets.
fn last_separator(path: &str) -> Option<usize> {
    let bytes = path.as_bytes();
    let mut depth = 0_usize;
    for (at, pair) in bytes.windows(2).enumerate().rev() {
        match pair {
            // The arrow of a function type is no bracket.
            [b'-', b'>'] => {}
            [_, b'>'] => depth += 1,
            [_, b'<'] => depth = depth.saturating_sub(1),
            b"::" if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(scope: &str) -> String {
        Site::new("get", "").path(scope)
    }

    #[test]
    fn a_path_keeps_self_and_drops_the_functions_own_parameters() {
        assert_eq!(path("shop::get::{{closure}}::{{closure}}"), "shop::get");
        assert_eq!(path("shop::get_entry::{{closure}}"), "shop::get");
        assert_eq!(
            path("shop::get<a::B, c::D<e::F>>::{{closure}}"),
            "shop::get"
        );
        assert_eq!(
            path("shop::Repo<shop::User>::get::{{closure}}"),
            "shop::Repo<shop::User>::get"
        );
        assert_eq!(
            path("<shop::Repo<fn(u8) -> a::B> as shop::Load>::get<T>::{{closure}}"),
            "<shop::Repo<fn(u8) -> a::B> as shop::Load>::get"
        );
        assert_eq!(path("get"), "get");
    }

    #[test]
    fn a_site_keeps_its_id_and_knows_its_place() {
        let (one, other) = (Site::new("f", ""), Site::new("f", ""));
        assert_eq!(one.id(), one.id());
        assert_ne!(one.id(), other.id());
        assert!(one.place().file().ends_with("site.rs"));
    }
}
