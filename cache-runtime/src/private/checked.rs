//! What a constant [`Policy`] and an attribute must agree on, found out while the user's crate compiles.

use crate::policy::Policy;

/// The policy of a site that `refreshes` in the background or does not.
///
/// Evaluated by the compiler: a panic is an error at the user's constant.
#[must_use]
#[track_caller]
pub const fn checked(policy: &Policy, refreshes: bool) -> Policy {
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
    *policy
}
