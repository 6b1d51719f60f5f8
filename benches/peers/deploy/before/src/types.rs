//! The types as they were.

use hitbox_fn::CacheableResponse;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CacheableResponse)]
pub struct Swapped {
    pub width: u32,
    pub height: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CacheableResponse)]
pub struct Retyped {
    pub amount: u64,
    pub rate: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CacheableResponse)]
pub struct Renamed {
    pub net: u32,
    pub tax: u32,
}

impl Swapped {
    pub const LOADED: Self = Self {
        width: 640,
        height: 480,
    };
    /// What is right where a value from before the deploy is read.
    pub const RIGHT: Self = Self::LOADED;
}

impl Retyped {
    pub const LOADED: Self = Self { amount: 7, rate: 3 };
    pub const RIGHT: Self = Self::LOADED;
}

impl Renamed {
    pub const LOADED: Self = Self { net: 100, tax: 19 };
    pub const RIGHT: Self = Self::LOADED;
}
