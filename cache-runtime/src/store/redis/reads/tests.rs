use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};

use super::{
    super::{
        super::Found,
        answers::Answer,
        desk::{
            ENOUGH, ENOUGH_BESIDE, ENOUGH_OF_FEW, MOST_BYTES, MOST_KEYS, OVERDUE, PATIENCE, SEVERAL,
        },
        link::{
            FEW, MOST_CROWD, MOST_UNDER_WAY, MOST_UNDER_WAY_AFAR, MOST_UNDER_WAY_OF_MANY, NEAR,
        },
        ticket::reply,
        woken::Woken,
    },
    *,
};

const LINK: u64 = 7;
const LONG: Duration = Duration::from_secs(1);

fn key(text: &str) -> Key {
    Key::raw("reads", text)
}

/// A time that begins now.
fn lasting(limit: Duration) -> Range<Instant> {
    let now = Instant::now();
    now..now + limit
}

/// A desk with a connection, and what is written to it.
fn desk() -> (Reads, DuplexStream) {
    let reads = Reads::default();
    let server = attach(&reads, LINK, 1 << 20);
    (reads, server)
}

/// A connection that takes so many bytes at once, and what is written to it.
fn attach(reads: &Reads, number: u64, bytes: usize) -> DuplexStream {
    let (client, server) = duplex(bytes);
    let runtime = runtime::Handle::current().id();
    reads.attach(number, runtime, Pen::new(Box::new(client)));
    server
}

/// Joins, and may have to write.
fn come<'a>(reads: &'a Reads, text: &str, limit: Duration) -> (Ticket, Option<Held<'a>>) {
    let joined = reads.join(&key(text), &[], &lasting(limit));
    joined.expect("a connection")
}

/// Joins and lets the pen, if it gets one, lie where it is.
fn join(reads: &Reads, text: &str, limit: Duration) -> Ticket {
    come(reads, text, limit).0
}

/// What there is to write once others have had the opportunity to join.
fn due(reads: &Reads) -> Turn<'_> {
    reads.desk.lock().open.turns += 1;
    reads.turn(LINK, Moment::Idle)
}

fn write(turn: Turn<'_>) {
    let Turn::Write(mut held) = turn else {
        panic!("there is something to write, not {turn:?}");
    };
    let mut context = Context::from_waker(Waker::noop());
    assert!(held.write(&mut context).is_ready());
}

async fn written(server: &mut DuplexStream) -> String {
    let mut bytes = vec![0; 1 << 16];
    let length = server.read(&mut bytes).await.expect("something written");
    String::from_utf8(bytes[..length].to_vec()).expect("text")
}

fn answer(batch: Batch, value: &'static str) {
    let found = Found::new(Some(value.into()), [], None);
    let answers = batch
        .reads
        .into_iter()
        .filter_map(|read| read.answer(Ok(found.clone())));
    answers.for_each(Answer::deliver);
}

/// So many callers have been answered, and may all ask again.
async fn crowd(reads: &Reads, server: &mut DuplexStream, callers: usize) {
    crowd_afar(reads, server, callers, Duration::ZERO).await;
}

/// The same where a reply takes so long.
async fn crowd_afar(reads: &Reads, server: &mut DuplexStream, callers: usize, way: Duration) {
    let texts = (0..callers).map(|number| number.to_string());
    let _tickets: Vec<_> = texts.map(|text| join(reads, &text, LONG)).collect();
    write(due(reads));
    let _ = written(server).await;
    if !way.is_zero() {
        tokio::time::advance(way).await;
    }
    while let Some(batch) = reads.next(LINK) {
        answer(batch, "value");
    }
}

fn failure() -> Failure {
    use crate::error::{StoreError, StoreErrorKind};
    StoreError::new(StoreErrorKind::Timeout, "late").into()
}

#[tokio::test]
async fn nobody_joins_where_there_is_no_connection() {
    let none = Reads::default();
    assert!(none.join(&key("a"), &[], &lasting(LONG)).is_none());
    let (reads, _server) = desk();
    let (mut sent, mut open) = (join(&reads, "a", LONG), join(&reads, "b", LONG));
    reads.detach(LINK + 1, &failure());
    assert!(reply(&mut sent).is_none(), "another connection");
    assert!(reads.is_awaited(LINK));
    reads.detach(LINK, &failure());
    assert!(reply(&mut sent).expect("an end").is_err());
    assert!(reply(&mut open).expect("an end").is_err());
    assert!(reads.join(&key("a"), &[], &lasting(LONG)).is_none());
    assert!(matches!(due(&reads), Turn::Nothing));
}

/// If it is refused, that says nothing of others.
#[tokio::test]
async fn who_joins_alone_shares_no_command() {
    let (reads, mut server) = desk();
    let _others = ["a", "b", "c"].map(|text| join(&reads, text, LONG));
    let (mut alone, held) = reads
        .join_alone(&key("alone"), &lasting(LONG))
        .expect("a connection");
    drop(held);
    let _more = ["d", "e"].map(|text| join(&reads, text, LONG));
    write(due(&reads));
    let text = written(&mut server).await;
    let commands: Vec<_> = text
        .split('*')
        .filter(|text| text.contains("alone"))
        .collect();
    assert_eq!(commands, ["2\r\n$3\r\nGET\r\n$11\r\nreads:alone\r\n"]);
    while reply(&mut alone).is_none() {
        answer(reads.next(LINK).expect("its batch"), "value");
    }
}

/// Whoever comes next on its thread has to have the driver woken again.
#[tokio::test]
async fn who_joins_alone_calls_for_nobody_else() {
    let (reads, _server) = desk();
    let (_first, held) = come(&reads, "a", LONG);
    assert!(matches!(due(&reads), Turn::Nothing), "somebody writes");
    let (_alone, none) = reads
        .join_alone(&key("alone"), &lasting(LONG))
        .expect("a connection");
    assert!(held.is_some() && none.is_none());
    assert!(reads.desk.lock().open.called.is_none());
}

/// As where a connection's runtime is not driven any more, so that nobody says that it has gone.
#[tokio::test]
async fn a_connection_does_not_inherit_the_reads_of_the_one_before() {
    const NEXT: u64 = LINK + 1;
    let (reads, _server) = desk();
    let mut old = ["a", "b", "c"].map(|text| join(&reads, text, LONG));
    let _next_server = attach(&reads, NEXT, 1 << 20);
    for ticket in &mut old {
        let failure = reply(ticket).expect("an end").expect_err("no reply");
        assert!(failure.again);
    }
    let mut new = join(&reads, "d", LONG);
    assert!(reads.next(LINK).is_none());
    answer(reads.next(NEXT).expect("a batch"), "of d");
    let found = reply(&mut new).expect("a reply").expect("a value");
    assert_eq!(found.envelope, Some("of d".into()));
    assert!(reads.next(NEXT).is_none());
    let _late_server = attach(&reads, LINK, 1 << 20);
    assert!(!reads.is_attached(LINK), "it was made before the other");
    assert!(reads.is_attached(NEXT));
}

#[tokio::test]
async fn a_driver_hears_of_the_end_of_its_connection() {
    for replaced in [false, true] {
        let (reads, _server) = desk();
        let woken = Arc::new(Woken::default());
        reads.attend(LINK, &Waker::from(woken.clone()));
        // Partly received.
        let _waits = join(&reads, "a", LONG);
        let batch = reads.next(LINK);
        assert!(reads.arm(LINK, batch.as_ref()).is_ok());
        if replaced {
            attach(&reads, LINK + 1, 1);
        } else {
            reads.detach(LINK, &failure());
        }
        assert_eq!(woken.0.load(Relaxed), 1);
        let end = reads.arm(LINK, batch.as_ref()).expect_err("it ends");
        assert!(end.again);
    }
}

#[tokio::test]
async fn who_has_nobody_beside_it_writes_by_itself_and_those_who_follow_share() {
    let (reads, mut server) = desk();
    let (_alone, held) = come(&reads, "a", LONG);
    let beside = come(&reads, "b", LONG);
    assert!(beside.1.is_none(), "somebody writes");
    write(Turn::Write(held.expect("the pen")));
    assert_eq!(
        written(&mut server).await,
        "*2\r\n$3\r\nGET\r\n$7\r\nreads:a\r\n"
    );
    assert!(matches!(reads.turn(LINK, Moment::Busy), Turn::Later));
    let _third = join(&reads, "c", LONG);
    write(due(&reads));
    assert_eq!(
        written(&mut server).await,
        "*3\r\n$4\r\nMGET\r\n$7\r\nreads:b\r\n$7\r\nreads:c\r\n"
    );
    assert!(matches!(due(&reads), Turn::Nothing));
}

#[tokio::test]
async fn where_many_are_refused_each_key_has_its_command() {
    let (reads, mut server) = desk();
    let _tickets = ["a", "b"].map(|text| join(&reads, text, LONG));
    write(due(&reads));
    let _ = written(&mut server).await;
    let _together = join(&reads, "c", LONG);
    reads.part(LINK);
    let _apart = ["d", "e"].map(|text| join(&reads, text, LONG));
    write(due(&reads));
    let get = |text| format!("*2\r\n$3\r\nGET\r\n$7\r\nreads:{text}\r\n");
    let gets = ["c", "d", "e"].map(get).concat();
    assert_eq!(written(&mut server).await, gets);
    let forms = reads
        .desk
        .lock()
        .sent
        .iter()
        .map(|batch| batch.apart)
        .collect::<Vec<_>>();
    assert_eq!(forms, [false, false, false, true], "one is settled before");
}

#[tokio::test(start_paused = true)]
async fn a_company_that_is_late_counts_as_one() {
    let (reads, _server) = desk();
    let company = reads.company();
    let mut tickets = ["a", "b", "c"].map(|text| join(&reads, text, LONG));
    drop(company);
    let _alone = join(&reads, "d", LONG);
    tokio::time::advance(LONG).await;
    assert_eq!(reads.expire(LINK, None, Instant::now(), &failure()), 2);
    assert!(reply(&mut tickets[2]).expect("an end").is_err());

    let company = reads.company();
    let dropped = ["a", "b", "c"].map(|text| join(&reads, text, LONG));
    drop(company);
    assert_eq!(dropped.map(|ticket| ticket.counts()), [true, false, false]);
}

#[tokio::test]
async fn a_company_leaves_when_it_is_complete_also_beside_another() {
    let (reads, mut server) = desk();
    let first = reads.company();
    let _tickets = ["a", "b"].map(|text| join(&reads, text, LONG));
    let second = reads.company();
    let _third = join(&reads, "c", LONG);
    assert!(matches!(due(&reads), Turn::Nothing));
    drop(first);
    let many = "*4\r\n$4\r\nMGET\r\n";
    assert!(written(&mut server).await.starts_with(many));
    let _fourth = join(&reads, "d", LONG);
    drop(second);
    assert!(written(&mut server).await.ends_with("reads:d\r\n"));
}

/// One after the other joins until one of them writes; with how many others.
async fn completed(reads: &Reads, server: &mut DuplexStream) -> usize {
    for number in 1..=MOST_CROWD {
        let (_, held) = come(reads, &number.to_string(), LONG);
        if let Some(held) = held {
            write(Turn::Write(held));
            let head = match number {
                1 => "*2\r\n$3\r\nGET\r\n".to_owned(),
                _ => format!("*{}\r\n$4\r\nMGET\r\n", number + 1),
            };
            let written = written(server).await;
            assert!(written.starts_with(&head), "{written}");
            return number;
        }
    }
    panic!("nobody writes");
}

#[tokio::test(start_paused = true)]
async fn with_nothing_under_way_who_completes_a_batch_of_many_writes_it() {
    for (callers, enough) in [(FEW + 1, ENOUGH), (8 * ENOUGH, 4 * ENOUGH)] {
        let (reads, mut server) = desk();
        // The first was answered alone.
        crowd(&reads, &mut server, callers + 1).await;
        assert_eq!(completed(&reads, &mut server).await, enough);
    }
}

#[tokio::test(start_paused = true)]
async fn who_completes_a_full_batch_writes_it_however_many_callers_there_are() {
    let (reads, mut server) = desk();
    crowd(&reads, &mut server, 8 * ENOUGH).await;
    let large = Batch {
        keys: 1,
        ..Batch::default()
    };
    reads.recycle(large, MOST_BYTES / ENOUGH);
    assert_eq!(completed(&reads, &mut server).await, ENOUGH);
}

#[tokio::test(start_paused = true)]
async fn who_finds_full_batches_writes_them_as_soon_as_they_may_leave() {
    let (reads, mut server) = desk();
    crowd(&reads, &mut server, 2 * FEW).await;
    let come = || come(&reads, "a", LONG).1;
    completed(&reads, &mut server).await;
    for _ in 1..MOST_UNDER_WAY {
        assert!(come().is_none());
        tokio::time::advance(PATIENCE).await;
        write(Turn::Write(come().expect("the pen")));
    }
    let _ = written(&mut server).await;
    assert!((0..=MOST_KEYS).all(|_| come().is_none()), "enough are");
    answer(reads.next(LINK).expect("a batch"), "value");
    write(Turn::Write(come().expect("the pen")));
    let head = format!("*{}\r\n$4\r\nMGET\r\n", 1 + MOST_KEYS);
    assert!(written(&mut server).await.starts_with(&head));
    assert_eq!(reads.desk.lock().open.keys, 2, "those who did not fit in");
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_that_leaves_is_one_of_those_under_way() {
    let (reads, mut server) = desk();
    crowd(&reads, &mut server, 2 * FEW).await;
    completed(&reads, &mut server).await;
    let _beside = join(&reads, "a", LONG);
    reads.part(LINK);
    let _open = join(&reads, "b", LONG);
    write(due(&reads));
    let desk = reads.desk.lock();
    assert_eq!(
        (desk.sent.len(), desk.open.keys),
        (MOST_UNDER_WAY_OF_MANY, 1)
    );
}

/// Where a worker has one task after the other, whoever wakes the driver there keeps it from the others as
/// long as it goes on itself.
#[test]
fn who_goes_on_keeps_the_driver_from_nobody() {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime");
    let woken = async |act: fn(&Reads)| {
        let reads = Reads::default();
        let _server = attach(&reads, LINK, 16);
        let woken = Arc::new(Woken::default());
        reads.attend(LINK, &Waker::from(woken.clone()));
        assert!(matches!(due(&reads), Turn::Nothing), "it sleeps");
        act(&reads);
        let at_once = woken.0.load(Relaxed);
        tokio::task::yield_now().await;
        (at_once, woken.0.load(Relaxed))
    };
    let acts: [fn(&Reads); 3] = [
        |reads| {
            drop(join(reads, "given up", LONG));
            reads.leave_early(Instant::now() + LONG);
        },
        |reads| {
            let (_, held) = come(reads, "longer than the connection takes at once", LONG);
            let mut held = held.expect("the pen");
            let mut context = Context::from_waker(Waker::noop());
            assert!(held.write(&mut context).is_pending());
        },
        |reads| {
            let _writes = come(reads, "alone", LONG);
            let company = reads.company();
            let _beside = join(reads, "beside", LONG);
            drop(company);
        },
    ];
    for act in acts {
        let seen = runtime.spawn(async move { woken(act).await });
        let seen = runtime.block_on(seen).expect("no panic");
        assert_eq!(seen, (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_late_while_its_own_batch_is_answered_is_one_of_too_many() {
    for (answered, counted) in [(0, 3), (1, 0)] {
        let (reads, _server) = desk();
        let _alone = join(&reads, "alone", LONG);
        let _tickets = ["a", "b", "c"].map(|text| join(&reads, text, LONG));
        write(due(&reads));
        let _first = reads.next(LINK);
        let mut batch = reads.next(LINK).expect("a batch");
        batch.reads.drain(..answered);
        tokio::time::advance(LONG).await;
        let late = reads.expire(LINK, Some(&mut batch), Instant::now(), &failure());
        assert_eq!(late, counted);
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_who_completes_a_large_batch_writes_it_also_beside_another() {
    for (callers, enough) in [
        (FEW + 1, ENOUGH_BESIDE),
        (4 * ENOUGH_BESIDE, 2 * ENOUGH_BESIDE),
    ] {
        let (reads, mut server) = desk();
        crowd(&reads, &mut server, callers + 1).await;
        completed(&reads, &mut server).await;
        assert_eq!(completed(&reads, &mut server).await, enough);
        for number in 0..=MOST_CROWD {
            let (_, held) = come(&reads, &number.to_string(), LONG);
            assert!(held.is_none(), "two are");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_few_who_completes_a_batch_writes_it_also_beside_others() {
    let (reads, mut server) = desk();
    crowd(&reads, &mut server, ENOUGH_OF_FEW + 1).await;
    for _ in 0..MOST_UNDER_WAY {
        assert_eq!(completed(&reads, &mut server).await, ENOUGH_OF_FEW);
    }
    for number in 0..=ENOUGH_OF_FEW {
        let (_, held) = come(&reads, &number.to_string(), LONG);
        assert!(held.is_none(), "enough are");
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_two_batches_are_under_way_and_more_if_the_next_has_waited() {
    let (reads, mut server) = desk();
    crowd(&reads, &mut server, 2 * FEW).await;
    let come = |number: usize| come(&reads, &number.to_string(), LONG);
    let mut tickets = Vec::new();
    for number in 0..MOST_UNDER_WAY_OF_MANY {
        tickets.push(come(number).0);
        write(due(&reads));
    }
    tickets.extend((0..2 * ENOUGH).map(|number| {
        let (ticket, held) = come(number);
        assert!(held.is_none(), "two are under way");
        ticket
    }));
    assert!(matches!(due(&reads), Turn::Nothing));
    for under_way in MOST_UNDER_WAY_OF_MANY..MOST_UNDER_WAY {
        tokio::time::advance(PATIENCE).await;
        let (ticket, held) = come(under_way);
        write(Turn::Write(held.expect("the pen")));
        tickets.extend([ticket, come(under_way).0]);
    }
    tokio::time::advance(PATIENCE).await;
    assert!(come(0).1.is_none(), "however long it has waited");
    answer(reads.next(LINK).expect("a batch"), "value");
    assert!(come(0).1.is_some());
}

/// How many batches leave until one has to wait for a reply.
fn under_way(reads: &Reads, tickets: &mut Vec<Ticket>) -> usize {
    let next = || {
        tickets.push(join(reads, "a", LONG));
        due(reads)
    };
    let turns = std::iter::repeat_with(next);
    turns
        .take_while(|turn| matches!(turn, Turn::Write(_)))
        .map(write)
        .count()
}

#[tokio::test(start_paused = true)]
async fn far_from_the_server_nobody_waits_for_company() {
    let (reads, mut server) = desk();
    let mut tickets = Vec::new();
    crowd_afar(&reads, &mut server, 2 * FEW, NEAR * 2).await;
    assert_eq!(under_way(&reads, &mut tickets), MOST_UNDER_WAY_AFAR);
    while let Some(batch) = reads.next(LINK) {
        answer(batch, "value");
    }
    crowd(&reads, &mut server, 2 * FEW).await;
    assert_eq!(under_way(&reads, &mut tickets), MOST_UNDER_WAY_OF_MANY);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_near_once_may_be_far() {
    let (reads, mut server) = desk();
    crowd(&reads, &mut server, 2 * FEW).await;
    let once = reads
        .desk
        .lock()
        .link(LINK)
        .expect("a link")
        .most_under_way();
    assert_eq!(once, MOST_UNDER_WAY_OF_MANY);
    for _ in 0..64 {
        crowd_afar(&reads, &mut server, 2 * FEW, NEAR * 2).await;
    }
    assert_eq!(under_way(&reads, &mut Vec::new()), MOST_UNDER_WAY_AFAR);
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_not_far() {
    let (reads, mut server) = desk();
    crowd(&reads, &mut server, 2 * FEW).await;
    let mut tickets = vec![join(&reads, "a", LONG)];
    write(due(&reads));
    for _ in 0..64 {
        tickets.push(join(&reads, "beside", LONG));
        write(due(&reads));
        tokio::time::advance(NEAR * 2).await;
        answer(reads.next(LINK).expect("a batch"), "value");
    }
    let way = reads.desk.lock().link(LINK).expect("a link").way;
    assert!(way.is_some_and(|way| way <= NEAR), "{way:?}");
}

#[tokio::test(start_paused = true)]
async fn of_many_who_waits_for_a_reply_leaves_with_it_or_is_given_up() {
    let (reads, mut server) = desk();
    crowd(&reads, &mut server, 2 * FEW).await;
    let mut tickets = Vec::new();
    assert_eq!(under_way(&reads, &mut tickets), MOST_UNDER_WAY_OF_MANY);
    let _ = written(&mut server).await;
    answer(reads.next(LINK).expect("a batch"), "value");
    assert!(matches!(reads.turn(LINK, Moment::Busy), Turn::Later));
    write(due(&reads));
    assert!(written(&mut server).await.ends_with("reads:a\r\n"));
    let mut last = join(&reads, "last", LONG);
    assert!(matches!(due(&reads), Turn::Nothing));
    tokio::time::advance(LONG).await;
    assert_eq!(reads.expire(LINK, None, Instant::now(), &failure()), 3);
    assert!(reply(&mut last).expect("an end").is_err());
}

#[tokio::test(start_paused = true)]
async fn all_who_leave_early_count_as_one_unless_somebody_is_answered() {
    let (reads, _server) = desk();
    let leave = |after| {
        drop(join(&reads, "a", LONG));
        reads.leave_early(Instant::now() + after);
    };
    let expire = || reads.expire(LINK, None, Instant::now(), &failure());
    let armed = || reads.arm(LINK, None).expect("a link");
    for _ in 0..2 {
        leave(LONG);
        leave(LONG / 2);
        leave(LONG * 2);
        assert_eq!(armed(), Some(Instant::now() + LONG), "the first's");
        tokio::time::advance(LONG).await;
        assert_eq!((expire(), expire()), (1, 0));
    }
    leave(LONG);
    let first = reads.next(LINK).expect("a batch");
    reads.recycle(first, 0);
    leave(LONG / 2);
    tokio::time::advance(LONG / 2).await;
    assert_eq!(expire(), 1, "since then nobody was answered");
    leave(LONG / 2);
    let answered = || {
        write(due(&reads));
        while let Some(batch) = reads.next(LINK) {
            reads.recycle(batch, 0);
        }
    };
    answered();
    tokio::time::advance(LONG).await;
    assert_eq!(expire(), 0);
    reads.leave_early(Instant::now() + LONG);
    tokio::time::advance(LONG).await;
    assert_eq!(expire(), 0, "its reply was being handed out");
}

#[tokio::test]
async fn a_batch_of_all_callers_is_complete_whatever_they_ask_for() {
    let (reads, mut server) = desk();
    // The last two replies are those of two of them.
    crowd(&reads, &mut server, 3).await;
    assert_eq!(completed(&reads, &mut server).await, 2);
    let tags = ["x", "y", "z"].map(key);
    let joined = reads.join(&key("tagged"), &tags, &lasting(LONG));
    assert!(
        joined.expect("a connection").1.is_none(),
        "one read of four keys"
    );
}

#[tokio::test]
async fn one_that_reads_many_keys_is_no_crowd() {
    let (reads, mut server) = desk();
    let company = reads.company();
    let _tickets = ["a", "b", "c"].map(|text| join(&reads, text, LONG));
    drop(company);
    let _ = written(&mut server).await;
    answer(reads.next(LINK).expect("a batch"), "value");
    assert_eq!(completed(&reads, &mut server).await, 1);
}

#[tokio::test]
async fn a_lone_caller_is_soon_alone_after_many() {
    let (reads, mut server) = desk();
    crowd(&reads, &mut server, 10 * MOST_CROWD).await;
    for _ in 0..10 {
        crowd(&reads, &mut server, 1).await;
    }
    assert_eq!(completed(&reads, &mut server).await, 1);
}

#[tokio::test(start_paused = true)]
async fn few_are_taken_for_few_soon_after_many() {
    let (reads, mut server) = desk();
    crowd(&reads, &mut server, 10 * MOST_CROWD).await;
    for _ in 0..24 {
        crowd(&reads, &mut server, ENOUGH_OF_FEW).await;
    }
    assert_eq!(completed(&reads, &mut server).await, ENOUGH_OF_FEW);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_the_driver_leaves_is_written_by_who_comes() {
    let (reads, mut server) = desk();
    crowd(&reads, &mut server, FEW).await;
    let _left = ["d", "e"].map(|text| join(&reads, text, LONG));
    tokio::time::advance(OVERDUE).await;
    let (_last, held) = come(&reads, "f", LONG);
    write(Turn::Write(held.expect("the pen")));
    assert!(
        written(&mut server)
            .await
            .starts_with("*4\r\n$4\r\nMGET\r\n")
    );
}

#[tokio::test]
async fn a_driver_that_cannot_write_sleeps_until_it_can() {
    let reads = Reads::default();
    let _server = attach(&reads, LINK, 16);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    reads.attend(LINK, &waker);
    let _alone = join(&reads, "longer than the connection takes at once", LONG);
    let Turn::Write(mut held) = due(&reads) else {
        panic!("it has been left by the one who joined");
    };
    assert!(held.write(&mut Context::from_waker(&waker)).is_pending());
    held.leave();
    assert_eq!(
        woken.0.swap(0, Relaxed),
        0,
        "it would be here again at once"
    );
    let company = reads.company();
    let _beside = join(&reads, "beside", LONG);
    drop(company);
    assert_eq!(woken.0.load(Relaxed), 1, "there is more");
}

#[tokio::test]
async fn what_a_caller_cannot_write_the_driver_does() {
    let reads = Reads::default();
    let mut server = attach(&reads, LINK, 16);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    reads.attend(LINK, &waker);
    assert!(matches!(due(&reads), Turn::Nothing));
    let (_alone, held) = come(&reads, "longer than the connection takes at once", LONG);
    let mut held = held.expect("the pen");
    let mut context = Context::from_waker(Waker::noop());
    assert!(held.write(&mut context).is_pending());
    drop(held);
    assert_eq!(woken.0.load(Relaxed), 1);
    let _ = written(&mut server).await;
    let Turn::Write(mut held) = reads.turn(LINK, Moment::Busy) else {
        panic!("there is a rest");
    };
    assert!(held.write(&mut Context::from_waker(&waker)).is_pending());
}

#[tokio::test(start_paused = true)]
async fn an_open_batch_stays_for_so_many_turns_whatever_comes() {
    let (reads, mut server) = desk();
    for (moment, turns) in [(Moment::Busy, 2), (Moment::Idle, 1)] {
        crowd(&reads, &mut server, 3).await;
        let _open = join(&reads, "a", LONG);
        for _ in 0..turns {
            assert!(matches!(reads.turn(LINK, moment), Turn::Soon));
        }
        write(reads.turn(LINK, moment));
        answer(reads.next(LINK).expect("a batch"), "value");
    }
}

#[tokio::test(start_paused = true)]
async fn the_driver_is_called_once_on_each_thread_for_each_batch() {
    let (reads, mut server) = desk();
    let woken = Arc::new(Woken::default());
    reads.attend(LINK, &Waker::from(woken.clone()));
    crowd(&reads, &mut server, SEVERAL).await;
    for _ in 0..2 {
        assert!(matches!(reads.turn(LINK, Moment::Idle), Turn::Nothing));
        woken.0.store(0, Relaxed);
        let _first = ["a", "b"].map(|text| join(&reads, text, LONG));
        assert_eq!(woken.0.load(Relaxed), 1);
        let elsewhere = || join(&reads, "c", LONG);
        let joined = thread::scope(|scope| scope.spawn(elsewhere).join());
        let _third = joined.expect("no panic");
        assert_eq!(woken.0.load(Relaxed), 2, "the other may not come to it");
        write(reads.turn(LINK, Moment::Idle));
        answer(reads.next(LINK).expect("a batch"), "value");
        assert!(matches!(reads.turn(LINK, Moment::Reply), Turn::Nothing));
        let _at_work = join(&reads, "d", LONG);
        assert_eq!(woken.0.load(Relaxed), 2, "it looks before it sleeps");
        write(due(&reads));
        answer(reads.next(LINK).expect("a batch"), "value");
    }
}

#[tokio::test]
async fn a_driver_that_has_written_has_another_turn_before_it_is_called() {
    let (reads, mut server) = desk();
    let woken = Arc::new(Woken::default());
    reads.attend(LINK, &Waker::from(woken.clone()));
    crowd(&reads, &mut server, 3).await;
    let _first = join(&reads, "a", LONG);
    let Turn::Write(mut held) = due(&reads) else {
        panic!("there is something to write");
    };
    let mut context = Context::from_waker(Waker::noop());
    assert!(held.write(&mut context).is_ready());
    held.leave();
    woken.0.store(0, Relaxed);
    let _second = join(&reads, "b", LONG);
    assert_eq!(woken.0.load(Relaxed), 0);
    assert!(matches!(reads.turn(LINK, Moment::Idle), Turn::Later));
}

/// So many callers are near a server, and wait for the replies to some of them.
async fn several(reads: &Reads, server: &mut DuplexStream) -> Ticket {
    crowd(reads, server, SEVERAL + ENOUGH_OF_FEW).await;
    for _ in 0..2 {
        assert_eq!(completed(reads, server).await, ENOUGH_OF_FEW);
    }
    join(reads, "left over", LONG)
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_several_waits_for_a_reply_and_leaves_before_it_is_handed_out() {
    let (reads, mut server) = desk();
    let woken = Arc::new(Woken::default());
    reads.attend(LINK, &Waker::from(woken.clone()));
    let _left = several(&reads, &mut server).await;
    assert!(matches!(reads.turn(LINK, Moment::Busy), Turn::Nothing));
    let _beside = join(&reads, "beside", LONG);
    assert_eq!(woken.0.load(Relaxed), 0, "a reply will come");
    let batch = reads.next(LINK).expect("a batch");
    write(reads.turn(LINK, Moment::Reply));
    let written = written(&mut server).await;
    assert!(written.contains("left over") && written.contains("beside"));
    answer(batch, "value");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_several_does_not_wait_for_long() {
    let (reads, mut server) = desk();
    let _left = several(&reads, &mut server).await;
    tokio::time::advance(PATIENCE).await;
    let (_last, held) = come(&reads, "last", LONG);
    write(Turn::Write(held.expect("the pen")));
    assert!(written(&mut server).await.contains("left over"));
}

#[tokio::test(start_paused = true)]
async fn where_no_reply_is_to_come_soon_the_driver_sees_to_what_is_left() {
    for (callers, way) in [(SEVERAL + 1, NEAR * 2), (SEVERAL - 1, Duration::ZERO)] {
        let (reads, mut server) = desk();
        let woken = Arc::new(Woken::default());
        reads.attend(LINK, &Waker::from(woken.clone()));
        crowd_afar(&reads, &mut server, callers, way).await;
        completed(&reads, &mut server).await;
        assert!(matches!(reads.turn(LINK, Moment::Busy), Turn::Nothing));
        let _left = join(&reads, "left over", LONG);
        tokio::task::yield_now().await;
        assert_eq!(woken.0.load(Relaxed), 1);
        assert!(matches!(reads.turn(LINK, Moment::Reply), Turn::Nothing));
        assert!(matches!(reads.turn(LINK, Moment::Busy), Turn::Later));
        write(reads.turn(LINK, Moment::Busy));
        assert!(written(&mut server).await.contains("left over"));
    }
}

/// As many batches are under way as may be, of a read each.
fn as_many_as_may(reads: &Reads, limit: Duration) -> Vec<Ticket> {
    let batches = (0..MOST_UNDER_WAY).map(|number| {
        let ticket = join(reads, &number.to_string(), limit);
        if number > 0 {
            write(due(reads));
        }
        ticket
    });
    batches.collect()
}

#[tokio::test]
async fn only_so_many_batches_are_under_way() {
    let (reads, _server) = desk();
    let mut tickets = as_many_as_may(&reads, LONG);
    tickets.push(join(&reads, "more", LONG));
    assert!(matches!(due(&reads), Turn::Nothing));
    answer(reads.next(LINK).expect("a batch"), "value");
    write(due(&reads));
    tickets.extend((0..=MOST_KEYS).map(|number| join(&reads, &number.to_string(), LONG)));
    assert!(matches!(due(&reads), Turn::Nothing));
    answer(reads.next(LINK).expect("a batch"), "value");
    write(reads.turn(LINK, Moment::Busy));
    let desk = reads.desk.lock();
    assert_eq!((desk.full.len(), desk.open.keys), (0, 1), "the full one");
}

/// Of many callers two batches are under way at a time, which may not stop full ones.
#[tokio::test]
async fn a_full_batch_waits_for_no_company() {
    let (reads, mut server) = desk();
    crowd(&reads, &mut server, MOST_CROWD).await;
    let lots = (MOST_UNDER_WAY_OF_MANY + 1) * MOST_KEYS;
    let texts = (0..lots).map(|number| number.to_string());
    let _tickets: Vec<_> = texts.map(|text| join(&reads, &text, LONG)).collect();
    while let Turn::Write(held) = reads.turn(LINK, Moment::Busy) {
        write(Turn::Write(held));
    }
    assert!(reads.desk.lock().sent.len() > MOST_UNDER_WAY_OF_MANY);
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_in_vain_is_not_sent_for() {
    let (reads, mut server) = desk();
    let _under_way = as_many_as_may(&reads, 3 * LONG);
    let late: Vec<_> = (0..2 * MOST_KEYS)
        .map(|number| join(&reads, &format!("late{number}"), LONG))
        .collect();
    tokio::time::advance(LONG).await;
    reads.expire(LINK, None, Instant::now(), &failure());
    assert!(!late.iter().any(Ticket::waits));
    let _in_time = join(&reads, "in time", LONG);
    answer(reads.next(LINK).expect("a batch"), "value");
    write(due(&reads));
    let written = written(&mut server).await;
    assert!(written.contains("in time") && !written.contains("late"));
}

#[tokio::test]
async fn replies_belong_to_their_batch_whoever_leaves() {
    let (reads, _server) = desk();
    let mut first = join(&reads, "a", LONG);
    let gone = join(&reads, "b", LONG);
    let mut second = join(&reads, "c", LONG);
    write(due(&reads));
    drop(gone);
    answer(reads.next(LINK).expect("a batch"), "first");
    assert!(reply(&mut second).is_none());
    answer(reads.next(LINK).expect("a batch"), "second");
    let value = |ticket: &mut Ticket| reply(ticket).expect("a reply").expect("found").envelope;
    assert_eq!(value(&mut first), Some(Bytes::from("first")));
    assert_eq!(value(&mut second), Some(Bytes::from("second")));
    assert!(reads.next(LINK).is_none());
}

#[tokio::test(start_paused = true)]
async fn who_is_late_is_given_up_and_the_others_are_not() {
    let (reads, _server) = desk();
    let _alone = join(&reads, "a", LONG);
    let (mut hasty, mut patient) = (join(&reads, "b", LONG / 2), join(&reads, "c", LONG));
    write(due(&reads));
    let now = Instant::now();
    assert_eq!(reads.arm(LINK, None).expect("a link"), Some(now + LONG / 2));
    assert_eq!(reads.arm(LINK, None).expect("a link"), None, "it is set");
    tokio::time::advance(LONG / 2).await;
    assert_eq!(reads.expire(LINK, None, Instant::now(), &failure()), 1);
    assert!(reply(&mut hasty).expect("an end").is_err());
    assert!(reply(&mut patient).is_none());
    assert_eq!(reads.arm(LINK, None).expect("a link"), Some(now + LONG));
    answer(reads.next(LINK).expect("a batch"), "alone");
    answer(reads.next(LINK).expect("a batch"), "late");
    assert!(reply(&mut patient).expect("a reply").is_ok());
}

#[tokio::test]
async fn the_larger_the_values_the_smaller_the_batches() {
    let (reads, _server) = desk();
    let most_keys = || reads.desk.lock().most_keys();
    let carry = |keys, bytes| {
        let batch = Batch {
            keys,
            ..Batch::default()
        };
        reads.recycle(batch, bytes);
    };
    assert_eq!(most_keys(), MOST_KEYS);
    (0..20).for_each(|_| carry(10, 10 * 64 * 1024));
    assert!((8..=9).contains(&most_keys()));
    (0..20).for_each(|_| carry(1, 1 << 20));
    assert_eq!(most_keys(), 1);
    (0..60).for_each(|_| carry(100, 100 * 256));
    assert_eq!(most_keys(), MOST_KEYS);
}

#[tokio::test]
async fn who_is_late_while_others_are_answered_is_one_of_too_many() {
    let (reads, _server) = desk();
    let _first = join(&reads, "a", LONG);
    write(due(&reads));
    let _second = join(&reads, "b", Duration::ZERO);
    let first = reads.next(LINK).expect("a batch");
    reads.recycle(first, 0);
    assert_eq!(reads.expire(LINK, None, Instant::now(), &failure()), 0);
    let _third = join(&reads, "c", Duration::ZERO);
    assert_eq!(reads.expire(LINK, None, Instant::now(), &failure()), 1);
}

#[tokio::test]
async fn a_company_leaves_at_once_when_the_last_has_joined() {
    let (reads, mut server) = desk();
    let company = reads.company();
    let mut tickets: Vec<_> = (0..2 * ENOUGH)
        .map(|id| join(&reads, &id.to_string(), LONG))
        .collect();
    assert!(matches!(due(&reads), Turn::Nothing));
    tickets.push(join(&reads, "the last", LONG));
    drop(company);
    let written = written(&mut server).await;
    assert!(written.starts_with("*50\r\n$4\r\nMGET\r\n"), "{written}");
    assert!(matches!(due(&reads), Turn::Nothing));
    let batch = reads.next(LINK).expect("a batch");
    assert_eq!(batch.reads.len(), tickets.len());
}

#[tokio::test]
async fn a_company_that_finds_the_pen_taken_is_written_by_who_has_it() {
    let (reads, mut server) = desk();
    let (_alone, held) = come(&reads, "alone", LONG);
    let mut held = held.expect("the pen");
    let company = reads.company();
    let _beside = join(&reads, "beside", LONG);
    drop(company);
    let mut context = Context::from_waker(Waker::noop());
    assert!(held.write(&mut context).is_ready());
    drop(held);
    write(reads.turn(LINK, Moment::Busy));
    let written = written(&mut server).await;
    assert!(written.contains("reads:alone") && written.contains("reads:beside"));
}

#[tokio::test]
async fn a_company_without_a_connection_leaves_nobody_behind() {
    let (reads, _server) = desk();
    let company = reads.company();
    let mut ticket = join(&reads, "a", LONG);
    reads.detach(LINK, &failure());
    drop(company);
    assert!(matches!(reply(&mut ticket), Some(Err(_))));
    assert!(reads.join(&key("a"), &[], &lasting(LONG)).is_none());
}
