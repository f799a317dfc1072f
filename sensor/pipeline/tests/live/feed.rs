//! A live run that a test feeds batch by batch.

use capture::{Live, Made, Source};
use correlate::Record;
use correlate::record::{Detection, Stats};
use crossbeam_channel::{Receiver, Sender, bounded};
use detect::{Generation, RawScope, RawServer, RawServers, Scope};
use net::Timestamp;
use pipeline::{Control, Error, RunInfo, Settings};
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::Duration;
use testkit::{Capture, Direction, Turn, Wire, http};

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A frame and its time in microseconds.
pub(crate) type Frame = (u64, Vec<u8>);

/// Built-in rules, with the servers of the tests as nobody's.
pub(crate) static OPEN: LazyLock<Arc<Generation>> = LazyLock::new(|| generation("", &[]));
/// The same servers denied, and one more signature in front of the others.
pub(crate) static DENIED: LazyLock<Arc<Generation>> = LazyLock::new(|| {
    let pack = r#"
        [pack]
        id = "aaa.test"
        version = "1"
        [[signature]]
        id = "aaa.test.tool"
        on = "request.body"
        literal = ["tool-7"]
        weight = "weak"
        [[signature.example]]
        hit = "tool-7"
        [[signature.example]]
        miss = "tool-8"
    "#;
    generation(pack, &["*.test.example"])
});

fn generation(pack: &str, denied: &[&str]) -> Arc<Generation> {
    let mut texts = detect::rules::builtin().to_vec();
    let pack = detect::rules::RuleText { file: "aaa.toml", text: pack, lists: &|_| Err(String::new()) };
    if !pack.text.is_empty() {
        texts.insert(0, pack);
    }
    let servers = denied.iter().map(|name| RawServer::Name((*name).to_owned())).collect();
    let raw = RawScope { denied: RawServers { servers }, ..RawScope::default() };
    let rules = detect::rules::compile(&texts).unwrap();
    Arc::new(Generation { rules, scope: Scope::try_from(&raw).unwrap(), policy: detect::Policy::default() })
}

/// What test `n` of a series says: a call of `tool-n` and, if `answered`, its answer.
pub(crate) fn turns(n: usize, answered: bool) -> Vec<Turn> {
    let call = format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"tools/call","params":{{"name":"tool-{n}"}}}}"#);
    let answer = format!(r#"{{"jsonrpc":"2.0","id":{n},"result":{{"content":[]}}}}"#);
    let mut turns = vec![(Direction::ToServer, http::post(&format!("s{n}.test.example"), "/mcp", "", &call))];
    if answered {
        turns.push((Direction::ToClient, http::json("", &answer)));
    }
    turns
}

pub(crate) fn client(n: usize) -> String {
    format!("10.0.{}.{}:{}", n / 250, 1 + n % 250, 40_000 + n)
}

/// So many calls, each on a connection of its own, one after the other.
pub(crate) fn calls(count: usize) -> Vec<Frame> {
    let mut capture = Capture::new();
    for n in 0..count {
        capture.play(&client(n), "198.51.100.1:8080", Wire::default(), &turns(n, true));
    }
    capture.frames().to_vec()
}

/// The tools that [`calls`] call, sorted.
pub(crate) fn tools(calls: impl IntoIterator<Item = usize>) -> Vec<String> {
    let mut tools: Vec<String> = calls.into_iter().map(|n| format!("tool-{n}")).collect();
    tools.sort_unstable();
    tools
}

/// The time of a frame.
pub(crate) fn at(us: u64) -> Timestamp {
    Timestamp(i64::try_from(us * 1000).unwrap())
}

pub(crate) fn settings(threads: usize) -> Settings {
    Settings { threads: NonZeroUsize::new(threads).unwrap(), ..Settings::default() }
}

/// A run under way.
pub(crate) struct Run {
    feed: Option<Sender<Made>>,
    records: Receiver<Record>,
    seen: Vec<Record>,
    pub(crate) control: Control,
    thread: JoinHandle<Result<(), Error>>,
}

/// What a run wrote, and how it ended.
pub(crate) struct Ended {
    pub(crate) records: Vec<Record>,
    pub(crate) result: Result<(), Error>,
}

impl Run {
    /// `room`: batches that wait unread.
    pub(crate) fn start(settings: &Settings, generation: &Arc<Generation>, room: usize) -> Self {
        Self::with_sink(settings, generation, room, |_| {})
    }

    /// The same; each record is shown to `look` first.
    pub(crate) fn with_sink(
        settings: &Settings,
        generation: &Arc<Generation>,
        room: usize,
        look: impl Fn(&Record) + Send + Sync + 'static,
    ) -> Self {
        let (feed, made) = bounded(room);
        let (out, records) = bounded(1 << 20);
        let control = Control::default();
        let (settings, generation, handle) = (settings.clone(), Arc::clone(generation), control.clone());
        let thread = std::thread::spawn(move || {
            let source = Source::Live(Live::of("tap0", made));
            let mut emit = |record| {
                look(&record);
                out.send(record).unwrap();
            };
            let info = RunInfo { sensor: "test".to_owned(), ..RunInfo::default() };
            pipeline::run(source, &settings, &generation, &info, &mut emit, &|_, _| {}, &handle)
        });
        Self { feed: Some(feed), records, seen: Vec::new(), control, thread }
    }

    /// Feeds a batch; waits while there is no room.
    pub(crate) fn give(&self, made: Made) {
        self.feed.as_ref().unwrap().send_timeout(made, PATIENCE).expect("nobody reads");
    }

    /// Feeds a batch of these frames.
    pub(crate) fn frames(&self, frames: &[Frame]) {
        let frames = frames.iter().map(|(us, bytes)| (at(*us), bytes.clone())).collect();
        self.give(Made { frames, ..Made::default() });
    }

    /// Time comes to this, without a frame.
    pub(crate) fn until(&self, us: u64) {
        self.give(Made { until: Some(at(us)), ..Made::default() });
    }

    /// Waits until all batches so far were dealt out, where none may wait unread: the next one is taken only then.
    pub(crate) fn settle(&self) {
        self.give(Made::default());
    }

    /// Waits for a record.
    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&Record) -> bool) -> Record {
        loop {
            let record = self.records.recv_timeout(PATIENCE).expect("what was waited for did not come");
            self.seen.push(record.clone());
            if wanted(&record) {
                return record;
            }
        }
    }

    /// Ends the feed and waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        self.feed = None;
        self.wait()
    }

    /// Waits for the end.
    pub(crate) fn wait(self) -> Ended {
        let Self { feed, records, mut seen, thread, .. } = self;
        seen.extend(records.iter());
        let result = thread.join().unwrap();
        drop(feed);
        Ended { records: seen, result }
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn stats(&self) -> &Stats {
        assert!(self.result.is_ok(), "{:?}", self.result);
        let Some(Record::Stats(stats)) = self.records.last() else { panic!("no totals at the end") };
        assert!(stats.is_final);
        check_sum(stats);
        stats
    }

    pub(crate) fn detections(&self) -> Vec<&Detection> {
        let records = self.records.iter();
        records.filter_map(|r| if let Record::Detection(found) = r { Some(&**found) } else { None }).collect()
    }

    /// Tools that were called, sorted.
    pub(crate) fn tools(&self) -> Vec<&str> {
        let mut tools: Vec<&str> = self.detections().iter().flat_map(|d| &d.mcp.tools).map(String::as_str).collect();
        tools.sort_unstable();
        tools
    }

    pub(crate) fn notices(&self, code: &str) -> usize {
        self.records.iter().filter(|r| matches!(r, Record::Notice(n) if n.code.word() == code)).count()
    }
}

/// All packets are accounted for.
#[track_caller]
pub(crate) fn check_sum(stats: &Stats) {
    let dropped: u64 = stats.packets_dropped.values().sum();
    assert_eq!(stats.packets, stats.packets_analysed + dropped, "{stats:#?}");
}
