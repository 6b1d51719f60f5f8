//! How many commands Redis has carried out.

use redis::aio::MultiplexedConnection;

use crate::origin::Failure;

pub struct Commands(MultiplexedConnection);

impl Commands {
    pub async fn open(url: &str) -> Result<Self, Failure> {
        let client = redis::Client::open(url).map_err(Failure::of)?;
        let connection = client.get_multiplexed_async_connection().await;
        connection.map(Self).map_err(Failure::of)
    }

    /// Begins to count from zero.
    pub async fn reset(&self) -> Result<(), Failure> {
        let mut command = redis::cmd("CONFIG");
        let reset = command.arg("RESETSTAT");
        reset
            .query_async(&mut self.0.clone())
            .await
            .map_err(Failure::of)
    }

    /// Commands since then, but for the ones that count.
    pub async fn count(&self) -> Result<f64, Failure> {
        let mut command = redis::cmd("INFO");
        let asked = command.arg("commandstats");
        let info: String = asked
            .query_async(&mut self.0.clone())
            .await
            .map_err(Failure::of)?;
        Ok(info
            .lines()
            .filter_map(calls)
            .fold(0.0, |sum, calls| sum + calls))
    }
}

/// `cmdstat_get:calls=21,usec=175,…`
fn calls(line: &str) -> Option<f64> {
    let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
    if name.starts_with("config") || name == "info" {
        return None;
    }
    rest.split(',').next()?.parse().ok()
}
