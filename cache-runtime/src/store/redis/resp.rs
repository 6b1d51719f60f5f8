//! The little of Redis's protocol that reads need: `GET` and `MGET` out, strings in.
//!
//! RESP2, as in <https://redis.io/docs/latest/develop/reference/protocol-spec/>. Whatever else may
//! come is [`OutOfStep`]. Nothing is copied on the way in: a string is a part of what was received.

use bytes::{Buf, Bytes, BytesMut};

use super::reply::OutOfStep;

/// The longest line that is not a string: a head, or what a server says of an error.
const LONGEST_LINE: usize = 64 << 10;

/// More than any string that a server holds by default (512 MB), and than any number of keys that is
/// asked for.
const LARGEST: usize = 1 << 30;

/// One part of what the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The head of a reply to `MGET`: so many strings follow.
    Row(usize),
    /// What lies under a key.
    Value(Option<Bytes>),
    /// An error: its whole line.
    Error(Bytes),
}

/// What was received so far, up to a whole part.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// The next part, which is taken off.
    Part(Part),
    /// Not all of the next part has come; it takes at least this many bytes more.
    Wanting(usize),
}

/// Takes the next part off the front.
///
/// # Errors
///
/// [`OutOfStep`] if what comes is no part of a reply to a read.
pub fn receive(received: &mut BytesMut) -> Result<Received, OutOfStep> {
    let searched = received.get(..LONGEST_LINE).unwrap_or(received);
    let Some(end) = searched.iter().position(|byte| *byte == b'\n') else {
        return match searched.len() < LONGEST_LINE && is_begun(searched) {
            true => Ok(Received::Wanting(1)),
            false => Err(OutOfStep),
        };
    };
    let line = received
        .get(..end)
        .and_then(|line| line.strip_suffix(b"\r"));
    let after = end + 1;
    let part = match line.and_then(<[u8]>::split_first).ok_or(OutOfStep)? {
        (b'-', _) => {
            let line = received.split_to(after).freeze();
            return Ok(Received::Part(Part::Error(line)));
        }
        (b'$', b"-1") => Part::Value(None),
        (b'*', digits) => Part::Row(number(digits)?),
        (b'$', digits) => {
            let length = number(digits)?;
            let (value_end, whole) = (after + length, after + length + 2);
            match received.get(value_end..whole) {
                None => return Ok(Received::Wanting(whole - received.len())),
                Some(b"\r\n") => {}
                Some(_) => return Err(OutOfStep),
            }
            let mut value = received.split_to(whole).freeze();
            value.advance(after);
            value.truncate(length);
            return Ok(Received::Part(Part::Value(Some(value))));
        }
        _ => return Err(OutOfStep),
    };
    received.advance(after);
    Ok(Received::Part(part))
}

/// Whether this can become a part: what answers in another protocol is told at its first byte.
fn is_begun(received: &[u8]) -> bool {
    matches!(received.first(), None | Some(b'-' | b'$' | b'*'))
}

fn number(digits: &[u8]) -> Result<usize, OutOfStep> {
    if !(1..=10).contains(&digits.len()) {
        return Err(OutOfStep);
    }
    let number = digits.iter().try_fold(0_usize, |number, digit| {
        let digit = char::from(*digit).to_digit(10)? as usize;
        number.checked_mul(10)?.checked_add(digit)
    });
    number.filter(|number| *number <= LARGEST).ok_or(OutOfStep)
}

/// Appends the beginning of a `GET`, which one argument follows.
pub(super) fn put_get_head(out: &mut BytesMut) {
    out.extend_from_slice(b"*2\r\n$3\r\nGET\r\n");
}

/// Appends the beginning of an `MGET`, which so many arguments follow.
pub(super) fn put_get_many_head(out: &mut BytesMut, keys: usize) {
    put_head(out, b'*', keys.saturating_add(1));
    out.extend_from_slice(b"$4\r\nMGET\r\n");
}

/// Appends an argument.
pub(super) fn put_argument(out: &mut BytesMut, argument: &[u8]) {
    put_head(out, b'$', argument.len());
    out.extend_from_slice(argument);
    out.extend_from_slice(b"\r\n");
}

fn put_head(out: &mut BytesMut, kind: u8, number: usize) {
    out.extend_from_slice(&[kind]);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Result<(Vec<Part>, BytesMut), OutOfStep> {
        let mut received = BytesMut::from(bytes);
        let mut parts = Vec::new();
        while let Received::Part(part) = receive(&mut received)? {
            parts.push(part);
        }
        Ok((parts, received))
    }

    fn part() -> impl Strategy<Value = Part> {
        let value = prop::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            value.prop_map(|value| Part::Value(Some(value.into()))),
            Just(Part::Value(None)),
            (0..600_usize).prop_map(Part::Row),
            "-[A-Z]{2,8} [ -~]{0,40}\r\n".prop_map(|line| Part::Error(line.into())),
        ]
    }

    fn write(part: &Part, out: &mut BytesMut) {
        match part {
            Part::Row(count) => put_head(out, b'*', *count),
            Part::Value(Some(value)) => put_argument(out, value),
            Part::Value(None) => out.extend_from_slice(b"$-1\r\n"),
            Part::Error(line) => out.extend_from_slice(line),
        }
    }

    #[test]
    fn reads_are_written_as_the_protocol_says() {
        let mut out = BytesMut::new();
        put_get_head(&mut out);
        put_argument(&mut out, b"shop:user:42");
        assert_eq!(&out[..], b"*2\r\n$3\r\nGET\r\n$12\r\nshop:user:42\r\n");
        out.clear();
        put_get_many_head(&mut out, 2);
        put_argument(&mut out, b"");
        put_argument(&mut out, "\u{fc}\r\n".as_bytes());
        assert_eq!(
            &out[..],
            "*3\r\n$4\r\nMGET\r\n$0\r\n\r\n$4\r\n\u{fc}\r\n\r\n".as_bytes()
        );
    }

    #[test]
    fn what_is_no_reply_to_a_read_is_out_of_step() {
        for bytes in [
            &b"+OK\r\n"[..],
            b":1\r\n",
            b"_\r\n",
            b"%2\r\n",
            b"HTTP",
            b"$\r\n",
            b"$-2\r\n",
            b"$+1\r\n",
            b"$1x\r\n",
            b"*-1\r\n",
            b"$5\nhello\r\n",
            b"$5\r\nhello!!",
            b"\r\n",
            b"\n",
            b"$99999999999999999999\r\n",
            b"$1073741825\r\n",
            &[b'-'; LONGEST_LINE],
        ] {
            assert_eq!(all(bytes).err(), Some(OutOfStep), "{bytes:?}");
        }
        assert!(all(&[b'-'; LONGEST_LINE - 1]).is_ok(), "its end may come");
    }

    #[test]
    fn a_part_says_how_much_of_it_is_wanting() {
        let wanting = |bytes: &[u8]| receive(&mut BytesMut::from(bytes));
        assert_eq!(wanting(b""), Ok(Received::Wanting(1)));
        assert_eq!(wanting(b"$1000\r"), Ok(Received::Wanting(1)));
        assert_eq!(wanting(b"$1000\r\nabc"), Ok(Received::Wanting(999)));
        assert_eq!(wanting(b"$3\r\nabc\r"), Ok(Received::Wanting(1)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_received_however_it_is_cut(
            parts in prop::collection::vec(part(), 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut sent = BytesMut::new();
            parts.iter().for_each(|part| write(part, &mut sent));
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(sent.len() + 1)).collect();
            cuts.extend([0, sent.len()]);
            cuts.sort_unstable();
            let (mut received, mut got) = (BytesMut::new(), Vec::new());
            for cut in cuts.windows(2) {
                received.extend_from_slice(&sent[cut[0]..cut[1]]);
                while let Received::Part(part) = receive(&mut received).unwrap() {
                    got.push(part);
                }
            }
            prop_assert_eq!(got, parts);
            prop_assert!(received.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic_or_stop(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = all(&bytes);
            let mut begun = BytesMut::from(&b"*2\r\n$4\r\nabcd\r\n$"[..]);
            begun.extend_from_slice(&bytes);
            let _ = all(&begun);
        }
    }
}
