//! Callers of one process in every interleaving.

use cache_exploration::flights::{
    a_caller_is_cancelled, a_fence_is_raised, a_leader_is_overtaken, callers_share_one_load,
};

#[test]
fn two_callers_of_a_cold_key_share_one_load() {
    report(callers_share_one_load(2));
}

#[test]
fn three_callers_of_a_cold_key_share_one_load() {
    report(callers_share_one_load(3));
}

#[test]
fn whoever_is_cancelled_another_takes_over_and_nobody_is_left_waiting() {
    report(a_caller_is_cancelled());
}

#[test]
fn who_gives_up_on_a_leader_overtakes_it_once() {
    report(a_leader_is_overtaken());
}

#[test]
fn who_comes_after_a_fence_gets_what_it_was_raised_for() {
    report(a_fence_is_raised());
}

fn report(executions: usize) {
    println!("{executions} executions");
    assert!(executions > 1, "nothing was interleaved");
}
