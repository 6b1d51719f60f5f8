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

/// The way of one process to its Redis: that connection is killed, paused and blackholed at random,
/// again and again, and all others are left alone.
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
    paused: AtomicUsize,
    blackholed: AtomicUsize,
    refused: AtomicUsize,
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

    /// Whether everything has befallen it that can.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let Troubles {
            killed,
            paused,
            blackholed,
            refused,
        } = &*self.troubles;
        let all = [killed, paused, blackholed, refused];
        all.iter().all(|times| times.load(Relaxed) > 0)
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn trouble(proxy: Arc<Proxy>, troubles: Arc<Troubles>, mut random: Random) {
    /// So that some troubles end within the bound and some do not.
    const LONGEST: u64 = 3 * NEAR_LAG.as_millis() as u64;
    loop {
        let mut a_while = || Duration::from_millis(random.below(LONGEST));
        // Most of the time it is long enough for copies to be made again.
        sleep(a_while()).await;
        let lasts = a_while();
        let befalls = match random.below(4) {
            0 => {
                proxy.cut();
                &troubles.killed
            }
            1 => {
                proxy.strand();
                &troubles.blackholed
            }
            2 => {
                proxy.set(Mode::Hang);
                sleep(lasts).await;
                // Some pauses end with what they have held back lost.
                if random.below(4) == 0 {
                    proxy.cut();
                }
                proxy.set(Mode::Forward);
                &troubles.paused
            }
            _ => {
                proxy.set(Mode::Refuse);
                sleep(lasts).await;
                proxy.set(Mode::Forward);
                &troubles.refused
            }
        };
        befalls.fetch_add(1, Relaxed);
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Troubles {
            killed,
            paused,
            blackholed,
            refused,
        } = &*self.troubles;
        let [killed, paused, blackholed, refused] =
            [killed, paused, blackholed, refused].map(|times| times.load(Relaxed));
        write!(
            f,
            "not told of changes for a while, its connection being killed {killed} times, killed and \
             refused {refused} times, paused {paused} times, blackholed {blackholed} times"
        )
    }
}
