use cache_runtime::{cached, updates};

#[cached(ttl = 300, key = "user:{id}")]
async fn user_name(id: u64) -> Result<String, std::io::Error> {
    Ok(id.to_string())
}

#[updates(user_name(id))]
async fn whole(id: u64) -> Result<(String, bool), std::io::Error> {
    Ok((id.to_string(), true))
}

#[updates(user_name(id) = &ret.1)]
async fn part(id: u64) -> Result<(String, bool), std::io::Error> {
    Ok((id.to_string(), true))
}

fn main() {}
