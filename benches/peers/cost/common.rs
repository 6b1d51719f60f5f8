#![allow(dead_code, reason = "generated, to be measured and not to be read")]

#[derive(Debug, Clone)]
pub struct Failure(pub String);

impl Failure {
    pub fn of(error: impl ToString) -> Self {
        Self(error.to_string())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}
