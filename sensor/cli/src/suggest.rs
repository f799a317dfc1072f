//! "Did you mean ...?"

/// The one of `known` that `word` is most likely a slip of; `None` where nothing is near.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Words longer than any key cost time and mean nothing.
    if word.len() > 200 {
        return None;
    }
    let room = 1 + word.chars().count() / 4;
    let distances = known.into_iter().map(|k| (distance(word, k), k)).filter(|(d, _)| *d <= room);
    distances.min_by_key(|(d, _)| *d).map(|(_, k)| k)
}

/// Edits (insert, remove, replace, swap neighbours) that make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = vec![];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&last, j) + usize::from(ca != cb)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(cb) && b.get(j - 1) == Some(ca);
            if swapped {
                best = best.min(at(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["networks", "portals", "sanctioned", "rules"];
        for (word, want) in [
            ("netwroks", Some("networks")),
            ("network", Some("networks")),
            ("portal", Some("portals")),
            ("sanctionned", Some("sanctioned")),
            ("rule", Some("rules")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), want, "{word}");
        }
        assert_eq!(distance("abcd", "abdc"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
