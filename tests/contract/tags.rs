//! Generations of tags: random, the same for everybody until the tag is deleted.

use super::*;

contract! {
    tags_have_no_generation_until_somebody_asks,
    a_generation_stays_until_its_tag_is_deleted,
    a_look_up_wants_all_generations,
    whoever_asks_at_once_gets_one_generation,
    a_generation_is_kept_for_the_longest_time_asked,
    what_is_no_generation_is_replaced,
    a_watched_look_up_reads_the_same,
    clearing_the_namespace_takes_the_generations,
}

fn tags() -> [Key; 2] {
    [key("%tag:a"), key("%tag:b")]
}

async fn tags_have_no_generation_until_somebody_asks(store: &Store) {
    let found = store.look_up(&key("a"), &tags()).await.unwrap();
    assert_eq!((found.envelope, found.generations), (None, None));
    let none = store.look_up(&key("a"), &[]).await.unwrap();
    assert_eq!(none.generations, Some(Vec::new()), "no tag lacks one");
    assert_eq!(store.generations(&[], MINUTE).await, Ok(Vec::new()));

    let made = store.generations(&tags(), MINUTE).await.unwrap();
    assert_ne!(made[0], made[1]);
    store.put(&key("a"), text("one"), MINUTE).await.unwrap();
    let found = store.look_up(&key("a"), &tags()).await.unwrap();
    assert_eq!(found.envelope, Some(text("one")));
    assert_eq!(found.generations, Some(made));
}

async fn a_generation_stays_until_its_tag_is_deleted(store: &Store) {
    let [a, b] = tags();
    let first = store.generations(&tags(), MINUTE).await.unwrap();
    assert_eq!(store.generations(&tags(), MINUTE).await, Ok(first.clone()));
    let swapped = [b.clone(), a.clone()];
    let reversed: Vec<_> = first.iter().rev().copied().collect();
    assert_eq!(store.generations(&swapped, MINUTE).await, Ok(reversed));

    assert_eq!(store.delete(std::slice::from_ref(&a)).await, Ok(1));
    let second = store.generations(&tags(), MINUTE).await.unwrap();
    assert_ne!(first[0], second[0]);
    assert_eq!(first[1], second[1], "of the other tag");
}

async fn a_look_up_wants_all_generations(store: &Store) {
    store.generations(&tags(), MINUTE).await.unwrap();
    store.delete(&tags()[1..]).await.unwrap();
    let found = store.look_up(&key("x"), &tags()).await.unwrap();
    assert_eq!(found.generations, None);
    let found = store.look_up(&key("x"), &tags()[..1]).await.unwrap();
    assert!(found.generations.is_some());
}

async fn whoever_asks_at_once_gets_one_generation(store: &Store) {
    let askers = (0..20).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.generations(&tags(), MINUTE).await.unwrap() })
    });
    let askers: Vec<_> = askers.collect();
    let mut answers = Vec::new();
    for asker in askers {
        answers.push(within("the generations", asker).await.unwrap());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
}

async fn a_generation_is_kept_for_the_longest_time_asked(store: &Store) {
    let [a, b] = tags();
    let brief = Duration::from_millis(50);
    let (kept, gone) = ([a], [b]);
    let generation = store.generations(&kept, MINUTE).await.unwrap();
    store.generations(&kept, brief).await.unwrap();
    store.generations(&gone, brief).await.unwrap();
    eventually("the tag that was kept briefly is gone", async || {
        let found = store.look_up(&key("x"), &gone).await.unwrap();
        found.generations.is_none().then_some(())
    })
    .await;
    assert_eq!(store.generations(&kept, brief).await, Ok(generation));

    let later = store.generations(&gone, brief).await.unwrap();
    assert_eq!(store.generations(&gone, MINUTE).await, Ok(later.clone()));
    sleep(brief).await;
    assert_eq!(store.generations(&gone, MINUTE).await, Ok(later));
}

async fn what_is_no_generation_is_replaced(store: &Store) {
    let [a, _] = tags();
    let tag = std::slice::from_ref(&a);
    store.put(&a, text("something else"), MINUTE).await.unwrap();
    let found = store.look_up(&key("x"), tag).await.unwrap();
    assert_eq!(found.generations, None);
    let made = store.generations(tag, MINUTE).await.unwrap();
    let found = store.look_up(&key("x"), tag).await.unwrap();
    assert_eq!(found.generations, Some(made));
}

async fn a_watched_look_up_reads_the_same(store: &Store) {
    let made = store.generations(&tags(), MINUTE).await.unwrap();
    let tags = tags();
    let (found, mut change) = store.look_up_watched(&key("w"), &tags).await.unwrap();
    assert_eq!((found.envelope, found.generations), (None, Some(made)));
    store.put(&key("w"), text("x"), MINUTE).await.unwrap();
    within("the news of the change", change.happened()).await;
}

async fn clearing_the_namespace_takes_the_generations(store: &Store) {
    let before = store.generations(&tags(), MINUTE).await.unwrap();
    store.clear("contract:*").await.unwrap();
    let found = store.look_up(&key("x"), &tags()).await.unwrap();
    assert_eq!(found.generations, None);
    let after = store.generations(&tags(), MINUTE).await.unwrap();
    assert_ne!(before[0], after[0]);
}
