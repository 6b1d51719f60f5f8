#[cached(ttl = 60, key = "route:{from.lat}:{from.lon}:{to:?}")]
async fn route(Leg { from, mut to, .. }: Leg) -> Option<Route> {
    to.normalize();
    plan(from, to).await
}
