use cache_runtime::cached;

struct Filter {
    page: u64,
}

#[cached(ttl = 300, key = "list:{filter}")]
async fn not_display(filter: Filter) -> u64 {
    filter.page
}

#[cached(ttl = 300, key = "list:{filter.size}")]
async fn no_such_field(filter: Filter) -> u64 {
    filter.page
}

fn main() {}
