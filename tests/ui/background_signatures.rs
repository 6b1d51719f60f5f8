use cache_runtime::cached;

#[cached(ttl = 300, key = "n:{n}", stale_while_revalidate = "1m")]
async fn mutable(n: &mut u64) -> u64 {
    *n
}

#[cached(ttl = 300, key = "n:{n}", stale_while_revalidate = "1m")]
async fn mutable_in_a_pattern((ref mut n, _): (u64, u64)) -> u64 {
    *n
}

#[cached(ttl = 300, key = "n:{n}", stale_while_revalidate = "1m")]
async fn borrowed_error(n: &str) -> Result<u64, &str> {
    Err(n)
}

#[cached(ttl = 300, key = "n:{n}", stale_while_revalidate = "1m")]
async fn named_lifetime<'a>(n: &'a str) -> Result<u64, std::borrow::Cow<'a, str>> {
    Err(n.into())
}

#[derive(Debug)]
struct Shop {
    n: u64,
}

impl Shop {
    #[cached(ttl = 300, key = "n:{self.n}", stale_while_revalidate = "1m")]
    async fn receiver(&mut self) -> u64 {
        self.n
    }

    #[cached(ttl = 300, key = "n:{self.n}", stale_while_revalidate = "1m")]
    async fn typed_receiver(self: &mut Self) -> u64 {
        self.n
    }

    #[cached(ttl = 300, key = "n:{self.n}", stale_while_revalidate = "1m")]
    async fn text(&self) -> Result<u64, String> {
        Err(format!("{self:?} {{self}}"))
    }
}

fn main() {}
