//! Bodies that may run in the background: what they own, and what `self` is in them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;

use super::*;

/// Counts its clones.
#[derive(Debug, Default)]
struct Database {
    clones: Arc<AtomicU64>,
    name: String,
}

impl Clone for Database {
    fn clone(&self) -> Self {
        let _ = self.clones.fetch_add(1, SeqCst);
        Self {
            clones: self.clones.clone(),
            name: self.name.clone(),
        }
    }
}

#[derive(Clone)]
struct Log(bool);

impl Log {
    fn note(&self, text: &str) -> Option<usize> {
        self.0.then_some(text.len())
    }
}

#[cached(
    ttl = 300,
    key = "user:{id}",
    skip(db, log),
    stale_while_revalidate = "1m"
)]
async fn user(db: &Database, id: u64, log: &Log) -> Result<User, Missing> {
    tokio::task::yield_now().await;
    if id == 0 {
        return Err(Missing);
    }
    let _ = log.note(&db.name).ok_or(Missing)?;
    Ok(User {
        id,
        name: db.name.clone(),
    })
}

#[tokio::test]
async fn a_load_clones_what_its_body_uses_and_a_hit_nothing() {
    alone(async {
        let db = Database {
            name: "db".into(),
            ..Database::default()
        };
        let log = Log(true);
        assert_eq!(user(&db, 0, &log).await, Err(Missing));
        assert_eq!(user(&db, 1, &Log(false)).await, Err(Missing));
        assert_eq!(
            user(&db, 1, &log).await.map(|user| user.name),
            Ok("db".into())
        );
        assert_eq!(db.clones.swap(0, SeqCst), 3);
        assert_eq!(served(user(&db, 1, &log)).await, Outcome::Hit);
        assert_eq!(db.clones.load(SeqCst), 0);
    })
    .await;
    // From a spawned task.
    let task = tokio::spawn(async {
        let (db, log) = (Database::default(), Log(true));
        alone(user(&db, 7, &log)).await.map(|user| user.id)
    });
    assert_eq!(task.await.ok(), Some(Ok(7)));
}

impl Database {
    #[tracing::instrument(skip(self))]
    #[cached(
        ttl = 300,
        key = "outside:{self.name}:{id}",
        stale_while_revalidate = "1m"
    )]
    async fn instrumented_outside(&self, id: u64) -> Result<String, Missing> {
        tokio::task::yield_now().await;
        Ok(format!("{}{id}", self.name))
    }

    #[cached(
        ttl = 300,
        key = "inside:{self.name}:{id}",
        stale_while_revalidate = "1m"
    )]
    #[tracing::instrument(skip(self), err(Debug))]
    async fn instrumented_inside(&self, id: u64) -> Result<String, Missing> {
        tokio::task::yield_now().await;
        Ok(format!("{}{id}", self.name))
    }
}

#[tokio::test]
async fn instrumented_functions_can_be_refreshed() {
    alone(async {
        let db = Database {
            name: "db".into(),
            ..Database::default()
        };
        assert_eq!(db.instrumented_outside(1).await.as_deref(), Ok("db1"));
        assert_eq!(db.instrumented_inside(1).await.as_deref(), Ok("db1"));
        assert_eq!(served(db.instrumented_inside(1)).await, Outcome::Hit);
    })
    .await;
}

/// Every name keeps its type.
#[cached(
    ttl = 300,
    key = "types:{text}:{bytes:?}:{path:?}:{words:?}:{optional:?}:{cow}",
    stale_while_revalidate = "1m"
)]
async fn types(
    text: &str,
    bytes: &[u8],
    path: &Path,
    words: &Vec<String>,
    optional: Option<u8>,
    cow: Cow<'static, str>,
) -> Vec<String> {
    let text: &str = text;
    let bytes: &[u8] = bytes;
    let path: &Path = path;
    let words: &Vec<String> = words;
    let optional: Option<u8> = optional;
    let cow: Cow<'static, str> = cow;
    vec![
        text.to_owned(),
        format!("{bytes:?} {optional:?} {cow}"),
        path.display().to_string(),
        words.concat(),
    ]
}

#[tokio::test]
async fn arguments_keep_their_types() {
    alone(async {
        let text = String::from("text");
        let words = vec!["a".to_owned(), "b".to_owned()];
        let path = PathBuf::from("/p");
        let expected = ["text", "[1, 2] Some(3) cow", "/p", "ab"];
        let loaded = types(&text, &[1, 2], &path, &words, Some(3), "cow".into()).await;
        assert_eq!(loaded, expected);
        assert_eq!(
            served(types(&text, &[1, 2], &path, &words, Some(3), "cow".into())).await,
            Outcome::Hit
        );
    })
    .await;
}

#[derive(Clone)]
struct Leg {
    from: String,
    to: u64,
}

/// By value, through references, renamed, nested, with `mut`, and one that nothing uses.
#[cached(
    ttl = 300,
    key = "legs:{from}:{to}:{whole:?}:{left}:{first}:{rest:?}:{by_ref}",
    skip(n, words),
    stale_while_revalidate = "1m"
)]
async fn patterns(
    Leg { from, mut to }: Leg,
    &Leg { to: n, .. }: &Leg,
    whole @ &(left, _): &(u64, u64),
    (first, [_, rest @ ..]): &(String, [u8; 2]),
    (ref by_ref, _): (String, u8),
    mut words: Vec<String>,
    _: Cell<u8>,
) -> String {
    let whole: &(u64, u64) = whole;
    let first: &String = first;
    let rest: &[u8] = rest;
    let by_ref: &String = by_ref;
    to += left + n + whole.1;
    words.push(from);
    format!("{to} {first} {} {by_ref} {}", rest.len(), words.concat())
}

#[tokio::test]
async fn names_bound_by_patterns_are_owned_one_by_one() {
    alone(async {
        let leg = Leg {
            from: "a".into(),
            to: 1,
        };
        let call = || {
            patterns(
                leg.clone(),
                &leg,
                &(1, 2),
                &REST,
                ("ref".into(), 1),
                vec!["w".into()],
                Cell::new(1),
            )
        };
        assert_eq!(call().await, "5 x 1 ref wa");
        assert_eq!(served(call()).await, Outcome::Hit);
    })
    .await;
}

static REST: std::sync::LazyLock<(String, [u8; 2])> =
    std::sync::LazyLock::new(|| ("x".to_owned(), [1, 2]));

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Shop {
    tenant: String,
    extra: Vec<u64>,
}

/// What `self` must not become in a body.
macro_rules! call {
    ($receiver:ident.$method:ident($($argument:expr),*)) => {
        $receiver.$method($($argument),*)
    };
}

impl Shop {
    const POLICY: Policy = Policy::DEFAULT.early_refresh(1.0);

    fn prices(&self, id: u64) -> Vec<u64> {
        self.extra.iter().map(|extra| extra + id).collect()
    }

    /// `self` in macros, closures and blocks, beside items that have their own.
    #[cached(
        ttl = 300,
        key = "{self.tenant}:price:{id}",
        stale_while_revalidate = "1m",
        policy = Self::POLICY
    )]
    async fn price(&self, id: u64) -> Result<String, Missing> {
        use self::helpers::{self, Named};
        trait Doubled {
            fn doubled(&self) -> Self;
        }
        impl Doubled for u64 {
            fn doubled(&self) -> Self {
                let this = *self;
                this * 2
            }
        }
        #[derive(Default)]
        struct Local<const N: usize> {
            pub(self) n: usize,
        }
        impl Local<{ 1 + 1 }> {
            const fn get(&self) -> usize {
                self.n
            }
        }
        fn own<const N: usize>(local: Local<{ N }>) -> Local<{ N }> {
            local
        }
        macro_rules! tenant {
            () => {
                self.tenant.as_str()
            };
            (doubled $n:expr) => {{
                struct Twice(u64);
                impl Twice {
                    fn of(&self) -> u64 {
                        self.0.doubled()
                    }
                }
                Twice($n).of()
            }};
        }
        let function: fn(&Self) -> usize = |shop| shop.extra.len();
        let this: &Self = self;
        let sum = async {
            tokio::task::yield_now().await;
            self.extra
                .iter()
                .map(|n| n + self.extra[0].doubled())
                .sum::<u64>()
        };
        let texts = [
            format!("{} {:?} {{self}}", self.tenant, call!(self.prices(id))),
            format!("{tenant} {}", function(self), tenant = tenant!()),
            tenant!(doubled id).to_string(),
            format!(
                "{}{}",
                own(Local::<2>::default()).get(),
                helpers::Name.name()
            ),
            "{self}".to_owned(),
            sum.await.to_string(),
        ];
        if *this != *self {
            return Err(Missing);
        }
        Ok(texts.join(", "))
    }

    #[cached(ttl = 300, key = "{self.tenant}:owned", stale_while_revalidate = "1m")]
    async fn owned(mut self) -> Vec<String> {
        self.tenant.push('!');
        vec![self.tenant]
    }

    #[cached(
        ttl = 300,
        key = "{self.tenant}:arc:{id}",
        stale_while_revalidate = "1m"
    )]
    async fn arc(self: Arc<Self>, id: u64) -> usize {
        let this: Arc<Self> = self;
        this.prices(id).len() + Arc::strong_count(&this)
    }

    #[cached(
        ttl = 300,
        key = "{self.tenant}:arc_ref",
        stale_while_revalidate = "1m"
    )]
    async fn arc_ref(self: &Arc<Self>) -> usize {
        let this: &Arc<Self> = self;
        this.extra.len()
    }

    #[cached(ttl = 300, key = "{self.tenant}:boxed", stale_while_revalidate = "1m")]
    async fn boxed(self: Box<Self>) -> usize {
        let this: Box<Self> = self;
        this.extra.len()
    }

    #[cached(ttl = 300, key = "pinned", skip(self), stale_while_revalidate = "1m")]
    async fn pinned(self: Pin<Arc<Self>>) -> usize {
        self.extra.len()
    }

    #[cached(
        ttl = 300,
        key = "{self.tenant}:unused:{id}",
        stale_while_revalidate = "1m"
    )]
    async fn unused(&self, id: u64) -> u64 {
        struct Wrapper {
            id: u64,
        }
        Wrapper { id: 5 }.id
    }
}

mod helpers {
    pub(super) trait Named {
        fn name(&self) -> &'static str {
            "named"
        }
    }

    pub(super) struct Name;

    impl Named for Name {}
}

#[tokio::test]
async fn self_is_owned_by_its_type() {
    alone(async {
        let shop = Shop {
            tenant: "acme".into(),
            extra: vec![1, 2],
        };
        assert_eq!(
            shop.price(7).await.as_deref(),
            Ok("acme [8, 9] {self}, acme 2, 14, 0named, {self}, 7")
        );
        assert_eq!(served(shop.price(7)).await, Outcome::Hit);
        assert_eq!(shop.clone().owned().await, ["acme!"]);
        assert_eq!(shop.unused(1).await, 5);
        assert_eq!(Box::new(shop.clone()).boxed().await, 2);
        let arc = Arc::new(shop.clone());
        assert_eq!(arc.arc_ref().await, 2);
        // Two prices; and the caller's, the closure's and the body's.
        assert_eq!(arc.clone().arc(1).await, 5);
        assert_eq!(Arc::pin(shop).pinned().await, 2);
        assert_eq!(Arc::strong_count(&arc), 1);
        assert_eq!(arc.arc_entry(1).peek().await.ok(), Some(Some(5)));
    })
    .await;
    let shop = Arc::new(Shop::default());
    assert_eq!(tokio::spawn(alone(shop.arc(1))).await.ok(), Some(2));
}

#[cached(
    ttl = 300,
    key = "generic:{value}",
    skip(skipped),
    stale_while_revalidate = "1m"
)]
async fn generic<T, const N: usize>(value: T, skipped: [T; N]) -> Result<Vec<T>, Missing>
where
    T: Display + Clone + Send + Sync + 'static + Serialize + DeserializeOwned,
{
    tokio::task::yield_now().await;
    Ok(skipped.into_iter().chain([value]).collect())
}

#[cached(ttl = 300, key = "by_ref:{value}", stale_while_revalidate = "1m")]
async fn by_ref<T: Display + Clone + Send + Sync + 'static>(value: &T) -> String {
    tokio::task::yield_now().await;
    value.to_string()
}

#[cached(
    ttl = 300,
    key = "opaque:{name}",
    skip(also),
    stale_while_revalidate = "1m"
)]
async fn opaque(
    name: impl AsRef<str> + Display + Clone + Send + 'static,
    also: impl Fn(&str) -> usize + Clone + Send + 'static,
) -> usize {
    let twice = |n: usize| n + also(name.as_ref());
    twice(also(name.as_ref()))
}

#[cached(
    ttl = 300,
    key = "static:{id}",
    skip(db),
    stale_while_revalidate = "1m"
)]
async fn of_static(db: &'static NotClone, id: u64) -> u64 {
    db.0 + id
}

/// Neither is used by the body, so neither has to be `Clone`.
#[cached(
    ttl = 300,
    key = "in_key:{id}",
    skip(_guard),
    stale_while_revalidate = "1m"
)]
async fn only_in_key(id: NotClone, _guard: &Rc<u8>) -> u64 {
    1
}

#[derive(Debug)]
struct NotClone(u64);

impl Display for NotClone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[tokio::test]
async fn generics_need_the_bounds_of_what_is_owned() {
    static NOT_CLONE: NotClone = NotClone(1);
    alone(async {
        assert_eq!(generic(1, [2, 3]).await, Ok(vec![2, 3, 1]));
        assert_eq!(served(generic(1, [0; 0])).await, Outcome::Hit);
        assert_eq!(by_ref(&1).await, "1");
        assert_eq!(opaque("four", str::len).await, 8);
        assert_eq!(of_static(&NOT_CLONE, 2).await, 3);
        let not_send = Rc::new(1);
        assert_eq!(only_in_key(NotClone(1), &not_send).await, 1);
    })
    .await;
    assert_eq!(tokio::spawn(alone(by_ref(&2))).await.ok(), Some("2".into()));
}

#[cached(ttl = 300, key = "rec:{n}", stale_while_revalidate = "1m")]
async fn sum_to(n: u64) -> u64 {
    if n == 0 {
        return 0;
    }
    n + boxed_sum_to(n - 1).await
}

/// Says that the future is `Send`, which `sum_to` cannot know of itself.
fn boxed_sum_to(n: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(sum_to(n))
}

#[tokio::test]
async fn recursion_compiles_through_a_box_of_a_known_type() {
    alone(async {
        assert_eq!(sum_to(4).await, 10);
        assert_eq!(served(sum_to(3)).await, Outcome::Hit);
    })
    .await;
    assert_eq!(tokio::spawn(alone(sum_to(5))).await.ok(), Some(15));
}

trait Kind {
    async fn kind(&self, times: usize) -> Result<String, Missing>;

    /// A default method.
    #[cached(ttl = 300, skip(self), stale_while_revalidate = "1m")]
    async fn twice(&self, n: u64) -> u64
    where
        Self: Clone + Send + Sync + 'static + Display,
    {
        format!("{}{n}", self).len() as u64
    }
}

#[derive(Clone)]
struct Repo<T>(T);

impl<T: Display + Clone + Send + Sync + 'static> Kind for Repo<T> {
    #[cached(ttl = 300, skip(self), entry = false, stale_while_revalidate = "1m")]
    async fn kind(&self, times: usize) -> Result<String, Missing> {
        tokio::task::yield_now().await;
        Ok(format!("{}{}", self.0, std::any::type_name::<Self>().len()).repeat(times))
    }
}

impl<T: Display> Display for Repo<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[tokio::test]
async fn methods_of_traits_and_of_their_impls() {
    alone(async {
        let repo = Repo("repo");
        let kind = repo.kind(1).await;
        assert!(kind.as_ref().is_ok_and(|kind| kind.starts_with("repo")));
        assert_eq!(repo.kind(1).await, kind);
        assert_eq!(served(repo.kind(1)).await, Outcome::Hit);
        assert_eq!(repo.twice(1).await, 5);
    })
    .await;
}

macro_rules! refreshed {
    ($name:ident, $argument:ident, $body:expr) => {
        #[cached(ttl = 300, key = "macro:{id}", stale_while_revalidate = "1m")]
        async fn $name($argument: u64) -> String {
            let n = 1;
            format!("{n} {id} {}", $body, id = $argument)
        }
    };
}

refreshed!(from_macro, id, id + 1);

#[tokio::test]
async fn functions_may_come_from_a_macro() {
    alone(async { assert_eq!(from_macro(4).await, "1 4 5") }).await;
}
