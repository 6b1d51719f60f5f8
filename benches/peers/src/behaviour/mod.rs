//! What happens when it matters, run live for everybody: stampedes, races, deploys and outages.
//!
//! Each scenario runs in processes of its own (this program again, as a worker), so that a
//! contender that hangs or panics takes nobody with it.

mod calls;
mod deploy;
mod outage;
mod race;
mod report;
mod stampede;
mod subject;

use std::time::Duration;

use crate::origin::Failure;
use crate::worker::say;
use outage::{Absence, Outage};
use stampede::Stampede;

pub use report::{METHOD, section};
pub use subject::Subject;

/// A call that takes longer has no answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who takes part in what does not ask for many processes or an outage.
const ALONE: [Subject; 9] = [
    Subject::Annotated,
    Subject::Embedded,
    Subject::ByHand,
    Subject::Cached,
    Subject::CachedByKey,
    Subject::Hitbox,
    Subject::HitboxShared,
    Subject::Moka,
    Subject::Quick,
];

/// Who has an outage when Redis has one.
const ON_REDIS: [Subject; 7] = [
    Subject::Annotated,
    Subject::ByHand,
    Subject::ByHandCareful,
    Subject::Pooled,
    Subject::Cached,
    Subject::CachedManaged,
    Subject::Hitbox,
];

/// How long things are watched.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How long Redis is down or paused.
    pub outage: Duration,
    /// How long it is watched afterwards.
    pub after: Duration,
}

/// What was seen.
pub struct Seen {
    pub plan: Plan,
    pub stampedes: Vec<(Subject, [Option<Stampede>; 2])>,
    pub races: Vec<(Subject, String)>,
    pub deploys: Vec<(&'static str, [String; 3])>,
    pub kills: Vec<(Subject, Outage)>,
    pub pauses: Vec<(Subject, Outage)>,
    pub absences: Vec<(Subject, Absence)>,
}

/// Runs every scenario for everybody who can take part.
pub async fn observe(plan: Plan) -> Result<Seen, Failure> {
    let mut seen = Seen {
        plan,
        stampedes: Vec::new(),
        races: Vec::new(),
        deploys: Vec::new(),
        kills: Vec::new(),
        pauses: Vec::new(),
        absences: Vec::new(),
    };
    for subject in ALONE {
        eprintln!("Stampede and race: {subject}");
        let in_one = stampede::observe(subject, 1).await?;
        let in_eight = match subject.is_shared() {
            true => Some(stampede::observe(subject, 8).await?),
            false => None,
        };
        seen.stampedes.push((subject, [Some(in_one), in_eight]));
        seen.races.push((subject, race::observe(subject).await?));
    }
    eprintln!("Deploys");
    seen.deploys = deploy::observe().await?;
    for subject in ON_REDIS {
        eprintln!("Redis killed, paused and absent: {subject}");
        seen.kills
            .push((subject, outage::kill(subject, plan).await?));
        seen.pauses
            .push((subject, outage::pause(subject, plan).await?));
        seen.absences
            .push((subject, outage::absent(subject).await?));
    }
    Ok(seen)
}

/// Plays a part, as a worker.
pub async fn play(part: &str, arguments: &[&str]) -> Result<(), Failure> {
    let subject = |word| Subject::from_word(word).ok_or_else(|| Failure::of("who is that?"));
    match (part, arguments) {
        ("stampede", [word, url, start]) => say(&stampede::play(subject(word)?, url, start).await?),
        ("race", [word, url]) => say(&race::play(subject(word)?, url).await?),
        ("deploy", [url]) => say(&deploy::play(url).await?),
        ("first", [word, url]) => say(&outage::play_first(subject(word)?, url).await),
        ("calls", [word, url]) => calls::play(subject(word)?, url).await,
        _ => Err(Failure(format!("there is no part {part} {arguments:?}"))),
    }
}
