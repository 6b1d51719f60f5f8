use std::rc::Rc;

use cache_runtime::cached;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct NotClone {
    id: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct NotSync {
    id: std::cell::Cell<u64>,
}

#[cached(ttl = 300, key = "a:{id}", near)]
async fn not_clone(id: u64) -> NotClone {
    NotClone { id }
}

#[cached(ttl = 300, key = "b:{id}", near = "5s")]
async fn not_sync(id: u64) -> Result<NotSync, Rc<str>> {
    Ok(NotSync { id: id.into() })
}

#[cached(ttl = 300, key = "c:{id}", near = true)]
async fn a_flag_with_a_value(id: u64) -> u64 {
    id
}

#[cached(ttl = 300, key = "d:{id}", near = "soon")]
async fn no_duration(id: u64) -> u64 {
    id
}

#[cached(ttl = 300, key = "e:{id}", near = )]
async fn no_value(id: u64) -> u64 {
    id
}

fn main() {}
