//! [`Site`]: the static facts of one annotated function.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use parking_lot::Mutex;

/// The static facts of one annotated function, written by the macro.
///
/// The annotated function and its entry function each hold a `static` of the same facts; both
/// resolve to the same [`id`](Self::id). Nothing here depends on a type parameter, so a `static`
/// inside a generic function is right.
#[derive(Debug)]
pub struct Site {
    module: &'static str,
    function: &'static str,
    template: &'static str,
    file: &'static str,
    line: u32,
    id: OnceLock<usize>,
}

/// Two functions of one module can share a name (`A::get`, `B::get`) but not a line.
type Place = (&'static str, &'static str, &'static str, u32);

impl Site {
    /// `template` is empty for a default key.
    pub const fn new(
        module: &'static str,
        function: &'static str,
        template: &'static str,
        file: &'static str,
        line: u32,
    ) -> Self {
        Self {
            module,
            function,
            template,
            file,
            line,
            id: OnceLock::new(),
        }
    }

    /// A small number, the same for all statics of one annotated function in this process.
    pub(crate) fn id(&self) -> usize {
        *self.id.get_or_init(|| {
            static IDS: LazyLock<Mutex<HashMap<Place, usize>>> = LazyLock::new(Mutex::default);
            let mut ids = IDS.lock();
            let next = ids.len();
            *ids.entry((self.module, self.function, self.file, self.line))
                .or_insert(next)
        })
    }

    /// `module::function`, for logs and statistics.
    pub(crate) fn name(&self) -> String {
        format!("{}::{}", self.module, self.function)
    }

    /// The key template, empty for a default key.
    pub(crate) fn template(&self) -> &'static str {
        self.template
    }

    /// Where the attribute stands: `file:line`.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
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
        let parent = last_separator(inside).map_or(self.module, |at| inside.split_at(at).0);
        format!("{parent}::{}", self.function)
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
        Site::new("module", "get", "", "file.rs", 1).path(scope)
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
        assert_eq!(path("get"), "module::get");
    }

    #[test]
    fn statics_of_one_function_share_an_id() {
        let call = Site::new("m", "f", "", "ids.rs", 7);
        let entry = Site::new("m", "f", "", "ids.rs", 7);
        let namesake = Site::new("m", "f", "", "ids.rs", 9);
        assert_eq!(call.id(), entry.id());
        assert_ne!(call.id(), namesake.id());
    }
}
