//! The types as they are now.

use hitbox_fn::CacheableResponse;
use serde::{Deserialize, Serialize};

/// The fields stand in another order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CacheableResponse)]
pub struct Swapped {
    pub height: u32,
    pub width: u32,
}

/// The numbers have other types.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CacheableResponse)]
pub struct Retyped {
    pub amount: i64,
    pub rate: f32,
}

/// The first field means something else and is called so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CacheableResponse)]
pub struct Renamed {
    pub gross: u32,
    pub tax: u32,
}

impl Swapped {
    pub const LOADED: Self = Self {
        width: 1,
        height: 2,
    };
    /// What is right where a value from before the deploy is read.
    pub const RIGHT: Self = Self {
        width: 640,
        height: 480,
    };
}

impl Retyped {
    pub const LOADED: Self = Self {
        amount: 1,
        rate: 2.0,
    };
    pub const RIGHT: Self = Self {
        amount: 7,
        rate: 3.0,
    };
}

impl Renamed {
    pub const LOADED: Self = Self { gross: 2, tax: 1 };
    /// No value from before tells it.
    pub const RIGHT: Self = Self {
        gross: 119,
        tax: 19,
    };
}
