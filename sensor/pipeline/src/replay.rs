//! Replay: one source read to its end.

use crate::collect::Collector;
use crate::dispatch::Dispatcher;
use crate::load::Load;
use crate::totals::{Read, Totals};
use crate::worker::{Job, SHARDS, Worker};
use crate::{Error, RunInfo, Settings};
use capture::Reader;
use correlate::{Correlator, Options, Record};
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TryRecvError, bounded};
use detect::Generation;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// Batches that may wait for one worker.
const QUEUE: usize = 2;
/// How often a waiting thread looks whether another has failed.
const GLANCE: Duration = Duration::from_millis(200);

/// Reads everything `reader` has and gives every record to `emit`, in order: the run line first, the final
/// statistics last. `progress` is called with input bytes read and their total where known.
///
/// # Errors
///
/// [`Error::Read`] where the source fails in a way that a notice cannot carry; [`Error::Worker`] where a
/// thread died.
pub fn replay(
    reader: Reader,
    settings: &Settings,
    generation: &Arc<Generation>,
    info: &RunInfo,
    emit: &mut (dyn FnMut(Record) + Send),
    progress: &(dyn Fn(u64, Option<u64>) + Sync),
) -> Result<(), Error> {
    let workers = settings.threads.get().min(usize::from(SHARDS));
    let options = Options {
        sensor: info.sensor.clone(),
        generation: Arc::clone(generation),
        files: reader.inputs().iter().map(|i| i.name.clone()).collect(),
        look_alikes: settings.look_alikes,
        passive: true,
        limits: settings.limits.correlation,
    };
    let inputs = reader.inputs().to_vec();
    let rules = generation.rules.hash().to_owned();
    let serial = Correlator::new(options);
    let collector = Collector::new(serial, workers, (info, &inputs, &rules), emit, progress);
    let dispatcher = Dispatcher::new(reader, workers, settings.limits.fragments, Arc::clone(&settings.keys));
    let make = |index| Worker::new(index, workers, settings, generation);
    let (mut collector, totals, read) = if workers == 1 {
        alone(dispatcher, collector, make(0))?
    } else {
        together(dispatcher, collector, workers, make)?
    };
    let ts = collector.finish();
    let stats = totals.record(&read, &collector.serial, generation, ts, &info.sensor);
    collector.last(Record::Stats(Box::new(stats)));
    Ok(())
}

type Done<'a> = (Collector<'a>, Totals, Read);

/// One thread, no queue.
fn alone(mut dispatcher: Dispatcher, mut collector: Collector<'_>, mut worker: Worker) -> Result<Done<'_>, Error> {
    let (mut jobs, mut observations) = (Vec::new(), Vec::new());
    for seq in 0.. {
        let (batch, extras) = dispatcher.next(&mut jobs)?;
        collector.extras(seq, extras);
        let Some(batch) = batch else {
            worker.finish(&mut observations);
            collector.part(seq, &mut observations);
            break;
        };
        if let Some(jobs) = jobs.first() {
            worker.run(&batch, jobs, &mut observations);
        }
        collector.part(seq, &mut observations);
    }
    let mut totals = Totals::default();
    worker.count(&mut totals);
    Ok((collector, totals, read(&dispatcher)))
}

fn read(dispatcher: &Dispatcher) -> Read {
    Read {
        capture: dispatcher.reader().stats(),
        dropped: dispatcher.dropped.clone(),
        dropped_bytes: dispatcher.dropped_bytes.clone(),
        packets: dispatcher.packets,
        fragments: dispatcher.fragments.stats().clone(),
        tunnels_forgotten: dispatcher.tunnels.forgotten,
        key_sessions_forgotten: dispatcher.keys().stats().evicted,
    }
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

struct Shared<'a> {
    role: Mutex<Role>,
    collector: Mutex<Collector<'a>>,
    queues: Vec<Sender<Task>>,
    totals: Mutex<Totals>,
    /// Job lists that are done, for use again; at most one for each task that can be under way.
    lists: Mutex<Vec<Vec<Job>>>,
    failed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn together(
    dispatcher: Dispatcher,
    collector: Collector<'_>,
    workers: usize,
    make: impl Fn(usize) -> Worker,
) -> Result<Done<'_>, Error> {
    let (queues, ends): (Vec<_>, Vec<_>) = (0..workers).map(|_| bounded(QUEUE)).unzip();
    let shared = Shared {
        role: Mutex::new(Role { dispatcher, seq: 0, over: false, error: None }),
        collector: Mutex::new(collector),
        queues,
        totals: Mutex::new(Totals::default()),
        lists: Mutex::new(Vec::new()),
        failed: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        for (index, queue) in ends.into_iter().enumerate() {
            let (shared, worker) = (&shared, make(index));
            scope.spawn(move || {
                let guard = FailGuard(&shared.failed);
                shared.work(worker, &queue);
                std::mem::forget(guard);
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
    let totals = shared.totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((collector, totals, read(&role.dispatcher)))
}

/// Says that a worker died, if it is dropped by unwinding.
struct FailGuard<'a>(&'a AtomicBool);

impl Drop for FailGuard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Shared<'_> {
    /// Works until the input is over: on its own queue first, in the reader's role when that runs dry.
    fn work(&self, mut worker: Worker, queue: &Receiver<Task>) {
        let mut observations = Vec::new();
        while !self.failed.load(Ordering::Acquire) {
            let task = match queue.try_recv() {
                Ok(task) => task,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => match self.read_or_wait(queue) {
                    Some(task) => task,
                    None => continue,
                },
            };
            match task {
                Task::Batch(seq, batch, jobs) => {
                    worker.run(&batch, &jobs, &mut observations);
                    drop(batch);
                    lock(&self.lists).push(jobs);
                    lock(&self.collector).part(seq, &mut observations);
                }
                Task::End(seq) => {
                    worker.finish(&mut observations);
                    lock(&self.collector).part(seq, &mut observations);
                    worker.count(&mut lock(&self.totals));
                    return;
                }
            }
        }
    }

    fn read_or_wait(&self, queue: &Receiver<Task>) -> Option<Task> {
        match self.role.try_lock() {
            Ok(mut role) if !role.over => {
                // Somebody else may have read for us since we looked; a full queue of our own would block us.
                if queue.is_empty() {
                    self.read(&mut role);
                }
                return None;
            }
            Ok(_) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Poisoned(_)) => return None,
        }
        queue.recv_timeout(GLANCE).ok()
    }

    fn read(&self, role: &mut Role) {
        let seq = role.seq;
        role.seq += 1;
        let mut jobs = std::mem::take(&mut *lock(&self.lists));
        jobs.truncate(self.queues.len());
        match role.dispatcher.next(&mut jobs) {
            Ok((batch, extras)) => {
                lock(&self.collector).extras(seq, extras);
                role.over = batch.is_none();
                for (queue, jobs) in self.queues.iter().zip(jobs) {
                    let task = batch.as_ref().map_or(Task::End(seq), |b| Task::Batch(seq, b.clone(), jobs));
                    self.give(queue, task);
                }
            }
            Err(error) => {
                role.error = Some(error);
                role.over = true;
                self.failed.store(true, Ordering::Release);
            }
        }
    }

    fn give(&self, queue: &Sender<Task>, mut task: Task) {
        while !self.failed.load(Ordering::Acquire) {
            match queue.send_timeout(task, GLANCE) {
                Ok(()) | Err(SendTimeoutError::Disconnected(_)) => return,
                Err(SendTimeoutError::Timeout(back)) => task = back,
            }
        }
    }
}
