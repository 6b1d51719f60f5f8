use cache_runtime::cached;

#[cached(ttl = 300, key = "path:{folder}-{file}")]
async fn read(folder: &str, file: &str) -> String {
    format!("{folder}/{file}")
}

fn main() {}
