//! What befalls the connection on which a process is told of changes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::NEAR_LAG;
use crate::proxy::{Mode, Proxy};
use crate::random::Random;

/// What is sent on the connection that is for telling, and on no other.
pub const TRACKING: &str = "\r\nBCAST\r\n";

/// The way of one process to its Redis: that connection is killed, paused, slowed down and blackholed
/// at random, again and again, and all others are left alone.
#[derive(Debug)]
pub struct Trouble {
    proxy: Arc<Proxy>,
    task: JoinHandle<()>,
    troubles: Arc<Troubles>,
}

/// How many times what befell it.
#[derive(Debug, Default)]
struct Troubles {
    killed: AtomicUsize,
    refused: AtomicUsize,
    paused: AtomicUsize,
    slowed: AtomicUsize,
    blackholed: AtomicUsize,
}

impl Trouble {
    /// Begins on the way to a port of this machine.
    ///
    /// # Panics
    ///
    /// If there is no port for it.
    #[must_use]
    pub fn start(target: u16, seed: u64, process: usize) -> Self {
        let proxy = Arc::new(Proxy::start_against(target, TRACKING));
        let troubles = Arc::new(Troubles::default());
        let random = Random::new(seed, (1 << 33) + process as u64);
        let task = tokio::spawn(trouble(proxy.clone(), troubles.clone(), random));
        Self {
            proxy,
            task,
            troubles,
        }
    }

    /// Where the process finds its Redis.
    #[must_use]
    pub fn url(&self) -> String {
        self.proxy.url()
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn trouble(proxy: Arc<Proxy>, troubles: Arc<Troubles>, mut random: Random) {
    const BOUND: u64 = NEAR_LAG.as_millis() as u64;
    loop {
        // So that some troubles end within the bound and some do not, and copies are made between.
        let mut a_while = || Duration::from_millis(random.below(3 * BOUND));
        sleep(a_while()).await;
        let lasts = a_while();
        let befalls = match random.below(5) {
            0 => {
                proxy.cut();
                &troubles.killed
            }
            1 => {
                proxy.set(Mode::Refuse);
                sleep(lasts).await;
                &troubles.refused
            }
            2 => {
                proxy.set(Mode::Hang);
                sleep(lasts).await;
                if random.permille(250) {
                    // What was held back is lost.
                    proxy.cut();
                }
                &troubles.paused
            }
            3 => {
                // A sign of life takes up to the whole bound.
                proxy.set(Mode::Dawdle(Duration::from_millis(random.below(BOUND / 2))));
                sleep(lasts).await;
                if random.permille(500) {
                    // The last one has come, but not what was told after it.
                    proxy.strand();
                }
                &troubles.slowed
            }
            _ => {
                proxy.strand();
                &troubles.blackholed
            }
        };
        proxy.set(Mode::Forward);
        befalls.fetch_add(1, Relaxed);
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Troubles {
            killed,
            refused,
            paused,
            slowed,
            blackholed,
        } = &*self.troubles;
        let [killed, refused, paused, slowed, blackholed] =
            [killed, refused, paused, slowed, blackholed].map(|times| times.load(Relaxed));
        write!(
            f,
            "what tells of changes was killed {killed} times, killed and refused {refused}, paused \
             {paused}, slowed down {slowed}, blackholed {blackholed}"
        )
    }
}
