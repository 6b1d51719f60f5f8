mod bounds;
mod deploy;
mod faithful;
mod traced;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Codec, CodecError, CodecErrorKind, type_identity};

pub(super) fn encoded<C: Codec, T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut out = b"header".to_vec();
    let result = C::encode(value, &mut out);
    assert_eq!(&out[..6], b"header", "what was there stays");
    if result.is_err() {
        assert_eq!(out.len(), 6, "a failure leaves nothing behind");
    }
    result.map(|()| out[6..].to_vec())
}

/// As the flow does it: the identity comes first, and with it the shape.
pub(super) fn stored<C: Codec, T: Serialize + DeserializeOwned + 'static>(
    value: &T,
) -> Result<Vec<u8>, CodecError> {
    type_identity::<T, C>()?;
    encoded::<C, T>(value)
}

#[track_caller]
pub(super) fn reads_back<C: Codec, T>(value: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug + 'static,
{
    let bytes = stored::<C, T>(value).unwrap_or_else(|error| panic!("{value:?}: {error}"));
    let back = C::decode::<T>(&bytes).unwrap_or_else(|error| panic!("{value:?}: {error}"));
    assert_eq!(back, *value, "{}", C::NAME);
    let mut longer = bytes;
    longer.push(0);
    assert!(
        C::decode::<T>(&longer).is_err(),
        "{}: a byte left over",
        C::NAME
    );
}

#[track_caller]
pub(super) fn refused<C: Codec, T>(value: &T, kind: CodecErrorKind, says: &str)
where
    T: Serialize + DeserializeOwned + 'static,
{
    let error = stored::<C, T>(value).expect_err("refused");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}
