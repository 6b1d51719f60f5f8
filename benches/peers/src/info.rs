//! [`Info`]: what the server says of itself.

use redis::aio::MultiplexedConnection;

use crate::contenders::by_hand;
use crate::origin::Failure;

pub struct Info(MultiplexedConnection);

impl Info {
    pub async fn open(url: &str) -> Result<Self, Failure> {
        by_hand::connect(url).await.map(Self)
    }

    /// Begins to count commands from zero.
    pub async fn reset(&self) -> Result<(), Failure> {
        let mut command = redis::cmd("CONFIG");
        let reset = command.arg("RESETSTAT");
        reset
            .query_async(&mut self.0.clone())
            .await
            .map_err(Failure::of)
    }

    /// Commands since then, but for the ones that count.
    pub async fn commands(&self) -> Result<f64, Failure> {
        let section = self.section("commandstats").await?;
        let calls = section.lines().filter_map(calls);
        Ok(calls.fold(0.0, |sum, calls| sum + calls))
    }

    /// Seconds that the server has computed, in user and in system mode.
    pub async fn computed(&self) -> Result<f64, Failure> {
        let section = self.section("cpu").await?;
        Ok(number(&section, "used_cpu_user:")? + number(&section, "used_cpu_sys:")?)
    }

    /// Connections that are told of every change of keys that begin alike.
    pub async fn told(&self) -> Result<usize, Failure> {
        let mut command = redis::cmd("CLIENT");
        let list = command.arg("LIST");
        let list: String = list
            .query_async(&mut self.0.clone())
            .await
            .map_err(Failure::of)?;
        let words = list.split_whitespace();
        let flags = words.filter_map(|word| word.strip_prefix("flags="));
        Ok(flags.filter(|flags| flags.contains('B')).count())
    }

    /// How many of these commands it has carried out.
    pub async fn calls(&self, command: &str) -> Result<u64, Failure> {
        let section = self.section("commandstats").await?;
        let calls = number(&section, &format!("cmdstat_{command}:calls="));
        // What was never called is not listed.
        Ok(calls.unwrap_or(0.0) as u64)
    }

    async fn section(&self, name: &str) -> Result<String, Failure> {
        let mut command = redis::cmd("INFO");
        let asked = command.arg(name);
        asked
            .query_async(&mut self.0.clone())
            .await
            .map_err(Failure::of)
    }
}

/// What stands behind `name`, up to the end of the line or a comma.
fn number(section: &str, name: &str) -> Result<f64, Failure> {
    let text = section.lines().find_map(|line| line.strip_prefix(name));
    let text = text.and_then(|text| text.split(',').next());
    let text = text.ok_or_else(|| Failure(format!("the server does not say `{name}`")))?;
    text.trim().parse().map_err(Failure::of)
}

/// `cmdstat_get:calls=21,usec=175,…`
fn calls(line: &str) -> Option<f64> {
    let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
    if name.starts_with("config") || name == "info" {
        return None;
    }
    rest.split(',').next()?.parse().ok()
}
