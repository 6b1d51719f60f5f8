//! What a hit costs: `cargo bench -p cache-benches`.
//!
//! On the embedded store against the bare function, on Redis against a GET and decoding by hand.

use std::error::Error;
use std::time::Duration;

use cache_benches::{Contender, Plan, Rates, RedisServer};
use cache_runtime::{Cache, Outcome, cached, outcome};
use redis::AsyncCommands as _;
use serde::{Deserialize, Serialize};

/// About 256 bytes when encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
    email: String,
    about: String,
}

async fn plain_user(id: u64) -> User {
    User {
        id,
        name: "Ada Lovelace".to_owned(),
        email: "ada@example.org".to_owned(),
        about: "x".repeat(180),
    }
}

#[cached(ttl = 3600, key = "user:{id}", skip(cache), cache = cache)]
async fn cached_user(cache: &Cache, id: u64) -> User {
    plain_user(id).await
}

fn main() -> Result<(), Box<dyn Error>> {
    let plan = Plan {
        callers: vec![1, 64],
        rounds: 5,
        length: Duration::from_millis(200),
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let size = rmp_serde::to_vec_named(&runtime.block_on(plain_user(42)))?.len();
    println!(
        "Hits on a value of {size} bytes: calls per second, and the ratio to the first line;\n\
         median of {} rounds in turns.\n",
        plan.rounds
    );
    println!("{}\n", runtime.block_on(embedded(&plan))?);
    match RedisServer::start() {
        Ok(server) => println!("{}", runtime.block_on(on_redis(&plan, &server.url()))?),
        Err(error) => println!("Without Redis, since redis-server cannot be started: {error}"),
    }
    Ok(())
}

async fn embedded(plan: &Plan) -> Result<Rates, Box<dyn Error>> {
    let cache = Cache::memory();
    warm(&cache).await?;
    let contenders = [
        Contender::new("plain function", || plain_user(42)),
        Contender::new("#[cached], embedded store", move || {
            let cache = cache.clone();
            async move { cached_user(&cache, 42).await }
        }),
    ];
    Ok(Rates::measure(plan, &contenders).await)
}

async fn on_redis(plan: &Plan, url: &str) -> Result<Rates, Box<dyn Error>> {
    let cache = Cache::builder().url(url).namespace("bench").build().await?;
    warm(&cache).await?;
    let mut connection = redis::Client::open(url)?
        .get_multiplexed_async_connection()
        .await?;
    let encoded = rmp_serde::to_vec_named(&plain_user(42).await)?;
    let () = connection.set("by-hand:user:42", encoded).await?;
    let contenders = [
        Contender::new("GET by hand, decoded", move || {
            let mut connection = connection.clone();
            async move {
                let bytes: Vec<u8> = connection.get("by-hand:user:42").await?;
                let user: User = rmp_serde::from_slice(&bytes)?;
                Ok::<_, Box<dyn Error + Send + Sync>>(user)
            }
        }),
        Contender::new("#[cached], Redis", move || {
            let cache = cache.clone();
            async move { cached_user(&cache, 42).await }
        }),
    ];
    Ok(Rates::measure(plan, &contenders).await)
}

/// Fills the entry and makes sure that what is measured is hits.
async fn warm(cache: &Cache) -> Result<(), Box<dyn Error>> {
    cached_user(cache, 42).await;
    match outcome(cached_user(cache, 42)).await {
        (user, Outcome::Hit) if user == plain_user(42).await => Ok(()),
        (_, other) => Err(format!("not a hit but: {other}").into()),
    }
}
