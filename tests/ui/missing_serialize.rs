use cache_runtime::cached;

struct User {
    id: u64,
}

type Found = Result<User, std::io::Error>;

#[cached(ttl = 300, key = "user:{id}")]
async fn get_user(id: u64) -> Result<User, std::io::Error> {
    Ok(User { id })
}

#[cached(ttl = 300, key = "found:{id}")]
async fn aliased(id: u64) -> Found {
    Ok(User { id })
}

#[cached(ttl = 300, key = "users:{id}", none_ttl = 5)]
async fn list(id: u64) -> Option<Vec<User>> {
    Some(vec![User { id }])
}

fn main() {}
