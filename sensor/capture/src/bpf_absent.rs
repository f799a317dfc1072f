//! Filter expressions in a build without libpcap: there are none.

use crate::OpenError;
use net::LinkType;

/// Cannot be made.
#[derive(Debug)]
pub(crate) enum Bpf {}

impl Bpf {
    pub(crate) fn new(expression: &str) -> Result<Self, OpenError> {
        Err(OpenError::FilterNotBuilt { expression: expression.to_owned() })
    }

    pub(crate) fn passes(&mut self, _link: LinkType, _data: &[u8], _wire_len: u32) -> bool {
        match *self {}
    }

    pub(crate) fn refused(&mut self) -> Vec<(LinkType, String)> {
        match *self {}
    }
}
