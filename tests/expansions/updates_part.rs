#[updates(users::get(ret.0.id) = &ret.0, tag("users:{ret.0.org}"), cache = state.cache)]
async fn insert_user(state: &State, user: NewUser) -> Result<(User, Receipt), DbError> {
    state.insert(user).await
}
