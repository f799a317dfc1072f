//! How often signatures hit, over any number of rule sets.

use crate::rules::{RuleSet, Signature};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Hits by signature. Those of the set in force are counted by index. Exchanges that began under another one are counted
/// by the id of the signature, so that nothing is lost or mixed when rules change.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    /// The signatures that `counts` is of: those of the first set that hit, until [`Hits::change`].
    of: Option<Arc<[Signature]>>,
    counts: Vec<u64>,
    /// Of all other sets. As many as there were signatures of different ids.
    others: BTreeMap<String, u64>,
}

impl Hits {
    /// Signature `index` of `rules` hit.
    pub(crate) fn count(&mut self, rules: &RuleSet, index: u32) {
        let of = self.of.get_or_insert_with(|| Arc::clone(&rules.signatures));
        let at = index as usize;
        if !Arc::ptr_eq(of, &rules.signatures) {
            if let Some(signature) = rules.signature(index) {
                add(&mut self.others, &signature.id, 1);
            }
            return;
        }
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        if let Some(n) = self.counts.get_mut(at) {
            *n += 1;
        }
    }

    /// From now on most hits will be of `rules`.
    pub fn change(&mut self, rules: &RuleSet) {
        let Some(of) = self.of.replace(Arc::clone(&rules.signatures)) else { return };
        for (signature, n) in of.iter().zip(std::mem::take(&mut self.counts)) {
            add(&mut self.others, &signature.id, n);
        }
    }

    /// Adds those of another worker.
    pub fn add(&mut self, other: &Self) {
        for (id, n) in &other.others {
            add(&mut self.others, id, *n);
        }
        let Some(theirs) = &other.of else { return };
        let of = self.of.get_or_insert_with(|| Arc::clone(theirs));
        if Arc::ptr_eq(of, theirs) {
            self.counts.resize(self.counts.len().max(other.counts.len()), 0);
            self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        } else {
            for (signature, n) in theirs.iter().zip(&other.counts) {
                add(&mut self.others, &signature.id, *n);
            }
        }
    }

    /// Hits by id of the signature; only those that hit.
    pub fn by_id(&self) -> BTreeMap<String, u64> {
        let mut all = self.others.clone();
        for (signature, n) in self.of.iter().flat_map(|of| of.iter()).zip(&self.counts) {
            add(&mut all, &signature.id, *n);
        }
        all
    }
}

fn add(to: &mut BTreeMap<String, u64>, id: &str, n: u64) {
    if n == 0 {
        return;
    }
    if let Some(known) = to.get_mut(id) {
        *known += n;
    } else {
        to.insert(id.to_owned(), n);
    }
}

#[cfg(test)]
mod tests {
    use super::Hits;
    use crate::rules::{RuleSet, RuleText, compile};

    fn rules(ids: &[&str]) -> RuleSet {
        let signature = |id| {
            format!(
                "[[signature]]\nid = \"{id}\"\non = \"request.body\"\nliteral = [\"{id}\"]\nweight = \"weak\"\n\
                 [[signature.example]]\nhit = \"{id}\"\n"
            )
        };
        let text = ids.iter().map(signature).collect::<String>();
        let text = format!("[pack]\nid = \"test\"\nversion = \"1\"\n{text}");
        compile(&[RuleText { file: "test.toml", text: &text, lists: &|_: &str| Err(String::new()) }]).unwrap()
    }

    #[test]
    fn hits_of_several_rule_sets_are_neither_lost_nor_mixed() {
        let (old, new) = (rules(&["test.a", "test.b"]), rules(&["test.b", "test.c"]));
        let count = |changed: bool, hits: &[(&RuleSet, u32)]| {
            let mut all = Hits::default();
            for (n, (rules, index)) in hits.iter().enumerate() {
                if changed && n == hits.len() / 2 {
                    all.change(&new);
                }
                all.count(rules, *index);
            }
            all
        };
        let hits = [(&old, 0), (&old, 1), (&old, 1), (&new, 0), (&new, 1), (&old, 1), (&old, 0)];
        for changed in [false, true] {
            let mut one = count(changed, &hits);
            let want = [("test.a", 2), ("test.b", 4), ("test.c", 1)].map(|(id, n)| (id.to_owned(), n));
            assert_eq!(one.by_id(), want.clone().into(), "changed: {changed}");
            // Added to a worker that changed, to one that did not, and to none.
            for (other, times) in [(Hits::default(), 1), (count(false, &hits), 2), (count(true, &hits), 2)] {
                let mut sum = other;
                sum.add(&one);
                let want = want.clone().map(|(id, n)| (id, n * times));
                assert_eq!(sum.by_id(), want.into(), "changed: {changed}");
            }
            one.change(&old);
            assert_eq!(one.by_id(), want.into());
        }
    }
}
