//! A new version of an application reads what the old one has cached.

use cache_benches::RedisServer;
use deploy_after::{Read, Subject};

use crate::origin::Failure;
use crate::worker;

const NAMES: [&str; 5] = [
    "`#[cached]`, MessagePack (the default)",
    "`#[cached]`, Postcard",
    "by hand, MessagePack with names",
    "`cached`",
    "`hitbox`",
];

pub async fn observe() -> Result<Vec<(&'static str, [String; 3])>, Failure> {
    let server = RedisServer::start().map_err(Failure::of)?;
    let worker = worker::start("deploy", &[&server.url()])?;
    let rows: Option<Vec<[String; 3]>> = worker::answer(worker).await;
    let rows = rows.ok_or_else(|| Failure::of("the deploys were not answered"))?;
    Ok(NAMES.into_iter().zip(rows).collect())
}

pub async fn play(url: &str) -> Result<Vec<[String; 3]>, Failure> {
    use deploy_before::Subject as Before;
    let subjects = [
        (Before::Annotated, Subject::Annotated),
        (Before::AnnotatedPostcard, Subject::AnnotatedPostcard),
        (Before::ByHand, Subject::ByHand),
        (Before::Cached, Subject::Cached),
        (Before::Hitbox, Subject::Hitbox),
    ];
    let mut rows = Vec::new();
    for (before, after) in subjects {
        let stored = deploy_before::read(before, url, 2).await.map_err(Failure)?;
        let read = deploy_after::read(after, url, 1).await.map_err(Failure)?;
        let mut row = read.map(verdict);
        for (cell, stored) in row.iter_mut().zip(stored) {
            if stored != deploy_before::Read::Right {
                *cell = format!("was not cached: {stored:?}");
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

fn verdict(read: Read) -> String {
    match read {
        Read::Loaded => "miss".to_owned(),
        Read::Right => "right value".to_owned(),
        Read::Wrong(value) => format!("**wrong**: `{value}`"),
        Read::Failed(_) => "error".to_owned(),
    }
}
