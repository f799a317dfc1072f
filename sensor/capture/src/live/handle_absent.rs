//! Interfaces in a build that cannot capture: there are none.

use super::{InterfaceOptions, LiveError, Opened};

pub(crate) fn open(interfaces: &[InterfaceOptions]) -> Result<Vec<Vec<Opened>>, LiveError> {
    let interface = interfaces.first().map(|options| options.name.clone()).unwrap_or_default();
    Err(LiveError::NotBuilt { interface })
}

pub(crate) fn pin(_core: usize) {}
