//! SHA-256, as events write it.

use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// `sha256:` and 64 hexadecimal digits.
pub(crate) fn text(digest: &[u8]) -> String {
    format!("sha256:{}", hex(digest))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// SHA-256 of a file in hexadecimal, as `sha256sum` prints it. Calls `progress` with the bytes of each read.
pub(crate) fn file(path: &Path, mut progress: impl FnMut(u64)) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut block = vec![0; 1 << 20];
    let mut hash = Sha256::new();
    loop {
        let n = match file.read(&mut block) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        hash.update(block.get(..n).unwrap_or_default());
        progress(n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_hashes_as_sha256sum_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let mut read = 0;
        let hash = file(&path, |n| read += n).unwrap();
        // FIPS 180-4, the example of one block.
        assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(read, 3);
    }
}
