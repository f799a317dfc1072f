//! Which frames are wanted.

use crate::bpf::Bpf;
use crate::reader::Options;
use crate::{FrameRef, OpenError, Stats};
use net::{LinkType, Timestamp};

/// Time window and expression.
#[derive(Debug)]
pub(crate) struct Filter {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    bpf: Option<Bpf>,
}

impl Filter {
    pub(crate) fn new(options: &Options) -> Result<Self, OpenError> {
        if let (Some(from), Some(to)) = (options.from, options.to)
            && from >= to
        {
            return Err(OpenError::EmptyWindow { from, to });
        }
        let bpf = options.bpf.as_deref().map(Bpf::new).transpose()?;
        Ok(Self { from: options.from, to: options.to, bpf })
    }

    /// Whether every frame passes.
    pub(crate) fn is_open(&self) -> bool {
        self.from.is_none() && self.to.is_none() && self.bpf.is_none()
    }

    /// Judges a frame and counts what is turned away.
    pub(crate) fn passes(&mut self, frame: &FrameRef, data: &[u8], stats: &mut Stats) -> bool {
        if self.from.is_some_and(|from| frame.ts < from) || self.to.is_some_and(|to| frame.ts >= to) {
            stats.outside_window += 1;
            return false;
        }
        if let Some(bpf) = &mut self.bpf
            && !bpf.passes(frame.link, data, frame.wire_len)
        {
            stats.filtered_out += 1;
            return false;
        }
        true
    }

    /// Link types for which the expression has turned out to have no meaning, with the reason, since last asked.
    pub(crate) fn refused(&mut self) -> Vec<(LinkType, String)> {
        self.bpf.as_mut().map(Bpf::refused).unwrap_or_default()
    }
}
