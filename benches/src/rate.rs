//! How many calls a second a contender makes, measured in turns with the others.

use std::fmt;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// Something that can be called over and over by many tasks at once.
pub struct Contender {
    name: &'static str,
    round: Box<dyn Fn(usize, Duration) -> Round>,
}

type Round = Pin<Box<dyn Future<Output = f64>>>;

impl Contender {
    /// Each call is one run of a future that `call` makes.
    pub fn new<F>(name: &'static str, call: impl Fn() -> F + Clone + Send + 'static) -> Self
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let round =
            move |callers, length| -> Round { Box::pin(rate(callers, length, call.clone())) };
        Self {
            name,
            round: Box::new(round),
        }
    }
}

impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Contender").field(&self.name).finish()
    }
}

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Numbers of tasks that call at the same time.
    pub callers: Vec<usize>,
    /// How often each contender has its turn.
    pub rounds: usize,
    /// How long a turn is.
    pub length: Duration,
}

/// Calls per second of contenders, the first of which is what the others are compared with.
#[derive(Debug, Clone)]
pub struct Rates {
    callers: Vec<usize>,
    rows: Vec<(&'static str, Vec<f64>)>,
}

impl Rates {
    /// Measures all contenders in turns, after one round that warms them up.
    pub async fn measure(plan: &Plan, contenders: &[Contender]) -> Self {
        let mut rows: Vec<_> = contenders
            .iter()
            .map(|contender| (contender.name, Vec::new()))
            .collect();
        for &callers in &plan.callers {
            let mut rounds = vec![Vec::new(); contenders.len()];
            for number in 0..=plan.rounds {
                for (contender, rates) in contenders.iter().zip(&mut rounds) {
                    let rate = (contender.round)(callers, plan.length).await;
                    if number > 0 {
                        rates.push(rate);
                    }
                }
            }
            for ((_, medians), rates) in rows.iter_mut().zip(rounds) {
                medians.push(median(rates));
            }
        }
        Self {
            callers: plan.callers.clone(),
            rows,
        }
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<28}", "")?;
        for callers in &self.callers {
            write!(
                f,
                "{:>24}",
                format!("{callers} caller{}", if *callers == 1 { "" } else { "s" })
            )?;
        }
        let baseline = self.rows.first().map_or(&[][..], |(_, rates)| rates);
        for (name, rates) in &self.rows {
            write!(f, "\n{name:<28}")?;
            for (rate, baseline) in rates.iter().zip(baseline) {
                write!(
                    f,
                    "{:>15}{:>9.3}",
                    format!("{:.0}/s", rate),
                    rate / baseline
                )?;
            }
        }
        Ok(())
    }
}

async fn rate<F>(
    callers: usize,
    length: Duration,
    call: impl Fn() -> F + Clone + Send + 'static,
) -> f64
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let start = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let call = call.clone();
            tokio::spawn(async move {
                let mut calls = 0u32;
                while start.elapsed() < length {
                    // The clock is not what is measured.
                    for _ in 0..16 {
                        std::hint::black_box(call().await);
                    }
                    calls += 16;
                }
                calls
            })
        })
        .collect();
    let mut calls = 0.0;
    for caller in callers {
        calls += caller.await.map_or(f64::NAN, f64::from);
    }
    calls / start.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
}
