//! The models see what each rule is for: without it, one of them fails.

use cache_exploration::Rule;
use cache_exploration::protocol::Part::{Invalidate, Read, Update};
use cache_exploration::protocol::{Setting, play};

fn without(rule: Rule) -> Setting {
    Setting {
        off: Some(rule),
        ..Setting::COLD
    }
}

#[test]
#[should_panic(expected = "G3")]
fn without_the_fence_an_outdated_load_is_stored() {
    play(without(Rule::Fence), &[Read(0), Read(1), Invalidate(1)]);
}

#[test]
#[should_panic(expected = "G3")]
fn without_the_join_rule_an_outdated_load_is_shared() {
    play(without(Rule::Join), &[Read(0), Read(0), Invalidate(1)]);
}

#[test]
#[should_panic(expected = "G3")]
fn without_the_intent_an_outdated_write_is_stored() {
    play(without(Rule::Intent), &[Read(0), Update(0), Invalidate(1)]);
}
