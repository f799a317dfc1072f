//! A run: one source, from the first packet to the last.

use crate::collect::Collector;
use crate::control::{Pulse, lock};
use crate::dispatch::{Dispatcher, Extras};
use crate::load::Load;
use crate::totals::Read;
use crate::worker::{Job, Part, SHARDS, Worker};
use crate::{Control, Error, RunInfo, Settings};
use capture::Source;
use correlate::{Options, Record};
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TryRecvError, bounded};
use detect::Generation;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

/// Batches that may wait for one worker. Short, so that what is written is never far behind the wire.
const LIVE_QUEUE: usize = 2;
/// The same where files are read: nobody waits for what they say, and over some batches the work of all workers is more alike
/// than in each.
const FILE_QUEUE: usize = 8;
/// What may be left for the collector, for each worker; beyond it, whoever brings more waits.
const WAITING: usize = 4;
/// How often a waiting thread looks whether another has failed.
const GLANCE: Duration = Duration::from_millis(200);

/// Reads everything `source` has and gives every record to `emit`, in order: the run line first, the final
/// statistics last. `progress` is called with input bytes read and their total where known. A live source ends when
/// `control` says so.
///
/// # Errors
///
/// [`Error::Read`] where the source fails in a way that a notice cannot carry; [`Error::Worker`] where a
/// thread died.
pub fn run(
    source: Source,
    settings: &Settings,
    generation: &Arc<Generation>,
    info: &RunInfo,
    emit: &mut (dyn FnMut(Record) + Send),
    progress: &(dyn Fn(u64, Option<u64>) + Sync),
    control: &Control,
) -> Result<(), Error> {
    let workers = settings.threads.get().min(usize::from(SHARDS));
    let inputs = source.inputs().to_vec();
    let options = Options {
        sensor: info.sensor.clone(),
        generation: Arc::clone(generation),
        files: inputs.iter().map(|i| &i.name).chain(&settings.proxies).cloned().collect(),
        live: source.live().is_some(),
        look_alikes: settings.look_alikes,
        passive: true,
        limits: settings.limits.correlation,
        session_every: settings.session_every,
    };
    let queue = if options.live { LIVE_QUEUE } else { FILE_QUEUE };
    let collector = Collector::new(options, &inputs, (workers, settings), info, emit, progress, control);
    let dispatcher = Dispatcher::new(source, workers, settings, generation, control);
    control.begin(workers);
    let make = |index| (Worker::new(index, workers, settings, generation), control.pulse(index));
    // What is caught nowhere else ends the run, with one thread as with many.
    let done = catch_unwind(AssertUnwindSafe(|| {
        let (collector, read) = if workers == 1 {
            alone(dispatcher, collector, make(0))?
        } else {
            together(dispatcher, collector, (workers, queue), make)?
        };
        collector.finish(read);
        Ok(())
    }));
    done.unwrap_or(Err(Error::Worker))
}

type Done<'a> = (Collector<'a>, Read);

/// One thread, no queue.
fn alone(
    mut dispatcher: Dispatcher,
    mut collector: Collector<'_>,
    (mut worker, pulse): (Worker, Pulse),
) -> Result<Done<'_>, Error> {
    let (mut jobs, mut part) = (Vec::new(), Part::default());
    for seq in 0.. {
        pulse.beat();
        let (batch, extras) = dispatcher.next(&mut jobs)?;
        let idle = extras.idle;
        collector.extras(seq, extras);
        let Some(batch) = batch else {
            worker.finish(&mut part);
            collector.part(seq, &mut part);
            break;
        };
        if let Some(jobs) = jobs.first().filter(|_| !idle) {
            worker.run(&batch, jobs, &mut part);
            collector.part(seq, &mut part);
        }
    }
    let read = dispatcher.read();
    Ok((collector, read))
}

/// Work for one worker.
enum Task {
    Batch(u64, Load, Vec<Job>),
    End(u64),
}

/// The reader's role, taken by whichever worker has nothing to do.
struct Role {
    dispatcher: Dispatcher,
    seq: u64,
    over: bool,
    error: Option<capture::ReadError>,
}

/// What is to be collected of a batch.
enum Told {
    Extras(Extras),
    Part(Part),
}

struct Shared<'a> {
    role: Mutex<Role>,
    collector: Mutex<Collector<'a>>,
    /// What nobody has taken to the collector yet. Whoever is there takes it along, so that the others need not wait.
    inbox: Mutex<Vec<(u64, Told)>>,
    queues: Vec<Sender<Task>>,
    /// Job lists that are done, for use again; at most one for each task that can be under way.
    lists: Mutex<Vec<Vec<Job>>>,
    failed: AtomicBool,
}

fn together(
    dispatcher: Dispatcher,
    collector: Collector<'_>,
    (workers, queue): (usize, usize),
    make: impl Fn(usize) -> (Worker, Pulse),
) -> Result<Done<'_>, Error> {
    let (queues, ends): (Vec<_>, Vec<_>) = (0..workers).map(|_| bounded(queue)).unzip();
    let shared = Shared {
        role: Mutex::new(Role { dispatcher, seq: 0, over: false, error: None }),
        collector: Mutex::new(collector),
        inbox: Mutex::new(Vec::new()),
        queues,
        lists: Mutex::new(Vec::new()),
        failed: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        for (index, queue) in ends.into_iter().enumerate() {
            let (shared, (worker, pulse)) = (&shared, make(index));
            scope.spawn(move || {
                if catch_unwind(AssertUnwindSafe(|| shared.work(worker, &queue, &pulse))).is_err() {
                    shared.failed.store(true, Ordering::Release);
                }
            });
        }
    });
    let failed = shared.failed.load(Ordering::Acquire);
    let role = shared.role.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = role.error {
        return Err(error.into());
    }
    if failed {
        return Err(Error::Worker);
    }
    let collector = shared.collector.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((collector, role.dispatcher.read()))
}

impl Shared<'_> {
    /// Works until the input is over: on its own queue first, in the reader's role when that runs dry.
    fn work(&self, mut worker: Worker, queue: &Receiver<Task>, pulse: &Pulse) {
        while !self.failed.load(Ordering::Acquire) {
            pulse.beat();
            let task = match queue.try_recv() {
                Ok(task) => task,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => match self.read_or_wait(queue, pulse) {
                    Some(task) => task,
                    None => continue,
                },
            };
            let mut part = Part::default();
            match task {
                Task::Batch(seq, batch, jobs) => {
                    worker.run(&batch, &jobs, &mut part);
                    drop(batch);
                    lock(&self.lists).push(jobs);
                    self.tell(seq, Told::Part(part));
                }
                Task::End(seq) => {
                    worker.finish(&mut part);
                    self.tell(seq, Told::Part(part));
                    return;
                }
            }
        }
    }

    /// Brings something to the collector. While another thread is there, it is left for that one, as long as it is not
    /// too much.
    fn tell(&self, seq: u64, told: Told) {
        let waiting = {
            let mut inbox = lock(&self.inbox);
            inbox.push((seq, told));
            inbox.len()
        };
        let must = waiting > WAITING * self.queues.len();
        // Who was there may have looked for the last time just before ours came.
        while !lock(&self.inbox).is_empty() {
            let mut collector = match self.collector.try_lock() {
                Ok(collector) => collector,
                Err(TryLockError::WouldBlock) if !must => return,
                Err(TryLockError::WouldBlock) => lock(&self.collector),
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            };
            let all = std::mem::take(&mut *lock(&self.inbox));
            for (seq, told) in all {
                match told {
                    Told::Extras(extras) => collector.extras(seq, extras),
                    Told::Part(mut part) => collector.part(seq, &mut part),
                }
            }
        }
    }

    fn read_or_wait(&self, queue: &Receiver<Task>, pulse: &Pulse) -> Option<Task> {
        match self.role.try_lock() {
            Ok(mut role) if !role.over => {
                // Somebody else may have read for us since we looked; a full queue of our own would block us.
                if queue.is_empty() {
                    self.read(&mut role, pulse);
                }
                return None;
            }
            Ok(_) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Poisoned(_)) => return None,
        }
        queue.recv_timeout(GLANCE).ok()
    }

    fn read(&self, role: &mut Role, pulse: &Pulse) {
        let seq = role.seq;
        role.seq += 1;
        let mut jobs = std::mem::take(&mut *lock(&self.lists));
        jobs.truncate(self.queues.len());
        match role.dispatcher.next(&mut jobs) {
            Ok((batch, mut extras)) => {
                let idle = extras.idle;
                if extras.read.is_some() {
                    extras.queues = self.queues.iter().map(Sender::len).collect();
                }
                self.tell(seq, Told::Extras(extras));
                role.over = batch.is_none();
                if idle {
                    lock(&self.lists).append(&mut jobs);
                    return;
                }
                for (queue, jobs) in self.queues.iter().zip(jobs) {
                    let task = batch.as_ref().map_or(Task::End(seq), |b| Task::Batch(seq, b.clone(), jobs));
                    self.give(queue, task, pulse);
                }
            }
            Err(error) => {
                role.error = Some(error);
                role.over = true;
                self.failed.store(true, Ordering::Release);
            }
        }
    }

    fn give(&self, queue: &Sender<Task>, mut task: Task, pulse: &Pulse) {
        while !self.failed.load(Ordering::Acquire) {
            pulse.beat();
            match queue.send_timeout(task, GLANCE) {
                Ok(()) | Err(SendTimeoutError::Disconnected(_)) => return,
                Err(SendTimeoutError::Timeout(back)) => task = back,
            }
        }
    }
}
