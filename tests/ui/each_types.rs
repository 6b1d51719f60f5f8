use std::collections::HashMap;

use cache_runtime::cached;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Id(u64);

struct Connection(u64);

#[cached(ttl = 300, key = "a:{id}", each(id in ids))]
async fn no_values_by_id(ids: &[u64]) -> Vec<u64> {
    ids.to_vec()
}

#[cached(ttl = 300, key = "b:{id}", each(id in ids))]
async fn other_ids(ids: &[u32]) -> HashMap<u64, u64> {
    ids.iter().map(|id| (u64::from(*id), 0)).collect()
}

#[cached(ttl = 300, key = "c:{id}", each(id in ids))]
async fn not_displayed(ids: &[Id]) -> HashMap<Id, u64> {
    ids.iter().map(|id| (id.clone(), id.0)).collect()
}

#[cached(ttl = 300, key = "d:{id}", each(id in ids))]
async fn not_cacheable(ids: &[u64]) -> Result<HashMap<u64, Id>, String> {
    Ok(ids.iter().map(|id| (*id, Id(*id))).collect())
}

#[cached(ttl = 300, key = "e:{id}", skip(connection), each(id in ids))]
async fn not_clone(connection: Connection, ids: &[u64]) -> HashMap<u64, u64> {
    ids.iter().map(|id| (*id, connection.0)).collect()
}

fn main() {}
