//! Leases, intents and what ends them. Each odd rule has a test of its own.
//!
//! A time of [`SOON`] is over after [`later`]; one of [`MINUTE`] is not over before a test ends.

use cache_runtime::test_util::{
    Acquire, Acquired, Age, Grant, Lease, LeaseKind, Meta, Release, Spans, Stamp, Token,
    TypeIdentity, lease, open, seal, stamp, start,
};

use super::*;

const SOON: Duration = Duration::from_millis(1);
const NONE: Duration = Duration::ZERO;
/// Long enough for a few operations on a loaded machine, and short enough to wait for.
const A_WHILE: Duration = Duration::from_secs(1);

contract! {
    an_absent_entry_is_leased_and_the_next_caller_hears_by_whom,
    a_newer_value_is_returned_instead_of_a_lease,
    the_entry_the_caller_rejected_is_leased_in_place_and_stays_readable,
    who_rejects_the_same_entry_hears_who_loads_it,
    a_fresh_value_under_a_lease_is_returned_to_who_has_not_seen_it,
    a_stale_value_is_leased_in_place,
    a_dead_value_makes_way_for_the_lease,
    an_unstamped_value_is_fresh_as_long_as_it_lives,
    a_lease_of_another_type_is_never_waited_for,
    a_lease_of_another_format_is_never_waited_for,
    what_is_no_envelope_is_overwritten,
    a_header_full_of_garbage_is_answered,
    force_goes_over_values_leases_and_intents,

    a_fill_is_stamped_by_the_clock_of_the_store,
    a_fill_ends_the_lease,
    an_expired_lease_nobody_took_may_still_fill,
    an_expired_lease_that_was_taken_over_may_not_fill,
    a_fill_after_a_deletion_is_refused,
    a_fill_after_a_put_is_refused,
    a_fill_of_anything_but_an_envelope_is_refused,

    a_renewed_lease_stands_longer,
    a_lease_that_is_gone_is_not_renewed,

    an_abandoned_lease_is_taken_over_at_once,
    an_ended_load_leaves_word_and_hinders_nobody,
    an_ended_load_leaves_the_old_value_readable,
    who_has_an_old_value_does_not_try_again_too_soon,
    a_load_that_showed_there_is_no_value_takes_the_old_one_along,
    a_withdrawn_intent_leaves_the_value_as_it_was,
    a_withdrawn_intent_without_a_value_leaves_nothing,
    a_release_by_anybody_else_does_nothing,
    an_ended_load_is_released_by_nobody,
    a_release_undoes_a_grant_nobody_has_seen,

    an_intent_blocks_loads_and_leaves_the_value_readable,
    an_intent_refuses_the_fill_of_a_load_under_way,
    an_intent_leaves_the_value_of_another_type_readable,
    an_intent_on_what_is_no_envelope_replaces_it,
    an_intent_does_not_lengthen_the_life_of_a_value,
    any_change_makes_the_commit_delete,
    of_two_intents_neither_commits_if_the_first_ends_first,
    of_two_intents_neither_commits_if_the_second_is_followed_by_the_first,
    an_expired_intent_nobody_took_may_still_commit,
    a_load_takes_over_an_expired_intent_and_its_commit_deletes,
    a_commit_of_anything_but_an_envelope_deletes,

    an_expired_value_is_stale_and_has_no_lease,
    an_expired_value_outlives_no_stale_span,
    a_load_under_way_does_not_make_an_expired_value_fresh,
    expiring_a_stale_value_only_ends_its_lease,
    expiring_an_unstamped_value_stamps_it,
    expiring_deletes_what_has_no_stale_span_or_no_value,

    holding_off_deletes_and_lets_nothing_be_filled,
    a_hold_off_ends,

    a_lease_alone_lives_as_long_as_the_hold,
    a_lease_in_place_keeps_the_value_for_the_hold,
    a_renewal_keeps_the_key_as_long_as_the_lease,

    watchers_hear_of_every_change,
    watchers_hear_of_their_keys_only,
    watchers_of_what_is_absent_hear_of_its_coming,
    watchers_hear_of_the_end_of_an_entry,
    cancelled_watchers_leave_nothing_behind,
    hundreds_of_watchers_hear_of_one_change,
}

// Acquiring.

async fn an_absent_entry_is_leased_and_the_next_caller_hears_by_whom(store: &Store) {
    let first = request();
    granted(store, &first).await;
    let (kind, token, left) = busy(store, &request()).await;
    assert_eq!((kind, token), (LeaseKind::Load, first.token));
    assert!(left > NONE && left <= MINUTE, "{left:?}");

    let entry = store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!(entry.len(), 80);
    let (identity, lease) = lease(&entry).unwrap();
    assert_eq!(identity, ours());
    assert_eq!((lease.kind, lease.token), (LeaseKind::Load, first.token));
    assert!(lease.deadline_ms > store.now().unwrap());
    assert_eq!(stamp(&entry), None);
}

async fn a_newer_value_is_returned_instead_of_a_lease(store: &Store) {
    let old = filled(store, "old", MINUTE, NONE).await;
    let new = filled_over(store, "new", MINUTE, NONE).await;
    for rejected in [None, Some(old.stamp)] {
        let asked = Acquire {
            rejected,
            ..request()
        };
        let Acquired::Value(envelope) = acquired(store, &asked).await else {
            panic!("there is a newer one")
        };
        assert_eq!(opened(&envelope), new);
    }
}

async fn the_entry_the_caller_rejected_is_leased_in_place_and_stays_readable(store: &Store) {
    let old = filled(store, "old", MINUTE, NONE).await;
    let rejecting = rejecting(old.stamp);
    let grant = granted(store, &rejecting).await;
    let leased = read(store).await;
    assert_eq!(leased.payload, old.payload);
    assert_eq!(leased.meta, old.meta);
    assert_eq!(leased.stamp, old.stamp, "a lease is no new version");
    let lease = leased.lease.unwrap();
    assert_eq!((lease.kind, lease.token), (LeaseKind::Load, grant.token));
    assert!(fills(store, &grant).await);
}

async fn who_rejects_the_same_entry_hears_who_loads_it(store: &Store) {
    let old = filled(store, "old", MINUTE, NONE).await;
    let grant = granted(store, &rejecting(old.stamp)).await;
    let (kind, token, _) = busy(store, &rejecting(old.stamp)).await;
    assert_eq!((kind, token), (LeaseKind::Load, grant.token));
}

async fn a_fresh_value_under_a_lease_is_returned_to_who_has_not_seen_it(store: &Store) {
    let old = filled(store, "old", MINUTE, NONE).await;
    granted(store, &rejecting(old.stamp)).await;
    let answer = acquired(store, &request()).await;
    let Acquired::Value(envelope) = answer else {
        panic!("a fresh value: {answer:?}")
    };
    assert_eq!(opened(&envelope).payload, old.payload);
}

async fn a_stale_value_is_leased_in_place(store: &Store) {
    let old = filled(store, "old", SOON, MINUTE).await;
    later().await;
    granted(store, &request()).await;
    let leased = read(store).await;
    assert_eq!((leased.payload, leased.stamp), (old.payload, old.stamp));
    assert!(leased.lease.is_some());
    busy(store, &request()).await;
}

async fn a_dead_value_makes_way_for_the_lease(store: &Store) {
    filled(store, "old", SOON, SOON).await;
    later().await;
    granted(store, &request()).await;
    let entry = store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!(entry.len(), 80, "only a lease");
}

async fn an_unstamped_value_is_fresh_as_long_as_it_lives(store: &Store) {
    let envelope = sealed("put", ours(), SOON, NONE);
    store
        .put(&key("a"), envelope.clone(), MINUTE)
        .await
        .unwrap();
    later().await;
    assert_eq!(acquired(store, &request()).await, Acquired::Value(envelope));
    granted(store, &rejecting(read(store).await.stamp)).await;
    assert_eq!(read(store).await.payload, text("put"), "leased in place");
}

async fn a_lease_of_another_type_is_never_waited_for(store: &Store) {
    let theirs = Acquire {
        identity: others(),
        ..request()
    };
    let their_grant = granted(store, &theirs).await;
    let grant = granted(store, &request()).await;
    assert!(!fills(store, &their_grant).await);
    assert!(fills(store, &grant).await);

    // Nor is their value returned, however fresh it is.
    granted(store, &theirs).await;
    assert!(lease_of(store).await.is_some());
}

async fn a_lease_of_another_format_is_never_waited_for(store: &Store) {
    granted(store, &request()).await;
    let entry = store.get(&key("a")).await.unwrap().unwrap();
    let mut newer = entry.to_vec();
    newer[3] = 2;
    store.put(&key("a"), newer.into(), MINUTE).await.unwrap();
    granted(store, &request()).await;
    let entry = store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!(entry[3], 1);
}

async fn what_is_no_envelope_is_overwritten(store: &Store) {
    let envelope = sealed("x", ours(), MINUTE, NONE);
    for foreign in [
        Bytes::new(),
        text("7"),
        text("{\"id\":1}".repeat(100)),
        Bytes::from(vec![0; 80]),
        Bytes::from(vec![255; 80]),
        envelope.slice(..79),
        Bytes::from([&b"cRE"[..], &envelope[3..]].concat()),
    ] {
        store.put(&key("a"), foreign.clone(), MINUTE).await.unwrap();
        granted(store, &request()).await;
        let entry = store.get(&key("a")).await.unwrap().unwrap();
        assert_eq!(entry.len(), 80, "after {foreign:?}");
    }
}

async fn a_header_full_of_garbage_is_answered(store: &Store) {
    granted(store, &request()).await;
    let entry = store.get(&key("a")).await.unwrap().unwrap();
    for kind in [1, 2] {
        let mut garbage = entry.to_vec();
        garbage[13..].fill(255);
        garbage[12] = kind;
        // Dead, or it would be returned.
        garbage[48..72].fill(0);
        garbage[48] = 1;
        store.put(&key("a"), garbage.into(), MINUTE).await.unwrap();
        let (_, _, left) = busy(store, &request()).await;
        assert!(left > MINUTE, "the key's own end is nearer");
        let forced = Acquire {
            force: true,
            has_old: false,
            ..request()
        };
        granted(store, &forced).await;
    }
}

async fn force_goes_over_values_leases_and_intents(store: &Store) {
    let forced = || Acquire {
        force: true,
        has_old: false,
        ..request()
    };
    filled(store, "old", MINUTE, NONE).await;
    let over_value = granted(store, &forced()).await;
    assert_eq!(read(store).await.payload, text("old"), "stays readable");
    let over_lease = granted(store, &forced()).await;
    assert!(!fills(store, &over_value).await);
    let intent = store.intend(&key("a"), &request()).await.unwrap();
    assert!(!fills(store, &over_lease).await);
    let over_intent = granted(store, &forced()).await;
    assert!(!commits(store, &intent).await);
    assert!(
        !fills(store, &over_intent).await,
        "the commit deleted it all"
    );
}

// Filling.

async fn a_fill_is_stamped_by_the_clock_of_the_store(store: &Store) {
    let grant = granted(store, &request()).await;
    let before = store.now().unwrap();
    assert!(fills(store, &grant).await);
    let after = store.now().unwrap();
    let created = read(store).await.meta.created_ms;
    assert!(
        (before..=after).contains(&created),
        "{before} {created} {after}"
    );
}

async fn a_fill_ends_the_lease(store: &Store) {
    let grant = granted(store, &request()).await;
    assert!(fills(store, &grant).await);
    assert_eq!(read(store).await.lease, None);
    assert!(!fills(store, &grant).await, "a second time");
}

async fn an_expired_lease_nobody_took_may_still_fill(store: &Store) {
    let grant = granted(store, &brief()).await;
    later().await;
    assert!(fills(store, &grant).await);
    assert_eq!(read(store).await.payload, text("filled"));
}

async fn an_expired_lease_that_was_taken_over_may_not_fill(store: &Store) {
    let first = granted(store, &brief()).await;
    later().await;
    let second = granted(store, &request()).await;
    assert!(!fills(store, &first).await);
    assert!(!store.renew(&key("a"), &first, MINUTE).await.unwrap());
    assert!(fills(store, &second).await);
}

async fn a_fill_after_a_deletion_is_refused(store: &Store) {
    let grant = granted(store, &request()).await;
    assert_eq!(store.delete(&[key("a")]).await, Ok(1));
    assert!(!fills(store, &grant).await);
    assert_eq!(store.get(&key("a")).await, Ok(None));

    // Somebody else's load is not disturbed.
    let other = granted(store, &request()).await;
    assert!(!fills(store, &grant).await);
    assert!(fills(store, &other).await);
}

async fn a_fill_after_a_put_is_refused(store: &Store) {
    let grant = granted(store, &request()).await;
    let envelope = sealed("put", ours(), MINUTE, NONE);
    store
        .put(&key("a"), envelope.clone(), MINUTE)
        .await
        .unwrap();
    assert!(!fills(store, &grant).await);
    assert_eq!(store.get(&key("a")).await, Ok(Some(envelope)));
}

async fn a_fill_of_anything_but_an_envelope_is_refused(store: &Store) {
    let grant = granted(store, &request()).await;
    for foreign in [Bytes::new(), text("x".repeat(100)), text("CRE")] {
        let filled = store.fill(&key("a"), &grant, foreign, MINUTE).await;
        assert_eq!(filled, Ok(false));
    }
    assert!(fills(store, &grant).await, "the lease still stands");
}

// Renewing.

async fn a_renewed_lease_stands_longer(store: &Store) {
    let grant = granted(store, &brief()).await;
    later().await;
    // Over, and not taken over yet.
    assert!(store.renew(&key("a"), &grant, MINUTE).await.unwrap());
    let (_, token, left) = busy(store, &request()).await;
    assert_eq!(token, grant.token);
    assert!(left > MINUTE / 2, "{left:?}");
}

async fn a_lease_that_is_gone_is_not_renewed(store: &Store) {
    let grant = granted(store, &request()).await;
    assert!(fills(store, &grant).await);
    let renewed = async || store.renew(&key("a"), &grant, MINUTE).await.unwrap();
    assert!(!renewed().await);
    store.delete(&[key("a")]).await.unwrap();
    assert!(!renewed().await);
    assert_eq!(store.get(&key("a")).await, Ok(None));
    store.intend(&key("a"), &request()).await.unwrap();
    assert!(!renewed().await);
    store.put(&key("a"), text("foreign"), MINUTE).await.unwrap();
    assert!(!renewed().await);
}

// Releasing.

async fn an_abandoned_lease_is_taken_over_at_once(store: &Store) {
    let grant = granted(store, &request()).await;
    released(store, &grant.token, Release::Abandoned).await;
    let left = lease_of(store).await.unwrap();
    assert_eq!((left.token, left.deadline_ms), (grant.token, 0));
    granted(store, &request()).await;

    let intent = store.intend(&key("b"), &request()).await.unwrap();
    store
        .release(&key("b"), &intent.token, Release::Abandoned)
        .await
        .unwrap();
    let answer = store.acquire(&key("b"), &request()).await;
    assert!(matches!(answer, Ok(Acquired::Granted(_))), "{answer:?}");
}

async fn an_ended_load_leaves_word_and_hinders_nobody(store: &Store) {
    let grant = granted(store, &request()).await;
    released(store, &grant.token, Release::Ended(MINUTE)).await;
    let left = lease_of(store).await.unwrap();
    assert_eq!((left.kind, left.token), (LeaseKind::Ended, grant.token));
    assert!(left.deadline_ms > store.now().unwrap());
    assert!(!fills(store, &grant).await);
    granted(store, &request()).await;
}

async fn a_load_that_showed_there_is_no_value_takes_the_old_one_along(store: &Store) {
    let old = filled(store, "old", MINUTE, NONE).await;
    let grant = granted(store, &rejecting(old.stamp)).await;
    released(store, &grant.token, Release::Emptied).await;
    let left = lease_of(store).await.unwrap();
    assert_eq!((left.kind, left.token), (LeaseKind::Ended, grant.token));
    assert!(left.deadline_ms <= store.now().unwrap());
    let bytes = store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!(stamp(&bytes), None, "there is no value");
    assert!(!fills(store, &grant).await);
    granted(store, &request()).await;
}

async fn who_has_an_old_value_does_not_try_again_too_soon(store: &Store) {
    let old = filled(store, "old", MINUTE, NONE).await;
    let grant = granted(store, &rejecting(old.stamp)).await;
    released(store, &grant.token, Release::Ended(MINUTE)).await;
    let content = Acquire {
        has_old: true,
        ..rejecting(old.stamp)
    };
    let answer = store.acquire(&key("a"), &content).await.unwrap();
    let Acquired::Busy { kind, token, left } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!((kind, token), (LeaseKind::Ended, grant.token));
    assert!(left <= MINUTE && left > MINUTE / 2, "{left:?}");
    // A refresh asks for itself.
    let forced = Acquire {
        force: true,
        ..content
    };
    granted(store, &forced).await;
}

async fn an_ended_load_leaves_the_old_value_readable(store: &Store) {
    let old = filled(store, "old", MINUTE, NONE).await;
    let grant = granted(store, &rejecting(old.stamp)).await;
    released(store, &grant.token, Release::Ended(MINUTE)).await;
    let left = read(store).await;
    assert_eq!((left.payload, left.stamp), (old.payload, old.stamp));
    assert_eq!(left.lease.unwrap().kind, LeaseKind::Ended);
    granted(store, &rejecting(old.stamp)).await;
}

async fn a_withdrawn_intent_leaves_the_value_as_it_was(store: &Store) {
    let old = filled(store, "old", MINUTE, NONE).await;
    let intent = store.intend(&key("a"), &request()).await.unwrap();
    released(store, &intent.token, Release::Withdrawn).await;
    assert_eq!(read(store).await, old);
    granted(store, &rejecting(old.stamp)).await;
}

async fn a_withdrawn_intent_without_a_value_leaves_nothing(store: &Store) {
    let intent = store.intend(&key("a"), &request()).await.unwrap();
    released(store, &intent.token, Release::Withdrawn).await;
    assert_eq!(store.get(&key("a")).await, Ok(None));
}

async fn a_release_by_anybody_else_does_nothing(store: &Store) {
    let every = [
        Release::Abandoned,
        Release::Ended(MINUTE),
        Release::Withdrawn,
    ];
    let unchanged = async |what: &str| {
        let before = store.get(&key("a")).await;
        for how in every {
            released(store, &Token::random(), how).await;
        }
        assert_eq!(store.get(&key("a")).await, before, "{what}");
    };
    unchanged("nothing").await;
    store.put(&key("a"), text("7"), MINUTE).await.unwrap();
    unchanged("foreign").await;
    granted(store, &request()).await;
    unchanged("a lease").await;
    store.intend(&key("a"), &request()).await.unwrap();
    unchanged("an intent").await;
    filled_over(store, "value", MINUTE, NONE).await;
    unchanged("a value").await;
}

/// Whoever holds nothing any more changes nothing any more.
async fn an_ended_load_is_released_by_nobody(store: &Store) {
    let grant = granted(store, &request()).await;
    released(store, &grant.token, Release::Ended(MINUTE)).await;
    let before = store.get(&key("a")).await;
    released(store, &grant.token, Release::Withdrawn).await;
    released(store, &grant.token, Release::Abandoned).await;
    assert_eq!(store.get(&key("a")).await, before);
}

async fn a_release_undoes_a_grant_nobody_has_seen(store: &Store) {
    // Once, so that the scripts are known and each is one command.
    let known = granted(store, &request()).await;
    released(store, &known.token, Release::Abandoned).await;
    for _ in 0..50 {
        let unseen = request();
        let name = key("a");
        let mut acquiring = Box::pin(store.acquire(&name, &unseen));
        // The first poll sends the command, and none waits for its reply.
        briefly(0, acquiring.as_mut()).await;
        released(store, &unseen.token, Release::Abandoned).await;
        drop(acquiring);
        let seen = granted(store, &request()).await;
        released(store, &seen.token, Release::Abandoned).await;
    }
}

// Writing.

async fn an_intent_blocks_loads_and_leaves_the_value_readable(store: &Store) {
    let old = filled(store, "old", MINUTE, NONE).await;
    let intent = store.intend(&key("a"), &request()).await.unwrap();
    let (kind, token, left) = busy(store, &rejecting(old.stamp)).await;
    assert_eq!((kind, token), (LeaseKind::Intent, intent.token));
    assert!(left <= MINUTE);
    let marked = read(store).await;
    assert_eq!((marked.payload, marked.stamp), (old.payload, old.stamp));

    let before = store.now().unwrap();
    assert!(commits(store, &intent).await);
    let new = read(store).await;
    assert_eq!((new.payload, new.lease), (text("committed"), None));
    assert!(new.meta.created_ms >= before, "stamped by the store");
    assert!(!commits(store, &intent).await, "a second time");
}

async fn an_intent_refuses_the_fill_of_a_load_under_way(store: &Store) {
    let grant = granted(store, &request()).await;
    let intent = store.intend(&key("a"), &request()).await.unwrap();
    assert!(!fills(store, &grant).await);
    released(store, &grant.token, Release::Abandoned).await;
    assert!(
        commits(store, &intent).await,
        "the loader's release is not its own"
    );
}

async fn an_intent_leaves_the_value_of_another_type_readable(store: &Store) {
    let theirs = sealed("theirs", others(), MINUTE, NONE);
    store.put(&key("a"), theirs, MINUTE).await.unwrap();
    let intent = store.intend(&key("a"), &request()).await.unwrap();
    let entry = store.get(&key("a")).await.unwrap().unwrap();
    let marked = open(&entry, key("a").as_str(), others()).unwrap();
    assert_eq!(marked.payload, text("theirs"));
    assert_eq!(marked.lease.unwrap().kind, LeaseKind::Intent);
    assert!(commits(store, &intent).await);
}

async fn an_intent_on_what_is_no_envelope_replaces_it(store: &Store) {
    store.put(&key("a"), text("7"), MINUTE).await.unwrap();
    let intent = store.intend(&key("a"), &request()).await.unwrap();
    let entry = store.get(&key("a")).await.unwrap().unwrap();
    let (identity, lease) = lease(&entry).unwrap();
    assert_eq!((identity, lease.token), (ours(), intent.token));
    assert!(commits(store, &intent).await);
}

/// A value that was never stamped is as fresh as its key is alive.
async fn an_intent_does_not_lengthen_the_life_of_a_value(store: &Store) {
    let envelope = sealed("put", ours(), MINUTE, NONE);
    store.put(&key("a"), envelope, A_WHILE).await.unwrap();
    store.intend(&key("a"), &request()).await.unwrap();
    eventually("the value dies", async || {
        store.get(&key("a")).await.unwrap().is_none().then_some(())
    })
    .await;
}

async fn any_change_makes_the_commit_delete(store: &Store) {
    for change in 0..8 {
        filled_over(store, "old", MINUTE, MINUTE).await;
        let intent = store.intend(&key("a"), &request()).await.unwrap();
        match change {
            0 => {
                store.delete(&[key("a")]).await.unwrap();
            }
            1 => {
                let put = sealed("put", ours(), MINUTE, NONE);
                store.put(&key("a"), put, MINUTE).await.unwrap();
            }
            2 => {
                filled_over(store, "newer", MINUTE, NONE).await;
            }
            3 => {
                store.intend(&key("a"), &request()).await.unwrap();
            }
            4 => store.expire(&key("a")).await.unwrap(),
            5 => store.hold_off(&key("a"), ours(), MINUTE).await.unwrap(),
            6 => released(store, &intent.token, Release::Withdrawn).await,
            _ => store.put(&key("a"), text("7"), MINUTE).await.unwrap(),
        }
        assert!(!commits(store, &intent).await, "change {change}");
        assert_eq!(store.get(&key("a")).await, Ok(None), "change {change}");
    }
}

async fn of_two_intents_neither_commits_if_the_first_ends_first(store: &Store) {
    filled(store, "old", MINUTE, NONE).await;
    let first = store.intend(&key("a"), &request()).await.unwrap();
    let second = store.intend(&key("a"), &request()).await.unwrap();
    assert!(!commits(store, &first).await);
    assert_eq!(store.get(&key("a")).await, Ok(None));
    assert!(!commits(store, &second).await);
    assert_eq!(store.get(&key("a")).await, Ok(None));
}

/// The second commits, as nothing has happened since its intent; then the first deletes what it
/// cannot have known.
async fn of_two_intents_neither_commits_if_the_second_is_followed_by_the_first(store: &Store) {
    filled(store, "old", MINUTE, NONE).await;
    let first = store.intend(&key("a"), &request()).await.unwrap();
    let second = store.intend(&key("a"), &request()).await.unwrap();
    assert!(commits(store, &second).await);
    assert!(!commits(store, &first).await);
    assert_eq!(store.get(&key("a")).await, Ok(None));
}

async fn an_expired_intent_nobody_took_may_still_commit(store: &Store) {
    let intent = store.intend(&key("a"), &brief()).await.unwrap();
    later().await;
    assert!(commits(store, &intent).await);
}

async fn a_load_takes_over_an_expired_intent_and_its_commit_deletes(store: &Store) {
    let intent = store.intend(&key("a"), &brief()).await.unwrap();
    later().await;
    let grant = granted(store, &request()).await;
    assert!(!commits(store, &intent).await);
    assert!(
        !fills(store, &grant).await,
        "it may have read what was before the write"
    );
}

async fn a_commit_of_anything_but_an_envelope_deletes(store: &Store) {
    filled(store, "old", MINUTE, NONE).await;
    let intent = store.intend(&key("a"), &request()).await.unwrap();
    let committed = store.commit(&key("a"), &intent, text("7"), MINUTE).await;
    assert_eq!(committed, Ok(false));
    assert_eq!(store.get(&key("a")).await, Ok(None));
}

// Expiring.

async fn an_expired_value_is_stale_and_has_no_lease(store: &Store) {
    let old = filled(store, "old", MINUTE, MINUTE).await;
    granted(store, &rejecting(old.stamp)).await;
    store.expire(&key("a")).await.unwrap();
    let stale = read(store).await;
    assert_eq!((stale.payload, stale.lease), (old.payload, None));
    let now = store.now().unwrap();
    let age = stale.meta.age(now);
    assert!(matches!(age, Age::Stale { .. }), "{age:?}");
    // Nobody else's view of it is newer: it is loaded again.
    granted(store, &request()).await;
}

async fn an_expired_value_outlives_no_stale_span(store: &Store) {
    let stale = Duration::from_millis(50);
    filled(store, "old", MINUTE, stale).await;
    store.expire(&key("a")).await.unwrap();
    expired(store, &key("a")).await;
}

async fn a_load_under_way_does_not_make_an_expired_value_fresh(store: &Store) {
    let old = filled(store, "old", MINUTE, MINUTE).await;
    let grant = granted(store, &rejecting(old.stamp)).await;
    store.expire(&key("a")).await.unwrap();
    assert!(!fills(store, &grant).await);
    assert_eq!(read(store).await.payload, old.payload);
}

async fn expiring_a_stale_value_only_ends_its_lease(store: &Store) {
    let old = filled(store, "old", SOON, MINUTE).await;
    later().await;
    let grant = granted(store, &request()).await;
    store.expire(&key("a")).await.unwrap();
    assert_eq!(read(store).await, old);
    assert!(!fills(store, &grant).await);

    // Nor does its key end any sooner.
    let dead = filled(store, "dead", SOON, SOON).await;
    later().await;
    store.expire(&key("a")).await.unwrap();
    later().await;
    assert_eq!(read(store).await, dead);
}

async fn expiring_an_unstamped_value_stamps_it(store: &Store) {
    let put = sealed("put", ours(), MINUTE, MINUTE);
    store.put(&key("a"), put, MINUTE).await.unwrap();
    store.expire(&key("a")).await.unwrap();
    let meta = read(store).await.meta;
    let age = meta.age(store.now().unwrap());
    assert!(matches!(age, Age::Stale { .. }), "{age:?}");
}

async fn expiring_deletes_what_has_no_stale_span_or_no_value(store: &Store) {
    let gone = async |what: &str| {
        store.expire(&key("a")).await.unwrap();
        assert_eq!(store.get(&key("a")).await, Ok(None), "{what}");
    };
    gone("nothing").await;
    filled(store, "old", MINUTE, NONE).await;
    gone("no stale span").await;
    let grant = granted(store, &request()).await;
    gone("a lease alone").await;
    assert!(!fills(store, &grant).await);
    store.put(&key("a"), text("7"), MINUTE).await.unwrap();
    gone("foreign").await;
    let mut newer = sealed("newer", ours(), MINUTE, MINUTE).to_vec();
    newer[3] = 2;
    store.put(&key("a"), newer.into(), MINUTE).await.unwrap();
    gone("a newer format, whose spans may be elsewhere").await;
    filled(store, "for good", Duration::MAX, MINUTE).await;
    gone("no creation would make it stale").await;
}

// Holding off.

async fn holding_off_deletes_and_lets_nothing_be_filled(store: &Store) {
    let old = filled(store, "old", MINUTE, MINUTE).await;
    let grant = granted(store, &rejecting(old.stamp)).await;
    store.hold_off(&key("a"), ours(), MINUTE).await.unwrap();
    assert!(!fills(store, &grant).await);
    let (kind, _, left) = busy(store, &request()).await;
    assert_eq!(kind, LeaseKind::Intent);
    assert!(left <= MINUTE);
    let entry = store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!(entry.len(), 80, "no value");
}

async fn a_hold_off_ends(store: &Store) {
    let span = Duration::from_millis(50);
    store.hold_off(&key("a"), ours(), span).await.unwrap();
    expired(store, &key("a")).await;
    granted(store, &request()).await;
}

// How long keys live.

async fn a_lease_alone_lives_as_long_as_the_hold(store: &Store) {
    let asked = Acquire {
        lease: SOON,
        hold: Duration::from_millis(50),
        ..request()
    };
    granted(store, &asked).await;
    store.acquire(&key("b"), &brief()).await.unwrap();
    let longer = Acquire {
        lease: MINUTE,
        hold: SOON,
        ..request()
    };
    store.acquire(&key("c"), &longer).await.unwrap();
    expired(store, &key("a")).await;
    for held in ["b", "c"] {
        assert!(store.get(&key(held)).await.unwrap().is_some(), "{held}");
    }
}

async fn a_lease_in_place_keeps_the_value_for_the_hold(store: &Store) {
    let envelope = sealed("put", ours(), MINUTE, NONE);
    for name in ["a", "b"] {
        let put = store.put(&key(name), envelope.clone(), A_WHILE).await;
        assert_eq!(put, Ok(()));
    }
    let forced = Acquire {
        force: true,
        has_old: false,
        ..request()
    };
    granted(store, &forced).await;
    // Both would be gone by now.
    expired(store, &key("b")).await;
    assert!(store.get(&key("a")).await.unwrap().is_some());

    // A shorter hold takes nothing away.
    let shorter = Acquire {
        lease: SOON,
        hold: SOON,
        ..forced
    };
    granted(store, &shorter).await;
    later().await;
    assert!(store.get(&key("a")).await.unwrap().is_some());
}

async fn a_renewal_keeps_the_key_as_long_as_the_lease(store: &Store) {
    let asked = || Acquire {
        lease: A_WHILE,
        hold: A_WHILE,
        ..request()
    };
    let grant = granted(store, &asked()).await;
    store.acquire(&key("b"), &asked()).await.unwrap();
    assert_eq!(store.renew(&key("a"), &grant, MINUTE).await, Ok(true));
    expired(store, &key("b")).await;
    assert!(fills(store, &grant).await);
}

// Watching.

async fn watchers_hear_of_every_change(store: &Store) {
    for change in 0..10 {
        store.delete(&[key("a")]).await.unwrap();
        let grant = granted(store, &request()).await;
        let (seen, mut watch) = store.get_watched(&key("a")).await.unwrap();
        assert_eq!(seen, store.get(&key("a")).await.unwrap());
        let asked = briefly(100, watch.happened()).await;
        assert_eq!(asked, None, "nothing has happened yet");
        match change {
            0 => assert!(fills(store, &grant).await),
            1 => released(store, &grant.token, Release::Abandoned).await,
            2 => released(store, &grant.token, Release::Ended(MINUTE)).await,
            3 => released(store, &grant.token, Release::Withdrawn).await,
            4 => assert_eq!(store.delete(&[key("a")]).await, Ok(1)),
            5 => store.put(&key("a"), text("7"), MINUTE).await.unwrap(),
            6 => drop(store.intend(&key("a"), &request()).await.unwrap()),
            7 => store.hold_off(&key("a"), ours(), MINUTE).await.unwrap(),
            8 => assert_eq!(store.clear("contract:*").await, Ok(1)),
            _ => store.expire(&key("a")).await.unwrap(),
        }
        within("a change", watch.happened()).await;
        within("the same change", watch.happened()).await;
    }
}

async fn watchers_hear_of_their_keys_only(store: &Store) {
    let (_, mut ours) = store.get_watched(&key("a")).await.unwrap();
    let (_, mut theirs) = store.get_watched(&key("b")).await.unwrap();
    store.put(&key("b"), text("7"), MINUTE).await.unwrap();
    within("a change", theirs.happened()).await;
    store.ping().await.unwrap();
    assert_eq!(briefly(100, ours.happened()).await, None);
    // A read that does not ask is not told, and disturbs nobody.
    store.get(&key("a")).await.unwrap();
    store.put(&key("a"), text("7"), MINUTE).await.unwrap();
    within("a change", ours.happened()).await;
}

async fn watchers_of_what_is_absent_hear_of_its_coming(store: &Store) {
    let (seen, mut watch) = store.get_watched(&key("a")).await.unwrap();
    assert_eq!(seen, None);
    granted(store, &request()).await;
    within("a change", watch.happened()).await;

    // Told once, a watcher is told no more: who goes on waiting reads again.
    let (seen, mut watch) = store.get_watched(&key("a")).await.unwrap();
    assert!(seen.is_some());
    assert_eq!(briefly(100, watch.happened()).await, None);
    store.delete(&[key("a")]).await.unwrap();
    within("another change", watch.happened()).await;
}

async fn watchers_hear_of_the_end_of_an_entry(store: &Store) {
    store.put(&key("a"), text("7"), A_WHILE).await.unwrap();
    let (_, mut watch) = store.get_watched(&key("a")).await.unwrap();
    within("the end of an entry", watch.happened()).await;
    assert_eq!(store.get(&key("a")).await, Ok(None));
}

async fn cancelled_watchers_leave_nothing_behind(store: &Store) {
    for turns in [0, 0, 1, 5, 100] {
        let watched = briefly(turns, store.get_watched(&key("a"))).await;
        drop(watched);
    }
    let (_, mut watch) = store.get_watched(&key("a")).await.unwrap();
    assert_eq!(briefly(1, watch.happened()).await, None);
    assert_eq!(watchers(store), 1);
    drop(watch);
    assert_eq!(watchers(store), 0);

    let (_, mut watch) = store.get_watched(&key("a")).await.unwrap();
    store.put(&key("a"), text("7"), MINUTE).await.unwrap();
    within("a change", watch.happened()).await;
    assert_eq!(watchers(store), 0, "who was told waits no more");
}

async fn hundreds_of_watchers_hear_of_one_change(store: &Store) {
    let waiting: Vec<_> = (0..300)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let (seen, mut watch) = store.get_watched(&key("a")).await.unwrap();
                if seen.is_none() {
                    watch.happened().await;
                }
            })
        })
        .collect();
    eventually("most wait", async || (watchers(store) > 100).then_some(())).await;
    store.put(&key("a"), text("7"), MINUTE).await.unwrap();
    for waiter in waiting {
        within("a waiter", waiter).await.unwrap();
    }
    assert_eq!(watchers(store), 0);
}

// Help.

fn ours() -> TypeIdentity {
    TypeIdentity::from_u64(1)
}

fn others() -> TypeIdentity {
    TypeIdentity::from_u64(2)
}

/// For long, of somebody who has seen nothing.
fn request() -> Acquire {
    Acquire {
        token: Token::random(),
        identity: ours(),
        lease: MINUTE,
        hold: MINUTE,
        rejected: None,
        force: false,
        has_old: false,
    }
}

/// Of a lease that is soon over.
fn brief() -> Acquire {
    Acquire {
        lease: SOON,
        ..request()
    }
}

fn rejecting(stamp: Stamp) -> Acquire {
    Acquire {
        rejected: Some(stamp),
        ..request()
    }
}

/// As loaded and not stored yet.
fn sealed(payload: &str, identity: TypeIdentity, fresh: Duration, stale: Duration) -> Bytes {
    let mut buffer = start();
    buffer.extend_from_slice(payload.as_bytes());
    let meta = Meta {
        created_ms: 0,
        spans: Spans { fresh, stale },
        load_cost: NONE,
        codec_id: 0,
    };
    seal(buffer, key("a").as_str(), identity, &meta)
}

async fn acquired(store: &Store, request: &Acquire) -> Acquired {
    store.acquire(&key("a"), request).await.unwrap()
}

async fn granted(store: &Store, request: &Acquire) -> Grant {
    match acquired(store, request).await {
        Acquired::Granted(grant) => {
            assert_eq!(grant.token, request.token);
            grant
        }
        answer => panic!("not granted: {answer:?}"),
    }
}

async fn busy(store: &Store, request: &Acquire) -> (LeaseKind, Token, Duration) {
    match acquired(store, request).await {
        Acquired::Busy { kind, token, left } => (kind, token, left),
        answer => panic!("not busy: {answer:?}"),
    }
}

/// Loads and stores where there is nothing.
async fn filled(store: &Store, payload: &str, fresh: Duration, stale: Duration) -> Entry {
    store.delete(&[key("a")]).await.unwrap();
    filled_over(store, payload, fresh, stale).await
}

/// Loads and stores whatever there is, as a refresh does.
async fn filled_over(store: &Store, payload: &str, fresh: Duration, stale: Duration) -> Entry {
    let forced = Acquire {
        force: true,
        has_old: false,
        ..request()
    };
    let grant = granted(store, &forced).await;
    let envelope = sealed(payload, ours(), fresh, stale);
    let filled = store.fill(&key("a"), &grant, envelope, MINUTE).await;
    assert_eq!(filled, Ok(true));
    read(store).await
}

async fn fills(store: &Store, grant: &Grant) -> bool {
    let envelope = sealed("filled", ours(), MINUTE, MINUTE);
    store
        .fill(&key("a"), grant, envelope, MINUTE)
        .await
        .unwrap()
}

async fn commits(store: &Store, grant: &Grant) -> bool {
    let envelope = sealed("committed", ours(), MINUTE, MINUTE);
    let committed = store.commit(&key("a"), grant, envelope, MINUTE).await;
    committed.unwrap()
}

async fn released(store: &Store, token: &Token, how: Release) {
    store.release(&key("a"), token, how).await.unwrap();
}

async fn read(store: &Store) -> Entry {
    opened(&store.get(&key("a")).await.unwrap().unwrap())
}

fn opened(envelope: &Bytes) -> Entry {
    let key = key("a");
    let opened = open(envelope, key.as_str(), ours()).unwrap();
    Entry {
        payload: Bytes::copy_from_slice(opened.payload),
        meta: opened.meta,
        lease: opened.lease,
        stamp: opened.stamp,
    }
}

/// What an envelope holds.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    payload: Bytes,
    meta: Meta,
    lease: Option<Lease>,
    stamp: Stamp,
}

async fn lease_of(store: &Store) -> Option<Lease> {
    let entry = store.get(&key("a")).await.unwrap()?;
    lease(&entry).map(|(_, lease)| lease)
}

fn watchers(store: &Store) -> usize {
    match store {
        Store::Memory(store) => store.watchers(),
        Store::Redis(store) => store.watchers(),
    }
}

/// After everything that ends [`SOON`].
async fn later() {
    sleep(10 * SOON).await;
}
