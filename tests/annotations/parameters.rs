//! Patterns, `mut`, references, moves and `Send`.

use super::*;

struct Range {
    from: u64,
    to: u64,
}

#[cached(ttl = 300, key = "span:{from}:{to}")]
async fn span(Range { from, to }: Range) -> u64 {
    to - from
}

#[cached(ttl = 300, key = "pair:{a}:{b}", skip(rest))]
async fn pair((a, mut b): (u64, u64), [rest, _]: [u64; 2], _: Cell<u8>) -> u64 {
    b += rest;
    a * b
}

#[cached(ttl = 300)]
async fn defaults(whole @ &(left, _): &(u64, u64)) -> u64 {
    whole.0 + left
}

#[tokio::test]
async fn names_bound_by_patterns_make_the_key() {
    alone(async {
        assert_eq!(span(Range { from: 2, to: 9 }).await, 7);
        assert_eq!(span_entry(Range { from: 2, to: 9 }).key(), "cache:span:2:9");
        assert_eq!(pair((2, 3), [1, 0], Cell::new(1)).await, 8);
        assert_eq!(pair_entry((2, 3)).key(), "cache:pair:2:3");
        assert_eq!(defaults(&(1, 2)).await, 2);
        assert_eq!(served(defaults(&(1, 2))).await, Outcome::Hit);
    })
    .await;
}

#[cached(ttl = 300, key = "mut:{n}:{words:?}")]
async fn mutates(mut n: u64, mut words: Vec<String>) -> String {
    n += 1;
    words.push(n.to_string());
    words.concat()
}

#[cached(ttl = 300, key = "mut_ref:{log}")]
async fn appends(log: &mut String) -> usize {
    log.push('!');
    tokio::task::yield_now().await;
    log.len()
}

#[tokio::test]
async fn the_body_owns_its_parameters_and_the_key_is_made_before() {
    alone(async {
        assert_eq!(mutates(1, vec!["a".into()]).await, "a2");
        assert_eq!(served(mutates(1, vec!["a".into()])).await, Outcome::Hit);
        let mut log = "x".to_owned();
        assert_eq!(appends(&mut log).await, 2);
        // The key is that of the call, not of what the body made of the argument.
        assert_eq!(
            appends_entry(&"x".to_owned()).peek().await.ok(),
            Some(Some(2))
        );
        assert_eq!(log, "x!");
    })
    .await;
}

/// Borrows from its arguments in every way.
#[cached(ttl = 300, key = "borrow:{text}:{tags:?}", skip(visit))]
async fn borrows<'a, V: Fn(&str) -> bool>(
    text: &'a str,
    tags: &[&'a str],
    visit: V,
) -> Vec<String> {
    let all = std::iter::once(&text).chain(tags);
    all.filter(|tag| visit(tag))
        .map(ToString::to_string)
        .collect()
}

#[cached(ttl = 300, key = "err:{name}")]
async fn borrowed_error(name: &str) -> Result<u8, &str> {
    if name.is_empty() { Ok(1) } else { Err(name) }
}

#[cached(ttl = 300, key = "named:{name}")]
async fn named_lifetime<'a>(name: &'a str, _: &str) -> Result<u8, std::borrow::Cow<'a, str>> {
    if name.is_empty() {
        Ok(1)
    } else {
        Err(name.into())
    }
}

/// Parameters that only the skipped argument uses.
#[cached(ttl = 300, key = "unused:{id}", skip(list))]
async fn only_in_skipped<'a, T: Sync>(list: &'a [&'a T], id: usize) -> usize {
    tokio::task::yield_now().await;
    list.len() + id
}

#[tokio::test]
async fn lifetimes_stay_as_they_are() {
    alone(async {
        assert_eq!(only_in_skipped(&[&1, &2], 3).await, 5);
        assert_eq!(
            only_in_skipped_entry::<u8>(3).peek().await.ok(),
            Some(Some(5))
        );
        let long = |tag: &str| tag.len() > 1;
        assert_eq!(borrows("aa", &["b", "cc"], long).await, ["aa", "cc"]);
        let name = "Ada".to_owned();
        assert_eq!(borrowed_error(&name).await, Err("Ada"));
        assert!(named_lifetime(&name, "").await.is_err());
        // An entry borrows nothing.
        let entry: Entry<Result<u8, &'static str>> = borrowed_error_entry(&name);
        drop(name);
        assert_eq!(entry.key(), "cache:err:Ada");
    })
    .await;
}

#[cached(ttl = 300, key = "cell", skip(cell))]
async fn not_sync(cell: Cell<u64>) -> u64 {
    tokio::task::yield_now().await;
    cell.get()
}

#[cached(ttl = 300, key = "receiver", skip(channel))]
async fn consumes(mut channel: tokio::sync::mpsc::Receiver<u64>) -> Option<u64> {
    channel.recv().await
}

#[tokio::test]
async fn arguments_that_are_send_but_not_sync_can_be_spawned() {
    let cell = tokio::spawn(alone(not_sync(Cell::new(3))));
    assert_eq!(cell.await.ok(), Some(3));
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    drop(sender);
    let task = tokio::spawn(alone(consumes(receiver)));
    assert_eq!(task.await.ok(), Some(None));
}

#[cached(ttl = 300, key = "local:{n}", skip(local))]
async fn not_send(n: u64, local: std::rc::Rc<str>) -> usize {
    let length = local.len();
    tokio::task::yield_now().await;
    length + local.len() + usize::try_from(n).unwrap_or_default()
}

#[tokio::test]
async fn nothing_asks_the_origin_for_send() {
    alone(async { assert_eq!(not_send(1, "ab".into()).await, 5) }).await;
}
