//! The one door for generated code: all that expansions may name. Not public API.
//!
//! [`probe`] finds out, by type and not by spelling, what an annotated function returns; [`address`]
//! is where its value is; [`plan`] carries what else the attribute says and runs the call; [`batch`]
//! runs the calls of many ids; [`write`] is the other two attributes.
//!
//! An annotated function becomes
//!
//! ```text
//! use cache_runtime::__private as __cache;
//! static SITE: Site = Site::new("get_user", "user:{id}");
//! let plan = Probe::<R>::new()
//!     .at(&SITE, &|| ())
//!     .key(|key| key.text("user:").field(fill(&id).shown()))
//!     // or, by default: .key(|key| Arg::new(&id).render(key.path("")))
//!     .tag(|key| key.text("org:").field(…)) // with `tags("org:{org}")`
//!     .ttl(Duration::new(300, 0))
//!     .share_errors(Errors::<R>::new().sharing()); // its entry function: .entry()
//! plan.get_or_load(async move { … }).await
//! ```
//!
//! With `near` the address is looked at first:
//!
//! ```text
//! let plan = match Probe::<R>::new().at(&SITE, &|| ())
//!     .near_for(Duration::MAX)
//!     .find([fill(&id).number()], |key| key.text("user:").field(fill(&id).shown()))
//! {
//!     Near::Hit(hit) => return hit,
//!     Near::Miss(mut at) => at.ttl(Duration::new(300, 0)),
//! };
//! apart(plan.get_or_load(async move { … })).await
//! ```
//!
//! A batch has a plan for each id, and a body that may run more than once:
//!
//! ```text
//! Batch::<R, Present>::of(ids) // with `none_ttl`: OrNone
//!     .each(|id| Each::Ask(Probe::<One<R>>::new().at(&SITE, &|| ()).key(|key| …).ttl(…)))
//!     .get_or_load(move |ids| {
//!         let db = again(&db);
//!         async move { … }
//!     })
//!     .await
//! ```
//!
//! A function with a write attribute becomes
//!
//! ```text
//! let mut write = Write::new(); // `#[updates]`: Write::updating()
//! let entry = write.entry(|| get_user_entry(Clone::clone(&id)));
//! write.target(&entry);
//! write.tag(|key| key.text("org:").field(…));
//! let out = write.run(async move { … }).await;
//! if let Some(ret) = Success::<R>::new().of(&out) {
//!     write.update(entry.stage(ret));
//!     write.succeeded().await;
//! } else {
//!     write.failed().await;
//! }
//! out
//! ```
//!
//! A body that may run in the background owns its arguments: `plan.get_or_refresh(load)`, where `load` is
//!
//! ```text
//! move || {
//!     let name = Own::new(&name).own();
//!     async move {
//!         let (name,) = (name.argument(),);
//!         …
//!     }
//! }
//! ```
//!
//! An `Entry` is `'static`: lifetimes in the return type are `'static` in the type of the entry.

use std::pin::Pin;

mod address;
mod again;
mod argument;
mod batch;
mod batched;
mod checked;
mod drive;
mod fill;
mod owned;
mod plan;
mod probe;
mod write;

pub use address::{Address, KeyPlan, Near, NearFor};
pub use again::{Again, again};
pub use argument::{Arg, KeyArgument};
pub use batch::{Asked, Batch, Each};
pub use batched::{Batched, ById, Id, Kept, One, OneOrNone, OrNone, Present, ToId};
pub use checked::checked;
pub use fill::{Displayed, Fill, Fills, fill};
pub use owned::{Keepable, Own, OwnReference, OwnUnkeepable, OwnValue, Owned, Value};
pub use plan::Plan;
pub use probe::{Cacheable, Errors, OptionValue, Probe, Returns, Sharing, Success, nothing};
pub use write::Write;

pub use std::option::Option::Some;

/// A future that is not a part of the one that awaits it.
pub fn apart<F: Future>(future: F) -> Pin<Box<F>> {
    Box::pin(future)
}

pub use crate::entry::Staged;
pub use crate::key::{Field, Integer, KeyBuilder};
pub use crate::near::NearValue;
pub use crate::policy::Policy;
pub use crate::site::Site;
