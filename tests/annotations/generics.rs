//! Generic functions and `impl Trait` arguments.

use super::*;

/// The size of a type, which no argument tells.
#[cached(ttl = 300)]
async fn size_of<T>() -> usize {
    size_of_sync::<T>()
}

const fn size_of_sync<T>() -> usize {
    std::mem::size_of::<T>()
}

#[cached(ttl = 300)]
async fn power<const N: u32>(base: u64) -> u64 {
    base.pow(N)
}

#[cached(ttl = 300)]
async fn unsized_name<T: ?Sized, U>() -> String
where
    U: Clone + Send,
{
    std::any::type_name::<(*const T, U)>().to_owned()
}

#[tokio::test]
async fn parameters_of_the_function_are_part_of_the_default_key() {
    alone(async {
        assert_eq!(size_of::<u8>().await, 1);
        assert_eq!(size_of::<u64>().await, 8);
        assert_eq!(served(size_of::<u64>()).await, Outcome::Hit);
        assert_eq!(size_of_entry::<u8>().peek().await.ok(), Some(Some(1)));
        assert_eq!((power::<2>(3).await, power::<3>(3).await), (9, 27));
        assert_eq!(power_entry::<2>(3).peek().await.ok(), Some(Some(9)));
        let str = unsized_name::<str, u8>().await;
        assert_ne!(unsized_name::<[u8], u8>().await, str);
        assert_eq!(
            unsized_name_entry::<str, u8>().peek().await.ok(),
            Some(Some(str))
        );
    })
    .await;
}

#[cached(ttl = 300)]
async fn shown(value: impl Display + Serialize, other: impl Display + Serialize + Send) -> String {
    format!("{value} {other}")
}

#[cached(ttl = 300, key = "text:{name}", skip(also))]
async fn text(name: impl AsRef<str> + Display, also: impl Fn(&str) -> usize) -> usize {
    also(name.as_ref())
}

#[tokio::test]
async fn impl_trait_arguments_are_arguments() {
    alone(async {
        assert_eq!(shown(1, "a").await, "1 a");
        assert_eq!(served(shown(1, "a")).await, Outcome::Hit);
        // Equal when rendered, but of another type.
        assert_eq!(served(shown(1_u8, "a")).await, Outcome::Loaded);
        assert_eq!(
            shown_entry(1_u8, "a")
                .peek()
                .await
                .ok()
                .flatten()
                .as_deref(),
            Some("1 a")
        );
        assert_eq!(text("four".to_owned(), str::len).await, 4);
        assert_eq!(text_entry("four").peek().await.ok(), Some(Some(4)));
    })
    .await;
}

#[cached(ttl = 300, key = "decoded:{value:?}")]
async fn decoded<T>(value: T) -> Result<Vec<T>, Missing>
where
    T: Serialize + DeserializeOwned + std::fmt::Debug + 'static,
{
    tokio::task::yield_now().await;
    Ok(vec![value])
}

#[tokio::test]
async fn a_value_may_contain_a_type_parameter() {
    alone(async {
        assert_eq!(decoded(1_u8).await, Ok(vec![1]));
        assert_eq!(decoded(1_u8).await, Ok(vec![1]));
        // The same template with another type: told apart, never mixed up.
        assert_eq!(decoded("1".to_owned()).await, Ok(vec!["1".to_owned()]));
    })
    .await;
}
