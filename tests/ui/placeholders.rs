use cache_runtime::cached;

#[cached(ttl = 300, key = "order:{order}")]
async fn unknown(customer: u64, page: u32) -> u64 {
    customer + u64::from(page)
}

#[cached(ttl = 300, key = "order:{}")]
async fn unnamed(id: u64) -> u64 {
    id
}

#[cached(ttl = 300, key = "order:{id")]
async fn unclosed(id: u64) -> u64 {
    id
}

#[cached(ttl = 300, key = "order:{id.to_string()}")]
async fn an_expression(id: u64) -> u64 {
    id
}

fn main() {}
