//! How pages become bytes where that is done by hand.

use crate::origin::Failure;
use crate::page::Page;

/// A codec of the annotated function's, without the annotated function.
#[derive(Debug, Clone, Copy)]
pub enum Format {
    /// With the names of the fields.
    MessagePack,
    Postcard,
}

impl Format {
    pub fn encode(self, page: &Page) -> Result<Vec<u8>, Failure> {
        match self {
            Self::MessagePack => rmp_serde::to_vec_named(page).map_err(Failure::of),
            Self::Postcard => postcard::to_allocvec(page).map_err(Failure::of),
        }
    }

    pub fn decode(self, bytes: &[u8]) -> Result<Page, Failure> {
        match self {
            Self::MessagePack => rmp_serde::from_slice(bytes).map_err(Failure::of),
            Self::Postcard => postcard::from_bytes(bytes).map_err(Failure::of),
        }
    }
}
