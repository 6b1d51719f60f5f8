//! Guarantee G1 through the attribute: different arguments never share a key.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;

use cache_runtime::{Cache, cached};
use proptest::prelude::*;
use tokio::runtime::Runtime;

#[cached(ttl = 300, key = "a:{x}:{y}")]
async fn template(x: &str, y: &str) -> u64 {
    (x.len() + y.len()) as u64
}

#[cached(ttl = 300)]
async fn default_key(x: &str, y: &[String]) -> u64 {
    (x.len() + y.len()) as u64
}

static CACHE: LazyLock<Cache> = LazyLock::new(Cache::memory);
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// The keys of both functions for these arguments.
fn keys(x: &str, y: &str) -> [String; 2] {
    let words: Vec<String> = y.split('|').map(str::to_owned).collect();
    RUNTIME.block_on(CACHE.scope(async {
        [
            template_entry(x, y).key().to_owned(),
            default_key_entry(x, &words).key().to_owned(),
        ]
    }))
}

/// Any text, and often one made of what separates and escapes.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(":"),
        Just("%"),
        Just("{"),
        Just("}"),
        Just("{x}"),
        Just("\0"),
        Just("🙂"),
        Just(" "),
        Just("\n"),
        Just("%3A"),
        Just("3A"),
        Just("a"),
        Just("é"),
        Just("|"),
        Just(","),
        Just("["),
        Just("'"),
    ];
    let built = prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat());
    prop_oneof![3 => built, 1 => any::<String>(), 1 => "\\PC{0,600}"]
}

proptest! {
    #[test]
    fn different_arguments_have_different_keys(
        one in (text(), text()),
        other in (text(), text()),
    ) {
        let same = one == other;
        let [template, default] = keys(&one.0, &one.1);
        let [other_template, other_default] = keys(&other.0, &other.1);
        prop_assert_eq!(template == other_template, same);
        prop_assert_eq!(default == other_default, same);
    }

    /// What moves from one argument into its neighbour is the classic collision.
    #[test]
    fn moving_text_between_arguments_changes_the_key(joined in text(), at in any::<prop::sample::Index>()) {
        let cuts: Vec<usize> = joined.char_indices().map(|(at, _)| at).chain([joined.len()]).collect();
        let (x, y) = joined.split_at(cuts[at.index(cuts.len())]);
        for cut in cuts {
            let (other_x, other_y) = joined.split_at(cut);
            let same = (x, y) == (other_x, other_y);
            prop_assert_eq!(keys(x, y) == keys(other_x, other_y), same);
        }
    }

    #[test]
    fn plain_ids_stay_readable(x in "[A-Za-z0-9_.@+-]{0,40}", y in "[A-Za-z0-9éß]{1,40}") {
        let [template, _] = keys(&x, &y);
        prop_assert_eq!(template, format!("cache:a:{x}:{y}"));
    }
}
