use std::rc::Rc;

use cache_runtime::cached;

struct NotClone(u64);

#[cached(ttl = 300, key = "n:{n.0}", stale_while_revalidate = "1m")]
async fn not_clone(n: NotClone) -> u64 {
    n.0
}

#[cached(ttl = 300, key = "n:{n.0}", stale_while_revalidate = "1m")]
async fn reference_to_what_is_not_clone(n: &NotClone) -> u64 {
    n.0
}

#[cached(ttl = 300, key = "n:{n}", stale_while_revalidate = "1m")]
async fn not_send(n: Rc<u64>) -> u64 {
    *n
}

#[cached(ttl = 300, key = "n:{n}", skip(load), stale_while_revalidate = "1m")]
async fn a_trait_object(n: u64, load: &dyn Fn(u64) -> u64) -> u64 {
    load(n)
}

#[cached(ttl = 300, key = "n:{n}", skip(load), stale_while_revalidate = "1m")]
async fn unbounded<T, L: Fn(u64) -> u64>(n: &T, load: L) -> u64
where
    T: std::fmt::Display + Into<u64>,
{
    load((*n).into())
}

#[cached(ttl = 300, key = "n:{m}", skip(n), stale_while_revalidate = "1m")]
async fn in_a_pattern((NotClone(m), n): (NotClone, &mut u64)) -> u64 {
    m + *n
}

impl NotClone {
    #[cached(ttl = 300, key = "n:{self.0}", stale_while_revalidate = "1m")]
    async fn receiver(&self) -> u64 {
        self.0
    }
}

trait Load {
    #[cached(ttl = 300, key = "n:{n}", skip(self), stale_while_revalidate = "1m")]
    async fn load(&self, n: u64) -> u64 {
        let _ = self;
        n
    }
}

fn main() {}
