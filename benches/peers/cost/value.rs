#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, hitbox_fn::CacheableResponse)]
pub struct ValueTYPE {
    pub id: u64,
    pub name: String,
    pub email: String,
    pub score: f64,
    pub active: bool,
}

impl ValueTYPE {
    fn of(id: u64) -> Result<Self, Failure> {
        Ok(Self {
            id,
            name: "Ada Lovelace".to_owned(),
            email: "ada@example.org".to_owned(),
            score: 1.5,
            active: true,
        })
    }
}
