//! A small seeded generator, so that a test that shuffles fails the same way twice.

/// Seeded pseudo-random numbers (`SplitMix64`: one 64-bit counter, mixed). Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The sequence that belongs to `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where `end` is 0. The slight bias of the remainder does not matter here.
    pub const fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next_u64() % end as u64) as usize }
    }

    /// Puts `items` in random order.
    pub const fn shuffle<T>(&mut self, items: &mut [T]) {
        let mut n = items.len();
        while n > 1 {
            let other = self.below(n);
            n -= 1;
            items.swap(n, other);
        }
    }

    /// `len` random characters of `[a-z0-9]`.
    pub fn word(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[self.below(36)])).collect()
    }
}
