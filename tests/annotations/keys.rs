//! What templates render to.

use super::*;

#[derive(Serialize)]
struct Place {
    city: &'static str,
    at: (i32, i32),
    r#type: u8,
}

#[cached(
    ttl = 300,
    key = "{{place}}:{place.city}:{place.at.0}:{place.at.1:>4}:{place.type}:{note:?}"
)]
async fn place(place: &Place, note: &str) -> usize {
    place.city.len() + note.len()
}

#[tokio::test]
async fn placeholders_are_those_of_format() {
    alone(async {
        let rome = Place {
            city: "Rome:IT",
            at: (4, -2),
            r#type: 1,
        };
        assert_eq!(place(&rome, "a b").await, 10);
        assert_eq!(
            place_entry(&rome, "a b").key(),
            "cache:{place}:Rome%3AIT:4:%20%20-2:1:\"a%20b\""
        );
    })
    .await;
}

#[cached(ttl = 300, key = "everything")]
async fn constant() -> u64 {
    1
}

#[cached(ttl = 300)]
async fn by_default(place: &Place, words: Vec<String>, maybe: Option<u8>) -> usize {
    place.city.len() + words.len() + usize::from(maybe.unwrap_or_default())
}

#[tokio::test]
async fn default_keys_tell_arguments_apart() {
    alone(async {
        assert_eq!(constant_entry().key(), "cache:everything");
        assert_eq!(constant().await, 1);
        let place = Place {
            city: "Oslo",
            at: (0, 0),
            r#type: 0,
        };
        let key = |words: &[&str], maybe| {
            let words = words.iter().map(ToString::to_string).collect();
            by_default_entry(&place, words, maybe).key().to_owned()
        };
        assert_eq!(key(&["a", "b"], None), key(&["a", "b"], None));
        assert_ne!(key(&["a", "b"], None), key(&["ab"], None));
        assert_ne!(key(&["a"], None), key(&["a"], Some(0)));
        assert_eq!(by_default(&place, vec!["a".into()], Some(2)).await, 7);
        assert!(key(&[], None).starts_with("cache:annotations.keys.by_default:"));
    })
    .await;
}
