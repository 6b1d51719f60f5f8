use std::collections::HashMap;

use cache_runtime::{cached, invalidates};

#[cached(ttl = 300, key = "a:{id}", each = ids)]
async fn not_of_this_form(ids: &[u64]) -> HashMap<u64, u64> {
    ids.iter().map(|id| (*id, *id)).collect()
}

#[cached(ttl = 300, key = "b:{id}", each(id, ids))]
async fn without_in(ids: &[u64]) -> HashMap<u64, u64> {
    ids.iter().map(|id| (*id, *id)).collect()
}

#[cached(ttl = 300, key = "c:{id}", each(id in numbers))]
async fn no_such_parameter(ids: &[u64]) -> HashMap<u64, u64> {
    ids.iter().map(|id| (*id, *id)).collect()
}

#[cached(ttl = 300, key = "d:{id}", each(id in ids))]
async fn already_a_parameter(ids: &[u64], id: u64) -> HashMap<u64, u64> {
    ids.iter().map(|other| (*other, id)).collect()
}

#[cached(ttl = 300, key = "all", each(id in ids))]
async fn not_in_the_key(ids: &[u64]) -> HashMap<u64, u64> {
    ids.iter().map(|id| (*id, *id)).collect()
}

#[cached(ttl = 300, key = "all", skip(id), each(id in ids))]
async fn skipped(ids: &[u64]) -> HashMap<u64, u64> {
    ids.iter().map(|id| (*id, *id)).collect()
}

#[cached(ttl = 300, key = "e:{ids}", each(id in ids))]
async fn all_in_the_key(ids: &[u64]) -> HashMap<u64, u64> {
    ids.iter().map(|id| (*id, *id)).collect()
}

#[cached(ttl = 300, key = "f:{id}", stale_while_revalidate = 60, each(id in ids))]
async fn in_the_background(ids: Vec<u64>) -> HashMap<u64, u64> {
    ids.into_iter().map(|id| (id, id)).collect()
}

#[cached(ttl = 300, key = "g:{id}", each(id in ids))]
async fn any_iterator(ids: impl Iterator<Item = u64>) -> HashMap<u64, u64> {
    ids.map(|id| (id, id)).collect()
}

#[cached(ttl = 300, key = "h:{id}", skip(seen), each(id in ids))]
async fn borrows_mutably(ids: &[u64], seen: &mut Vec<u64>) -> HashMap<u64, u64> {
    seen.extend(ids);
    HashMap::new()
}

struct Repo;

impl Repo {
    #[cached(ttl = 300, key = "i:{id}", skip(self), each(id in ids))]
    async fn by_value(self, ids: &[u64]) -> HashMap<u64, u64> {
        ids.iter().map(|id| (*id, *id)).collect()
    }
}

#[cached(ttl = 300, key = "j:{id}", none_ttl = 60, each(id in ids))]
async fn absent_twice(ids: &[u64]) -> HashMap<u64, Option<u64>> {
    ids.iter().map(|id| (*id, Some(*id))).collect()
}

#[cached(ttl = 300, key = "k:{id}", each(id in ids))]
async fn fails_each(ids: &[u64]) -> HashMap<u64, Result<u64, String>> {
    ids.iter().map(|id| (*id, Ok(*id))).collect()
}

#[cached(ttl = 300, key = "l:{id}", each(id in ids))]
async fn an_array(ids: &[u64; 4]) -> HashMap<u64, u64> {
    ids.iter().map(|id| (*id, *id)).collect()
}

#[invalidates(each(id in ids))]
async fn invalidates_each(ids: &[u64]) {
    let _ = ids;
}

fn main() {}
