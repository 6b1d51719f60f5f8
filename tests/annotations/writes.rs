//! `#[invalidates]` and `#[updates]` in every form.

use super::*;

#[cached(ttl = 300, key = "user:{id}")]
async fn get_user(id: u64) -> Result<User, Missing> {
    Ok(named(id, "loaded"))
}

#[cached(ttl = 300, key = "orders:{customer}")]
async fn list_orders(customer: &str) -> Vec<u64> {
    vec![customer.len() as u64]
}

#[cached(ttl = 300, key = "by:{kind}:{id}")]
async fn by_kind<K: Display>(kind: K, id: u64) -> u64 {
    id + kind.to_string().len() as u64
}

fn named(id: u64, name: &str) -> User {
    User {
        id,
        name: name.to_owned(),
    }
}

async fn stored(id: u64) -> Option<String> {
    get_user_entry(id)
        .peek()
        .await
        .ok()
        .flatten()
        .map(|user| user.name)
}

#[invalidates(get_user(id))]
async fn delete_user(id: u64) -> Result<(), Missing> {
    if id == 0 { Err(Missing) } else { Ok(()) }
}

#[invalidates(get_user(id), only_ok)]
async fn delete_if_ok(id: u64, fails: bool) -> Result<(), Missing> {
    if fails {
        return Err(Missing);
    }
    Ok(())
}

#[invalidates(get_user(user.id), list_orders(&user.name), by_kind::<&str>("x", 1))]
async fn consume(user: User) -> User {
    user
}

#[tokio::test]
async fn invalidation_follows_the_body() {
    alone(async {
        for id in [0, 1] {
            assert!(get_user(id).await.is_ok());
            assert_eq!(delete_user(id).await.is_ok(), id == 1);
            assert_eq!(stored(id).await, None);
        }
        assert!(get_user(2).await.is_ok());
        assert_eq!(delete_if_ok(2, true).await, Err(Missing));
        assert!(stored(2).await.is_some());
        assert_eq!(delete_if_ok(2, false).await, Ok(()));
        assert_eq!(stored(2).await, None);

        assert!(get_user(3).await.is_ok());
        assert_eq!(list_orders("Ada").await, [3]);
        assert_eq!(by_kind("x", 1).await, 2);
        assert_eq!(consume(named(3, "Ada")).await, named(3, "Ada"));
        assert_eq!(stored(3).await, None);
        assert_eq!(list_orders_entry("Ada").peek().await.ok(), Some(None));
        assert_eq!(by_kind_entry("x", 1).peek().await.ok(), Some(None));
    })
    .await;
}

#[updates(get_user(id))]
async fn rename(id: u64, name: &str) -> Result<User, Missing> {
    if name.is_empty() {
        Err(Missing)?;
    }
    Ok(named(id, name))
}

#[updates(get_user(ret.0.id) = &ret.0)]
async fn insert(name: String) -> Result<(User, bool), Missing> {
    Ok((named(7, &name), true))
}

#[updates(get_user(id) = &ret.0)]
async fn replace(id: u64, name: String) -> Result<(User, bool), Missing> {
    Ok((named(id, &name), false))
}

#[updates(get_user(id) = &named(ret.id, &ret.name.to_uppercase()), tag("users:{ret.id}"), tag("users"))]
async fn shout(id: u64) -> User {
    named(id, "loud")
}

#[invalidates(list_orders(&ret.name), get_user(ret.id))]
async fn created(id: u64) -> Result<User, Missing> {
    Ok(named(id, "Ada"))
}

#[tokio::test]
async fn updates_store_the_success_value_or_a_part_of_it() {
    alone(async {
        assert_eq!(rename(1, "Grace").await, Ok(named(1, "Grace")));
        assert_eq!(stored(1).await.as_deref(), Some("Grace"));
        assert_eq!(rename(1, "").await, Err(Missing));
        assert_eq!(stored(1).await, None);

        // Its key shows only in the result: nothing kept other writes off, so nothing is stored.
        assert!(get_user(7).await.is_ok());
        assert!(insert("Joan".into()).await.is_ok());
        assert_eq!(stored(7).await, None);

        assert!(replace(7, "Joan".into()).await.is_ok());
        assert_eq!(stored(7).await.as_deref(), Some("Joan"));

        assert_eq!(shout(8).await.name, "loud");
        assert_eq!(stored(8).await.as_deref(), Some("LOUD"));

        assert!(get_user(9).await.is_ok());
        assert_eq!(list_orders("Ada").await, [3]);
        assert!(created(9).await.is_ok());
        assert_eq!(
            (stored(9).await, list_orders_entry("Ada").peek().await.ok()),
            (None, Some(None))
        );
    })
    .await;
}

#[derive(Clone)]
struct Users {
    cache: Cache,
    tenant: String,
}

struct Service {
    users: Users,
}

impl Users {
    #[cached(ttl = 300, key = "{self.tenant}:user:{id}")]
    async fn get(&self, id: u64) -> Result<User, Missing> {
        Ok(named(id, &self.tenant))
    }

    #[invalidates(self.get(id), tag("tenant:{self.tenant}"), cache = self.cache)]
    async fn remove(&self, id: u64) {
        tokio::task::yield_now().await;
    }

    #[updates(Self::get(&self, id), cache = self.cache)]
    async fn take(self, id: u64) -> Result<User, Missing> {
        Ok(named(id, &self.tenant))
    }
}

impl Service {
    #[invalidates(self.users.get(id), cache = self.users.cache)]
    #[invalidates(get_user(id))]
    async fn remove(&mut self, mut id: u64, log: &mut Vec<u64>) -> &str {
        log.push(id);
        id += 1;
        let _ = id;
        &self.users.tenant
    }
}

#[tokio::test]
async fn methods_write_to_the_cache_they_name() {
    let users = Users {
        cache: Cache::memory(),
        tenant: "acme".into(),
    };
    let cache = users.cache.clone();
    let elsewhere = async || {
        cache
            .scope(async { users.get_entry(4).peek().await.ok().flatten() })
            .await
    };
    assert_eq!(cache.scope(users.get(4)).await, Ok(named(4, "acme")));
    users.remove(4).await;
    assert_eq!(elsewhere().await, None);
    assert!(users.clone().take(4).await.is_ok());
    assert_eq!(elsewhere().await, Some(named(4, "acme")));

    let mut service = Service {
        users: users.clone(),
    };
    let mut log = Vec::new();
    alone(async {
        assert!(get_user(4).await.is_ok());
        assert_eq!(service.remove(4, &mut log).await, "acme");
        assert_eq!((stored(4).await, log), (None, vec![4]));
    })
    .await;
    assert_eq!(elsewhere().await, None);
}

#[invalidates(list_orders(name), tag("orders:{name}"))]
async fn takes_its_arguments(name: &mut String, words: Vec<String>, cell: Cell<u8>) -> Cell<u8> {
    name.clear();
    drop(words);
    tokio::task::yield_now().await;
    cell
}

trait Archive {
    #[invalidates(get_user(id))]
    async fn archive(&self, id: u64) -> Result<(), Missing> {
        if id == 0 { Err(Missing) } else { Ok(()) }
    }
}

impl Archive for A {}

struct A;

struct B;

impl Archive for B {
    #[updates(get_user(id) = &named(id, "archived"))]
    async fn archive(&self, id: u64) -> Result<(), Missing> {
        Ok(())
    }
}

#[tokio::test]
async fn methods_of_traits_write_too_and_futures_stay_send() {
    let archive = async {
        assert!(get_user(5).await.is_ok());
        assert_eq!(A.archive(5).await, Ok(()));
        assert_eq!(stored(5).await, None);
        assert_eq!(B.archive(5).await, Ok(()));
        let mut name = "x".to_owned();
        assert_eq!(
            takes_its_arguments(&mut name, Vec::new(), Cell::new(1)).await,
            Cell::new(1)
        );
        assert_eq!(name, "");
        stored(5).await
    };
    let stored = tokio::spawn(alone(archive));
    assert_eq!(stored.await.ok().flatten().as_deref(), Some("archived"));
}
