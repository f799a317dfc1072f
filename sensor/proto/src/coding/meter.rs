//! What one coding of one body may put out.

use super::{Limits, Stop};

/// Bytes decoded per step, and the size of the buffer on the stack.
pub(crate) const CHUNK: usize = 8 * 1024;
/// The ratio is looked at whenever the output passes a multiple of this, in bytes. Decoders fill up to the
/// multiple exactly, so that the place does not depend on how the input was cut.
const RATIO_STEP: u64 = 64 * 1024;
/// Output below which the ratio is not looked at, in bytes.
const RATIO_FLOOR: u64 = 1 << 20;

/// Where decoded bytes go.
pub(crate) type Out<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), Stop>;

/// Input and output of one coding so far, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    pub(crate) input: u64,
    pub(crate) output: u64,
}

impl Meter {
    /// How many bytes the next step may decode: never across a multiple of [`RATIO_STEP`].
    pub(crate) fn room(&self) -> usize {
        let left = RATIO_STEP - self.output % RATIO_STEP;
        usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK))
    }

    /// Counts `n` bytes of input.
    pub(crate) fn used(&mut self, n: usize) {
        self.input = self.input.saturating_add(wide(n));
    }

    /// Hands on `bytes`, or as many as the limits allow.
    pub(crate) fn pass(&mut self, limits: &Limits, bytes: &[u8], out: Out<'_>) -> Result<(), Stop> {
        let left = usize::try_from(limits.max_output.saturating_sub(self.output)).unwrap_or(usize::MAX);
        if let Some((within, [_, ..])) = bytes.split_at_checked(left) {
            self.output = limits.max_output;
            if !within.is_empty() {
                out(within)?;
            }
            return Err(Stop::Output);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let before = self.output / RATIO_STEP;
        self.output += wide(bytes.len());
        out(bytes)?;
        let due = self.output >= RATIO_FLOOR && self.output / RATIO_STEP != before;
        if due && self.output / u64::from(limits.max_ratio.max(1)) > self.input {
            return Err(Stop::Ratio);
        }
        Ok(())
    }
}

/// A length as a counter.
pub(crate) fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
