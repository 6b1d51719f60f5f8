//! [`again`]: arguments of a body that may run more than once.

/// What can be passed to more than one run.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be passed to more than one load of a batch",
    label = "this argument is not `Clone`",
    note = "a batch may run its body more than once, with some of the ids each time: let `{Self}` be `Clone`, pass it in an `Arc`, or take it by `&`"
)]
pub trait Again: Clone {}

impl<T: Clone> Again for T {}

/// The argument for one run.
pub fn again<T: Again>(argument: &T) -> T {
    argument.clone()
}
