//! One body, whole and cut, for fuzzing.

use super::{Coding, Decoder, Limits, Pool, Stop, sniff};
use crate::EndKind;

/// All that comes of `pieces` as one body with `codings` on it.
pub(super) fn decode<'a>(
    codings: &[Coding],
    limits: &Limits,
    pool: &mut Pool,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Seen {
    let mut out = Vec::new();
    let Ok(mut decoder) = Decoder::of(codings, pool) else { return (out, Err(Stop::Memory)) };
    let mut result = Ok(());
    for piece in pieces {
        result = decoder.feed(limits, piece, &mut |bytes| out.extend_from_slice(bytes));
    }
    let end = decoder.finish(pool);
    (out, result.map(|()| end))
}

/// The same body whole, byte by byte, and cut in two. The first byte says where to cut, the second which codings.
#[doc(hidden)]
pub fn fuzz_coding(data: &[u8]) {
    const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];
    let Some((&[cut, mode], body)) = data.split_first_chunk() else { return };
    let pick = |bits: u8| ALL.get(usize::from(bits & 3)).copied().unwrap_or(Coding::Gzip);
    let codings = [pick(mode), pick(mode >> 2)];
    let codings = if mode & 16 == 0 { codings.get(..1).unwrap_or_default() } else { &codings[..] };
    // How much a decoder has read when it has put out so much may differ by a few bytes with the cuts: no ratio.
    let limits = Limits { max_output: 1 << 18, max_ratio: u32::MAX, ..Limits::default() };
    let mut pool = Pool::default();
    let whole = decode(codings, &limits, &mut pool, [body]);
    assert!(whole.0.len() <= 1 << 18, "more than the limit");
    same(codings, &whole, &decode(codings, &limits, &mut pool, body.chunks(1)));
    let (head, tail) = body.split_at(usize::from(cut).min(body.len()));
    same(codings, &whole, &decode(codings, &limits, &mut pool, [head, tail]));
    assert_eq!(pool.budget().live_bytes(), 0, "memory that was not given back");
    sniff(body);
}

type Seen = (Vec<u8>, Result<EndKind, Stop>);

/// Fails unless both are the same; or for a body with Brotli that stopped, the one the beginning of the other.
fn same(codings: &[Coding], one: &Seen, other: &Seen) {
    let at = one.0.iter().zip(&other.0).take_while(|(one, other)| one == other).count();
    let lens = (one.0.len(), other.0.len());
    if codings.contains(&Coding::Brotli) && one.1.is_err() && other.1.is_err() {
        assert_eq!(at, lens.0.min(lens.1), "they differ: {:?}, {:?}, {lens:?} bytes", one.1, other.1);
    } else {
        assert_eq!((at, at, one.1), (lens.0, lens.1, other.1), "they differ");
    }
}
