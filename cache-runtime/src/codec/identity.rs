//! What tells the bytes of two types apart.

use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use std::any::{TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::shape::Shape;
use super::trace::{self, Opaque};
use super::{Codec, CodecError, CodecErrorKind, Json, MessagePack, Postcard};
use crate::envelope::FORMAT;

/// Names a value type, the codec that writes it and the envelope's format in 64 bits.
///
/// Bytes stored under one identity are never decoded under another. For positional codecs it
/// covers the structure of the type as well: the names, order and types of all fields and
/// variants, at any depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeIdentity(u64);

impl TypeIdentity {
    /// The identity whose number was stored.
    #[must_use]
    pub fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number to store.
    #[must_use]
    pub fn to_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TypeIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// The identity of `T` as stored by `C`.
///
/// For positional codecs the structure of `T` is traced through its `Deserialize`, once per
/// process and type; for the others this costs one hash of the type's name.
///
/// # Errors
///
/// [`CodecErrorKind::Unsupported`] if `C` is positional and the structure of `T` cannot be seen.
pub fn type_identity<T: DeserializeOwned + 'static, C: Codec>() -> Result<TypeIdentity, CodecError>
{
    identity_named::<T, C>(type_name::<T>())
}

/// [`type_identity`] as if the type were called `name`: what a deploy compares, before and after.
pub(super) fn identity_named<T: DeserializeOwned + 'static, C: Codec>(
    name: &str,
) -> Result<TypeIdentity, CodecError> {
    let mut hash = xxh3_64_with_seed(name.as_bytes(), u64::from(FORMAT));
    // Each part is hashed on its own, so that nothing moves from one into the next.
    hash = xxh3_64_with_seed(C::NAME.as_bytes(), hash);
    if C::POSITIONAL {
        let shape = traced::<T>().map_err(|opaque| {
            let detail = format!("`{}`: {opaque}", type_name::<T>());
            CodecError::new(CodecErrorKind::Unsupported, C::NAME, detail)
        })?;
        hash = xxh3_64_with_seed(&shape.fingerprint().to_le_bytes(), hash);
    }
    Ok(TypeIdentity(hash))
}

/// The number in the envelope that says which codec of this crate wrote it, for people reading
/// bytes; 0 for codecs of users.
#[must_use]
pub(crate) fn codec_id<C: Codec>() -> u8 {
    let codec = TypeId::of::<C>();
    #[cfg(feature = "bincode")]
    if codec == TypeId::of::<super::Bincode>() {
        return 4;
    }
    [
        (TypeId::of::<MessagePack>(), 1),
        (TypeId::of::<Json>(), 2),
        (TypeId::of::<Postcard>(), 3),
    ]
    .into_iter()
    .find_map(|(known, id)| (known == codec).then_some(id))
    .unwrap_or(0)
}

type Traced = Result<Arc<Shape>, Opaque>;

/// Types of one name: two `Local` in two blocks of one function share theirs, but nearly always
/// this is one.
type Namesakes = Vec<(TypeId, Traced)>;

/// Every type traced so far.
static TRACED: LazyLock<RwLock<HashMap<&'static str, Namesakes>>> = LazyLock::new(RwLock::default);

fn traced<T: DeserializeOwned + 'static>() -> Traced {
    let (name, id) = (type_name::<T>(), TypeId::of::<T>());
    let find = |types: &[(TypeId, Traced)]| {
        types
            .iter()
            .find_map(|(known, traced)| (*known == id).then(|| traced.clone()))
    };
    if let Some(traced) = TRACED.read().get(name).and_then(|types| find(types)) {
        return traced;
    }
    // Not under the lock: this runs code of the type. A second trace finds the same.
    let traced = trace::shape_of::<T>().map(Arc::new);
    let mut all = TRACED.write();
    let types = all.entry(name).or_default();
    if let Some(first) = find(types) {
        return first;
    }
    types.push((id, traced.clone()));
    traced
}

/// The shape of `T` if [`type_identity`] has traced it, which precedes storing. By name, as
/// `encode` is not told more of its type; none if the name is ambiguous.
pub(super) fn known_shape<T: ?Sized>() -> Option<Arc<Shape>> {
    match TRACED.read().get(type_name::<T>())?.as_slice() {
        [(_, Ok(shape))] => Some(Arc::clone(shape)),
        _ => None,
    }
}
