//! Methods, associated functions, traits.

use std::marker::PhantomData;
use std::pin::Pin;

use super::*;

#[derive(Debug, Clone, Default)]
struct Shop {
    tenant: String,
    loads: Arc<AtomicU64>,
}

impl Shop {
    fn of(tenant: &str) -> Self {
        Self {
            tenant: tenant.to_owned(),
            ..Self::default()
        }
    }

    /// By reference.
    #[cached(ttl = 300, key = "{self.tenant}:price:{id}")]
    async fn price(&self, id: u64) -> Result<u64, Missing> {
        let loads = self.loads.fetch_add(1, SeqCst);
        tokio::task::yield_now().await;
        Ok(id + loads)
    }

    #[cached(ttl = 300, key = "{self.tenant}:arc:{id}")]
    async fn shared(self: Arc<Self>, id: u64) -> u64 {
        id + self.loads.fetch_add(1, SeqCst)
    }

    #[cached(ttl = 300, key = "{self.tenant}:owned")]
    async fn owned(mut self) -> Vec<String> {
        self.tenant.push('!');
        vec![self.tenant]
    }

    #[cached(ttl = 300, key = "count:{id}", skip(self))]
    async fn count(&mut self, id: u64) -> u64 {
        self.tenant.clear();
        tokio::task::yield_now().await;
        id
    }

    #[cached(ttl = 300, key = "pinned:{id}", skip(self))]
    async fn pinned(self: Pin<&Self>, id: u64) -> u64 {
        id + self.loads.fetch_add(1, SeqCst)
    }

    #[cached(ttl = 300, key = "named:{tenant}")]
    async fn named(tenant: &str) -> Option<Self>
    where
        Self: Serialize,
    {
        Some(Self::of(tenant))
    }
}

impl Serialize for Shop {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.tenant.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Shop {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|tenant| Self::of(&tenant))
    }
}

#[tokio::test]
async fn every_receiver_is_possible_and_entries_take_a_reference() {
    alone(async {
        let mut shop = Shop::of("acme");
        assert_eq!(shop.price(7).await, Ok(7));
        assert_eq!(shop.price(7).await, Ok(7));
        assert_eq!(shop.price_entry(7).key(), "cache:acme:price:7");
        assert_eq!(Shop::of("other").price(7).await, Ok(7));

        let arc = Arc::new(shop.clone());
        assert_eq!(arc.clone().shared(1).await, 2);
        assert_eq!(arc.shared_entry(1).peek().await.ok(), Some(Some(2)));

        assert_eq!(shop.clone().owned().await, ["acme!"]);
        assert_eq!(shop.owned_entry().key(), "cache:acme:owned");

        assert_eq!(shop.count(3).await, 3);
        assert_eq!(shop.tenant, "");
        shop.tenant.push_str("again");
        assert_eq!(shop.count(3).await, 3);
        assert_eq!(shop.tenant, "again");

        assert_eq!(Pin::new(&shop).pinned(1).await, 3);
        assert_eq!(shop.pinned_entry(1).peek().await.ok(), Some(Some(3)));

        assert_eq!(
            Shop::named("x").await.map(|shop| shop.tenant),
            Some("x".into())
        );
        assert_eq!(Shop::named_entry("x").key(), "cache:named:x");
    })
    .await;
    let shop = Arc::new(Shop::of("spawned"));
    let shared = tokio::spawn(alone(shop.shared(1)));
    assert_eq!(shared.await.ok(), Some(1));
}

/// A repository of some type, with functions that only its `Self` tells apart.
struct Repo<T>(PhantomData<T>);

impl<T> Repo<T> {
    #[cached(ttl = 300)]
    async fn count() -> usize {
        std::any::type_name::<T>().len()
    }

    #[cached(ttl = 300, skip(self))]
    async fn find<K: Serialize + Display>(&self, key: K) -> String {
        format!("{} {key}", std::any::type_name::<T>())
    }
}

struct Order;

struct A;
struct B;

impl A {
    #[cached(ttl = 300)]
    async fn get(id: u64) -> u64 {
        id
    }
}

impl B {
    #[cached(ttl = 300)]
    async fn get(id: u64) -> u64 {
        id + 100
    }
}

#[tokio::test]
async fn default_keys_of_different_self_types_differ() {
    alone(async {
        assert_ne!(Repo::<User>::count().await, Repo::<Order>::count().await);
        assert_ne!(
            Repo::<User>::count_entry().key(),
            Repo::<Order>::count_entry().key()
        );
        assert_eq!((A::get(1).await, B::get(1).await), (1, 101));
        let users = Repo::<User>(PhantomData);
        assert!(users.find(1_u8).await.contains("User"));
        assert!(
            Repo::<Order>(PhantomData)
                .find(1_u8)
                .await
                .contains("Order")
        );
        assert_eq!(served(users.find(1_u8)).await, Outcome::Hit);
    })
    .await;
}

#[tokio::test]
async fn the_entry_of_a_default_key_has_the_functions_key() {
    alone(async {
        let user = Repo::<User>::count().await;
        assert_eq!(
            Repo::<User>::count_entry().peek().await.ok(),
            Some(Some(user))
        );
        assert_eq!(A::get(1).await, 1);
        assert_eq!(A::get_entry(1).peek().await.ok(), Some(Some(1)));
        let users = Repo::<User>(PhantomData);
        let found = users.find(7).await;
        assert_eq!(users.find_entry(7).peek().await.ok(), Some(Some(found)));
    })
    .await;
}

trait Greet {
    fn name(&self) -> String;

    /// A default method, with its entry beside it.
    #[cached(ttl = 300, skip(self))]
    async fn greet(&self, times: usize) -> String {
        self.name().repeat(times)
    }
}

trait Load {
    async fn load(&self, id: u64) -> Result<u64, Missing>;

    fn load_entry(&self, id: u64) -> Entry<Result<u64, Missing>>;

    async fn kind(&self) -> String;
}

impl Load for A {
    #[cached(ttl = 300, skip(self))]
    async fn load(&self, id: u64) -> Result<u64, Missing> {
        Ok(id)
    }

    #[cached(ttl = 300, skip(self), entry = false)]
    async fn kind(&self) -> String {
        "a".into()
    }
}

impl<T> Load for Repo<T> {
    #[cached(ttl = 300, skip(self))]
    async fn load(&self, id: u64) -> Result<u64, Missing> {
        Ok(id + 1000)
    }

    #[cached(ttl = 300, skip(self), entry = false)]
    async fn kind(&self) -> String {
        std::any::type_name::<Self>().into()
    }
}

impl Greet for A {
    fn name(&self) -> String {
        "a".into()
    }
}

impl Greet for B {
    fn name(&self) -> String {
        "b".into()
    }
}

#[tokio::test]
async fn methods_of_traits_and_of_their_impls_can_be_annotated() {
    alone(async {
        assert_eq!(A.greet(2).await, "aa");
        assert_eq!(B.greet(2).await, "bb");
        assert_eq!(
            A.greet_entry(2).peek().await.ok().flatten().as_deref(),
            Some("aa")
        );

        let repo = Repo::<Order>(PhantomData);
        assert_eq!(A.load(1).await, Ok(1));
        assert_eq!(repo.load(1).await, Ok(1001));
        assert_eq!(A.load_entry(1).peek().await.ok(), Some(Some(1)));
        assert_eq!(repo.load_entry(1).peek().await.ok(), Some(Some(1001)));
        assert_eq!(A.kind().await, "a");
        assert!(repo.kind().await.contains("Order"));
        assert!(Repo::<User>(PhantomData).kind().await.contains("User"));
    })
    .await;
}
