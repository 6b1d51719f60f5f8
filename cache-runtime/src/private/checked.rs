//! What a constant [`Policy`] and an attribute must agree on, found out while the user's crate compiles.

use crate::policy::Policy;

/// The policy of a site that `refreshes` in the background or does not, and is `content` with an old
/// value if a load fails or not.
///
/// Evaluated by the compiler: a panic is an error at the user's constant.
#[must_use]
#[track_caller]
pub const fn checked(policy: &Policy, refreshes: bool, content: bool) -> Policy {
    assert!(
        policy.jitter >= 0.0 && policy.jitter <= 1.0,
        "`jitter` is the part of the `ttl` that may be taken off: write a number from 0 to 1"
    );
    assert!(
        refreshes || policy.early_refresh <= 0.0,
        "`early_refresh` loads in the background, which is what `stale_while_revalidate` allows: \
         write `stale_while_revalidate = \"1m\"` in the attribute, or use a policy without `early_refresh`"
    );
    assert!(
        refreshes || policy.soft_timeout.is_none(),
        "after a `soft_timeout` the load goes on in the background, which is what `stale_while_revalidate` allows: \
         write `stale_while_revalidate = \"1m\"` in the attribute, or use a policy without `soft_timeout`"
    );
    assert!(
        content || policy.soft_timeout.is_none(),
        "after a `soft_timeout` an old value is served, which is what `stale_if_error` allows: \
         write `stale_if_error = \"1h\"` in the attribute, or use a policy without `soft_timeout`"
    );
    *policy
}
