use std::rc::Rc;

use cache_runtime::cached;

#[cached(ttl = 300, key = "n:{n}", stale_while_revalidate = "1m")]
async fn not_send(n: u64) -> u64 {
    let n = Rc::new(n);
    std::future::ready(()).await;
    *n
}

#[derive(Debug)]
struct NotSend(Rc<u64>);

#[cached(ttl = 300, key = "n:{n}", stale_while_revalidate = "1m")]
async fn error_not_send(n: u64) -> Result<u64, NotSend> {
    Err(NotSend(Rc::new(n)))
}

fn main() {}
