//! No stale read after the acknowledgement, in every interleaving of these.

use std::time::Duration;

use cache_exploration::protocol::Part::{self, Cancel, Invalidate, Read, Refresh, Update};
use cache_exploration::protocol::{Setting, play};

const WARM: Setting = Setting {
    warm: true,
    ..Setting::COLD
};
/// Whoever asks for a lease gets it.
const BRIEF: Setting = Setting {
    lease: Duration::ZERO,
    ..Setting::COLD
};
const ALONE: Setting = Setting {
    alone: true,
    ..Setting::COLD
};
const SHALLOW: Setting = Setting {
    interruptions: 2,
    ..Setting::COLD
};

fn holds(settings: &[Setting], parts: &'static [Part]) {
    for setting in settings {
        let executions = play(*setting, parts);
        println!("{executions} executions of {parts:?} in {setting:?}");
        assert!(executions > 1, "nothing was interleaved");
    }
}

#[test]
fn two_processes_read_while_one_invalidates() {
    let parts = &[Read(0), Read(1), Invalidate(1)];
    holds(&[Setting::COLD, WARM, BRIEF], parts);
}

#[test]
fn readers_share_a_load_while_another_process_invalidates() {
    let parts = &[Read(0), Read(0), Invalidate(1)];
    holds(&[Setting::COLD, WARM, BRIEF], parts);
}

#[test]
fn a_reader_a_write_through_and_an_invalidation() {
    let parts = &[Read(0), Update(0), Invalidate(1)];
    holds(&[Setting::COLD, WARM, BRIEF], parts);
}

#[test]
fn a_reader_and_two_writes_through() {
    let parts = &[Read(0), Update(0), Update(1)];
    holds(&[Setting::COLD, WARM, BRIEF], parts);
}

#[test]
fn a_leader_is_cancelled_while_another_process_invalidates() {
    let parts = &[Cancel(0), Read(0), Invalidate(1)];
    holds(&[Setting::COLD, BRIEF], parts);
}

#[test]
fn a_leader_finds_the_value_of_another_process_while_that_invalidates() {
    let parts = &[Read(1), Read(0), Read(0), Invalidate(1)];
    holds(&[SHALLOW], parts);
}

#[test]
fn a_refresh_and_a_write_through() {
    let parts = &[Read(0), Refresh(0), Update(1)];
    holds(&[Setting::COLD, WARM, BRIEF], parts);
}

#[test]
fn a_refresh_and_an_invalidation() {
    let parts = &[Read(1), Refresh(0), Invalidate(1)];
    holds(&[Setting::COLD, WARM, BRIEF], parts);
}

#[test]
fn callers_who_trust_their_process_while_it_invalidates() {
    holds(&[ALONE], &[Read(0), Read(0), Invalidate(0)]);
    holds(&[ALONE], &[Read(0), Refresh(0), Update(0)]);
}

#[test]
fn readers_a_write_through_and_an_invalidation() {
    holds(&[SHALLOW], &[Read(0), Read(0), Update(0), Invalidate(1)]);
    holds(&[SHALLOW], &[Read(0), Read(1), Update(0), Invalidate(1)]);
}
