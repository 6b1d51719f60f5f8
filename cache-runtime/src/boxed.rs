//! [`Boxed`]: a future that is compiled with this crate.

use std::pin::Pin;

/// What a hit does not need, boxed: so the future of a call is not as large as its longest story.
///
/// Behind `dyn` because the code of an `async fn` is otherwise made where it is awaited, anew in
/// every crate that has annotated functions.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
