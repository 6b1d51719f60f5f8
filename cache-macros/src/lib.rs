//! The attributes of `cache-runtime`, which re-exports them: depend on that crate, not on this one.

mod args;
mod background;
mod batch;
mod body;
mod diagnostics;
mod duration;
mod entry;
mod expand;
mod expand_writes;
mod model;
mod receiver;
mod runtime;
mod signature;
mod template;
mod writes;

#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Caches what an `async fn` returns: `#[cached(ttl = 300, key = "user:{id}")]`.
///
/// A call with the same key gets the stored value; otherwise the body runs, once for all callers that wait for it, in
/// whichever process, and its value is stored. The value is the `Ok` of a `Result` (under any alias), otherwise the whole return value. It is
/// `serde::Serialize + Deserialize` and borrows nothing. `Err` is returned and never stored, and nothing is asked of its
/// type. A failure of the cache is never an error of the function: the body's own result is returned then.
///
/// # Arguments
///
/// | argument | meaning | default |
/// | --- | --- | --- |
/// | `ttl = 300` | how long a value is fresh | one of the two is required |
/// | `ttl_with = f` | the same for each value, `f: fn(&V) -> Duration` | |
/// | `key = "user:{id}"` | template of the key | the function's path and every argument |
/// | `skip(db, self)` | arguments that do not decide the value | none |
/// | `tags("org:{org}", ..)` | labels that entries share: templates over the arguments; one `tag(..)` or `cache.invalidate_tag(..)` outdates all entries with it | none |
/// | `none_ttl = "30s"` | stores `None` and `Ok(None)` this long | `None` is not stored |
/// | `stale_while_revalidate = "1m"` | after `ttl`, serves the old value this long while one load in the background replaces it | off |
/// | `stale_if_error = "1h"` | after `ttl`, serves the old value this long if the load fails | off |
/// | `near`, `near = "5s"` | keeps a copy in the process, at most this long; the value is `Clone` | off |
/// | `each(id in ids)` | a function of many ids, which returns values by id; each has an entry of its own | |
/// | `cache_if = f` | stores a value only if `f: fn(&V) -> bool` says so | always |
/// | `bypass_if = expr` | a condition over the arguments: this call does not ask the cache | never |
/// | `codec = Json` | how values become bytes, a type that implements `Codec` | `MessagePack` |
/// | `cache = self.cache` | which `Cache`, any expression | the one in force |
/// | `policy = POLICY` | a `Policy`, any expression; one in capitals is a constant, checked against the other arguments | the cache's |
/// | `entry = name`, `entry = false` | renames or omits the entry function | `<function>_entry` |
///
/// **Durations** are seconds (`300`), text of whole numbers with units from weeks to milliseconds, the longest first
/// (`"250ms"`, `"5m"`, `"1h30m"`, `"2d"`), or any expression of type `Duration`, evaluated at each call. Zero is refused.
///
/// **Templates** have placeholders as in `format!`: `{id}`, `{user.id}`, `{pair.0}`, `{self.tenant}`, `{x:?}`, and `{{`
/// for a brace. What fills them is escaped, and two placeholders are separated by a `:`, a space or a brace, so different
/// arguments never share a key. Every name that a parameter binds, and `self`, appears in the template or in `skip`.
/// **Without a template** the key is the function's path, its `Self`, its type parameters, and every argument that is
/// not skipped, written by serde; `self` is one of them.
///
/// # The entry
///
/// Beside `get_user` stands `get_user_entry`, with the same visibility and generics. It takes only what makes the key and the
/// tags (and what the expressions after durations, `cache` and `policy` use), `self` always by reference, and returns an `Entry`, which
/// peeks, stores, expires and invalidates without calling the function. In the `impl` of a trait there is room for it only if the
/// trait declares it: write `entry = false` otherwise.
///
/// # Loads in the background
///
/// With `stale_while_revalidate` the body may run when its caller has long gone on, so it owns what it uses of its
/// arguments: each load clones them, a hit clones nothing. Their types are `Clone + Send + 'static`, or references to
/// what is `ToOwned`, such as `&str`; what is large goes in an `Arc`. `&mut` is refused. What the function returns is
/// `Send` and borrows nothing. `self` is a variable like the others then, which text cannot capture: write `"{}", self`
/// instead of `"{self}"`. A function that calls itself does so through one that returns
/// `Pin<Box<dyn Future<Output = T> + Send>>`.
///
/// # Which functions
///
/// Free functions, methods with any receiver, associated and generic functions, and methods of traits and of their
/// `impl`s, with any patterns and `impl Trait` arguments. The future is `Send` if that of the bare function is. An error type
/// may borrow, and shows it then: `Result<User, Rejected<'_>>`. A type parameter of an `impl` that is part of the error is
/// `'static`, if it is `Clone`.
///
/// Not `#[async_trait]` methods, whose `async` is gone when attributes inside see them: annotate an inherent function.
/// Beside `#[instrument]` the order decides what a span covers: every call if `#[cached]` stands first, only loads otherwise.
#[proc_macro_attribute]
pub fn cached(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::cached(attribute.into(), item.into(), &runtime::path()).into()
}

/// Deletes entries when an `async fn` ends: `#[invalidates(get_user(id), tag("org:{org}"))]`.
///
/// Annotate the function that commits: what is deleted before an outer transaction commits may be loaded again from the
/// state before it. The deletions are acknowledged before the function returns. They happen also if the body fails,
/// panics or is dropped halfway, because the write may have happened. A failed deletion does not change the function's
/// result: it is repeated in the background, and until it is confirmed this process bypasses the cache for the key.
///
/// # Arguments
///
/// | argument | meaning |
/// | --- | --- |
/// | `get_user(id)`, `self.users.get_user(id)`, `db::get_user(id)`, `Repo::load(id)` | the entry of an annotated function for these arguments: those of its entry function, whose name is the function's with `_entry` |
/// | `tag("org:{org}")` | all entries with this tag; a template as in `#[cached]`, over the parameters |
/// | `only_ok` | acts only if the function succeeds |
/// | `cache = self.cache` | the cache of tags, and of entries whose function names none |
///
/// Arguments are evaluated before the body; those that are a parameter alone are cloned, so the body may consume it.
/// `ret` is a reference to the success value (the `Ok` of a `Result`): what mentions it, as in
/// `list_orders(ret.customer)` or `tag("org:{ret.org}")`, is evaluated after the body, and only if it succeeds.
#[proc_macro_attribute]
pub fn invalidates(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand_writes::writes(
        writes::Kind::Invalidates,
        attribute.into(),
        item.into(),
        &runtime::path(),
    )
    .into()
}

/// Stores what an `async fn` returns in the entry of another: `#[updates(get_user(id))]`.
///
/// If the function succeeds, its success value (the `Ok` of a `Result`) becomes the value of each entry named; `= expr`
/// names another, such as a part of it: `#[updates(get_user(id) = &ret.0)]`. If it fails, panics or is dropped
/// halfway, or if the value cannot be stored, the entries are deleted. `tag(..)` deletes the entries with the tag.
///
/// Before the body an intent is left in each entry: what it holds stays readable, and no load is stored. The new value is
/// stored if the intent still stands after the body, and the entry deleted otherwise. So two writes that overlap leave
/// nothing: which of them the database holds is not known here. For the same reason an entry whose arguments mention `ret`
/// is deleted: there was no intent in it.
///
/// The arguments, their evaluation and everything else are those of [`macro@invalidates`].
#[proc_macro_attribute]
pub fn updates(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand_writes::writes(
        writes::Kind::Updates,
        attribute.into(),
        item.into(),
        &runtime::path(),
    )
    .into()
}
