use cache_runtime::cached;

#[cached(ttl = 300, key = "name:{id}", skip(names))]
async fn reference<'a>(names: &'a [String], id: usize) -> &'a str {
    &names[id]
}

#[cached(ttl = 300)]
async fn nested(id: u64) -> Result<Option<&'static str>, std::io::Error> {
    Ok((id > 0).then_some("more"))
}

#[cached(ttl = 300)]
async fn parameter<T: Default>() -> T {
    T::default()
}

#[cached(ttl = 300)]
async fn opaque(n: u64) -> impl Iterator<Item = u64> {
    0..n
}

#[cached(ttl = 300)]
async fn nothing(n: u64) {
    let _ = n;
}

fn main() {}
