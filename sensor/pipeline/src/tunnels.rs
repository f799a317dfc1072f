//! Names of tunnels: packets carry a number, events want the words.

use net::{Path, Tunnel};
use std::collections::BTreeMap;

/// Names that one shard knows. Beyond it all are forgotten and learnt anew, each with its next packet.
pub(crate) const MAX_NAMES: usize = 512;
/// What the names of all shards take at most, in bytes: here and, without the paths, at the dispatcher.
pub(crate) const BYTES: usize =
    crate::worker::SHARDS as usize * MAX_NAMES * 2 * (size_of::<(u32, Path)>() + size_of::<u32>());

/// The names of one shard.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<u32, Path>);

impl Names {
    /// Remembers how `tunnel` is called.
    pub(crate) fn learn(&mut self, tunnel: Tunnel, path: &Path) {
        if self.0.len() >= MAX_NAMES {
            self.0.clear();
        }
        self.0.insert(tunnel.raw(), *path);
    }

    /// How it is called; nothing in no tunnel, and an empty path where the name was forgotten.
    pub(crate) fn path(&self, tunnel: Tunnel) -> Option<Box<Path>> {
        (!tunnel.is_none()).then(|| Box::new(self.0.get(&tunnel.raw()).copied().unwrap_or_default()))
    }
}

/// What the workers have been told, shard by shard, and have not forgotten since.
#[derive(Debug, Default)]
pub(crate) struct Told {
    shards: BTreeMap<u8, Vec<u32>>,
    /// How often a shard forgot its names.
    pub(crate) forgotten: u64,
}

impl Told {
    /// Whether the shard has to be told; from now on it has been.
    pub(crate) fn is_news(&mut self, tunnel: Tunnel, shard: u8) -> bool {
        let known = self.shards.entry(shard).or_default();
        let Err(at) = known.binary_search(&tunnel.raw()) else { return false };
        if known.len() < MAX_NAMES {
            known.insert(at, tunnel.raw());
        } else {
            known.clear();
            known.push(tunnel.raw());
            self.forgotten += 1;
        }
        true
    }
}

/// In words, as events have it.
pub(crate) fn words(path: &Path) -> Vec<String> {
    let words: Vec<_> = path.steps().map(|step| step.to_string()).collect();
    if words.is_empty() { vec!["unknown".to_owned()] } else { words }
}

#[cfg(test)]
mod tests {
    use super::{MAX_NAMES, Names, Told, words};
    use net::{FiveTuple, Path, Tunnel};

    #[test]
    fn what_the_dispatcher_thinks_known_is_known() {
        let tunnel = |vni: u32| {
            let frame = testkit::carrier::vxlan_frame(vni);
            let frame = net::Frame {
                place: net::Place::default(),
                ts: net::Timestamp(0),
                link: net::LinkType::Ethernet,
                data: &frame,
                wire_len: u32::try_from(frame.len()).unwrap(),
            };
            let FiveTuple { tunnel, .. } = net::decode(&frame).unwrap().tuple;
            (tunnel, net::tunnel_path(&frame))
        };
        let (mut told, mut names) = (Told::default(), Names::default());
        for n in 0..4 * u32::try_from(MAX_NAMES).unwrap() {
            for vni in [n, 7, n / 2] {
                let (tunnel, path) = tunnel(vni);
                if told.is_news(tunnel, 3) {
                    names.learn(tunnel, &path);
                }
                let path = names.path(tunnel).unwrap();
                assert_eq!(words(&path), [format!("vxlan:{vni}")]);
            }
        }
        assert!(told.forgotten > 0);
        assert_eq!(names.path(Tunnel::NONE), None);
        assert_eq!(words(&Path::default()), ["unknown"]);
    }
}
