//! Rule files on disk, and the lists they name.

use crate::files;
use detect::rules::{ListReader, RuleText};
use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

/// A rule file that was read.
#[derive(Debug)]
pub(super) struct Source {
    name: String,
    text: String,
    /// Lists lie here or below.
    dir: PathBuf,
}

/// The rule files of a directory, sorted by name, or the one file that `path` is.
///
/// # Errors
///
/// What cannot be read and why.
pub(super) fn find(path: &Path) -> Result<Vec<Source>, String> {
    let cannot = |e: std::io::Error| format!("cannot read rules from {}: {e}", path.display());
    if !fs::metadata(path).map_err(cannot)?.is_dir() {
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        return Ok(vec![read(path, dir)?]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(cannot)? {
        let file = entry.map_err(cannot)?.path();
        // Editors and orchestrators keep files of their own beside: `.x.toml.swp`, `..data`.
        let hidden = file.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        if !hidden && file.extension().is_some_and(|e| e == "toml") {
            files.push(file);
        }
    }
    files.sort();
    files.iter().map(|file| read(file, path.to_owned())).collect()
}

fn read(file: &Path, dir: PathBuf) -> Result<Source, String> {
    Ok(Source { name: file.display().to_string(), text: files::read(file)?, dir })
}

impl Source {
    /// As the compiler takes it.
    pub(super) fn text<'s>(&'s self, lists: &'s ListReader<'s>) -> RuleText<'s> {
        RuleText { file: &self.name, text: &self.text, lists }
    }

    /// Whether its text holds this word anywhere.
    pub(super) fn mentions(&self, word: &str) -> bool {
        self.text.contains(word)
    }

    /// Reads a list that the file names.
    ///
    /// # Errors
    ///
    /// Why not; among others because it lies elsewhere, be it by way of a link.
    pub(super) fn list(&self, name: &str) -> Result<Cow<'static, str>, String> {
        let path = self.dir.join(name);
        let real = |path: &Path| fs::canonicalize(path).map_err(|e| format!("cannot read {}: {e}", path.display()));
        let dir = if self.dir.as_os_str().is_empty() { Path::new(".") } else { &self.dir };
        if !real(&path)?.starts_with(real(dir)?) {
            return Err(format!(
                "{} leads out of {}; lists lie beside the rules that name them",
                path.display(),
                dir.display()
            ));
        }
        files::read(&path).map(Cow::Owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_order_and_lists_only_beside_them() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("rules");
        fs::create_dir(&dir).unwrap();
        for (name, text) in [("b.toml", "b"), ("a.toml", "a"), (".a.toml", "x"), ("hosts.tsv", "list"), ("readme", "x")]
        {
            fs::write(dir.join(name), text).unwrap();
        }
        fs::write(root.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink("../secret", dir.join("link")).unwrap();
        let found = find(&dir).unwrap();
        assert_eq!(found.iter().map(|s| s.text.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(found[0].list("hosts.tsv").unwrap(), "list");
        for outside in ["../secret", "link"] {
            assert!(found[0].list(outside).unwrap_err().contains("leads out of"), "{outside}");
        }
        assert!(found[0].list("absent").unwrap_err().contains("absent"));
        assert_eq!(find(&dir.join("b.toml")).unwrap().len(), 1);
        assert!(find(&dir.join("no")).unwrap_err().contains("cannot read rules"));
    }
}
