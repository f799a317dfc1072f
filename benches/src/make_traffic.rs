//! `traffic PROFILE SIZE OUT [OPEN]`: a capture of at least SIZE bytes (`64M`, `1G`) with OPEN flows at once, to
//! OUT.pcap, and the truth about its TCP flows, to OUT.truth.jsonl. The same arguments give the same bytes, but for the
//! profile `keys`, whose keys are drawn anew each time; they go to OUT.keylog.
#![allow(clippy::print_stdout, reason = "a program that says what it did")]

use anyhow::{Context, Result, bail};
use benches::traffic::{OPEN, Profile, write};
use std::fs::File;
use std::io::{self, BufWriter, Write};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (profile, size, out, open) = match arguments.as_slice() {
        [profile, size, out] => (profile, size, out, OPEN),
        [profile, size, out, open] => (profile, size, out, open.parse().context("OPEN is a number of flows")?),
        _ => bail!("usage: traffic http|mixed|dns|keys SIZE OUT [OPEN]"),
    };
    let Some(profile) = Profile::from_name(profile) else { bail!("profiles are http, mixed, dns and keys") };
    let create = |end: &str| {
        let path = format!("{out}.{end}");
        File::create(&path).with_context(|| path).map(BufWriter::new)
    };
    let (mut pcap, mut truth) = (create("pcap")?, create("truth.jsonl")?);
    let mut keylog: Box<dyn Write> =
        if profile == Profile::Keys { Box::new(create("keylog")?) } else { Box::new(io::sink()) };
    let totals = write(profile, bytes(size)?, open, &mut pcap, &mut truth, &mut keylog)?;
    println!("{} bytes, {} packets, {} flows, {} of them MCP", totals.bytes, totals.packets, totals.flows, totals.mcp);
    Ok(())
}

/// `400M` in bytes.
fn bytes(size: &str) -> Result<u64> {
    let (digits, unit) = match size.as_bytes() {
        [.., b'k' | b'K'] => (size.len() - 1, 1 << 10),
        [.., b'M'] => (size.len() - 1, 1 << 20),
        [.., b'G'] => (size.len() - 1, 1 << 30),
        _ => (size.len(), 1),
    };
    let count: u64 = size.get(..digits).unwrap_or_default().parse().context("SIZE is a number with k, M or G")?;
    count.checked_mul(unit).context("SIZE is too large")
}
