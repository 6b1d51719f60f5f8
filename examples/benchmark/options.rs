//! What the command line asks for.

use std::time::Duration;

use cache_runtime::{Cache, ConfigError};

const USAGE: &str = "\
Usage: cargo run --release --example benchmark [-- options]

  --url URL       the cache, such as redis://127.0.0.1; otherwise CACHE_URL, otherwise the store
                  inside this process
  --callers LIST  how many call at the same time, such as 1,64 (the default)
  --seconds S     how long each is measured, 3 by default";

pub struct Options {
    pub url: Option<String>,
    /// Numbers of callers at the same time.
    pub callers: Vec<usize>,
    /// How long each of them is measured, with the cache and without.
    pub length: Duration,
}

impl Options {
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let url = std::env::var("CACHE_URL").ok();
        let mut options = Self {
            url: url.filter(|url| !url.is_empty()),
            callers: vec![1, 64],
            length: Duration::from_secs(3),
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            let understood = match name.as_str() {
                "--url" => {
                    options.url = Some(value);
                    true
                }
                "--callers" => numbers(&value)
                    .map(|callers| options.callers = callers)
                    .is_some(),
                "--seconds" => length(&value)
                    .map(|length| options.length = length)
                    .is_some(),
                _ => false,
            };
            if !understood {
                return Err(USAGE.to_owned());
            }
        }
        Ok(options)
    }

    pub async fn cache(&self) -> Result<Cache, ConfigError> {
        match &self.url {
            Some(url) => {
                let cache = Cache::builder().url(url).namespace("benchmark");
                cache.build().await
            }
            None => Ok(Cache::memory()),
        }
    }
}

/// `1,64`
fn numbers(list: &str) -> Option<Vec<usize>> {
    let numbers = list.split(',').map(|number| number.trim().parse().ok());
    numbers
        .map(|number| number.filter(|number| *number > 0))
        .collect()
}

fn length(seconds: &str) -> Option<Duration> {
    let length = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
    (!length.is_zero()).then_some(length)
}
