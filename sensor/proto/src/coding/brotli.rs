//! Brotli (RFC 7932), whose window and tables are allocated through the account.

use super::meter::{CHUNK, Meter, Out};
use super::pool::{Budget, Charge};
use super::{Limits, Stop};
use crate::EndKind;
use brotli_decompressor::{Allocator, BrotliDecompressStream, BrotliResult, BrotliState, SliceWrapper, StandardAlloc};

/// Room that the ring buffer has above the window, and small tables of bytes, in bytes.
const SLACK: usize = 4 * 1024;

/// Allocates on an account. Refusing is an empty slice, which the decoder takes for "out of memory".
struct Metered {
    charge: Charge,
    /// Longest allocation, in elements.
    max_len: usize,
    refused: Option<Stop>,
}

impl Metered {
    fn new(budget: &Budget) -> Self {
        Self { charge: budget.entry(), max_len: usize::MAX, refused: None }
    }
}

impl<T: Clone + Default> Allocator<T> for Metered {
    type AllocatedMemory = <StandardAlloc as Allocator<T>>::AllocatedMemory;

    fn alloc_cell(&mut self, len: usize) -> Self::AllocatedMemory {
        if len > self.max_len {
            self.refused = Some(Stop::Window);
            return Self::AllocatedMemory::default();
        }
        if !self.charge.set(self.charge.bytes().saturating_add(bytes_of::<T>(len))) {
            self.refused = Some(Stop::Memory);
            return Self::AllocatedMemory::default();
        }
        StandardAlloc::default().alloc_cell(len)
    }

    fn free_cell(&mut self, data: Self::AllocatedMemory) {
        let left = self.charge.bytes().saturating_sub(bytes_of::<T>(data.slice().len()));
        self.charge.set(left);
    }
}

fn bytes_of<T>(len: usize) -> u64 {
    super::meter::wide(len.saturating_mul(size_of::<T>()))
}

type State = BrotliState<Metered, Metered, Metered>;

/// A Brotli body.
pub(super) struct Brotli {
    state: Box<State>,
    _charge: Charge,
    started: bool,
    over: bool,
}

impl std::fmt::Debug for Brotli {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Brotli").field("started", &self.started).field("over", &self.over).finish_non_exhaustive()
    }
}

impl Brotli {
    pub(super) fn new(budget: &Budget) -> Option<Self> {
        let charge = budget.charge(bytes_of::<State>(1))?;
        // Strict: windows above 16 MiB are no part of the HTTP coding.
        let state = BrotliState::new_strict(Metered::new(budget), Metered::new(budget), Metered::new(budget));
        Some(Self { state: Box::new(state), _charge: charge, started: false, over: false })
    }

    pub(super) fn finish(&self) -> EndKind {
        if self.over || !self.started { EndKind::Complete } else { EndKind::Cut }
    }

    pub(super) fn feed(&mut self, meter: &mut Meter, limits: &Limits, input: &[u8], out: Out<'_>) -> Result<(), Stop> {
        if self.over || input.is_empty() {
            return Ok(());
        }
        self.started = true;
        self.state.alloc_u8.max_len = limits.window.saturating_add(SLACK);
        let mut chunk = [0_u8; CHUNK];
        let (mut left, mut at) = (input.len(), 0);
        loop {
            let room = meter.room();
            let (mut free, mut made, mut total) = (room, 0, 0);
            let before = left;
            let result = BrotliDecompressStream(
                &mut left,
                &mut at,
                input,
                &mut free,
                &mut made,
                &mut chunk,
                &mut total,
                &mut self.state,
            );
            meter.used(before - left);
            meter.pass(limits, chunk.get(..made).unwrap_or_default(), &mut *out)?;
            match result {
                BrotliResult::ResultSuccess => {
                    self.over = true;
                    return Ok(());
                }
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput if made == room => {}
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::ResultFailure => return Err(self.fault(meter, limits, out)),
            }
        }
    }

    /// Why decoding failed, after what was decoded before has been handed on: the decoder itself drops what it
    /// had not yet put out, and how much that is depends on where the input was cut. One difference is left: that a
    /// command writes past the end of its meta-block is seen sooner in short pieces, so up to the whole of that
    /// last command may or may not have been given.
    fn fault(&self, meter: &mut Meter, limits: &Limits, out: Out<'_>) -> Stop {
        let state = &*self.state;
        if let Some(refused) = state.alloc_u8.refused.or(state.alloc_u32.refused).or(state.alloc_hc.refused) {
            return refused;
        }
        match meter.pass(limits, pending(state).unwrap_or_default(), out) {
            Ok(()) => Stop::Corrupt,
            Err(stop) => stop,
        }
    }
}

/// Decoded bytes that still lie in the ring buffer.
fn pending(state: &State) -> Option<&[u8]> {
    let size = u64::try_from(state.ringbuffer_size).ok()?;
    let end = state.rb_roundtrips.checked_mul(size)?.checked_add(u64::try_from(state.pos).ok()?)?;
    let len = usize::try_from(end.checked_sub(state.partial_pos_out)?).ok()?;
    let start = usize::try_from(state.partial_pos_out.checked_rem(size)?).ok()?;
    state.ringbuffer.slice().get(start..start.checked_add(len)?)
}
