//! What is told to the serial stage of a connection that is passed through.

use crate::clock;
use crate::conn::Conn;
use crate::inspect::flow;
use crate::thread::{Shared, Thread};
use detect::{ContactSeen, FlowFacts, Observation, Order, ProxyNews, What};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Number of the one contact of a connection; its exchanges are numbered from below.
const CONTACT: u32 = u32::MAX;

/// What a handshake said that nobody opened.
pub(crate) fn contact(conn: &Conn, seen: Box<ContactSeen>) {
    report(&conn.thread.shared, flow(conn), What::Contact(CONTACT, seen));
}

fn report(shared: &Shared, flow: Arc<FlowFacts>, what: What) {
    let place = flow.opened;
    // The collector gives it its place among all others.
    let order = Order::default();
    let observation = Observation { order, ts: clock::now(), place, flow, missed: 0, what };
    if shared.reporter.report(observation).is_err() {
        shared.counters.observations_dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Hosts that are passed through because connections of one thread ended in a refusal of our certificate, with the last of
/// those connections. As many as the gate learns, at most.
#[derive(Debug, Default)]
pub(crate) struct Learned(RefCell<Vec<(String, Arc<FlowFacts>)>>);

impl Learned {
    /// From this connection on a host is passed through.
    pub(crate) fn began(&self, conn: &Conn, host: String) {
        self.0.borrow_mut().push((host, flow(conn)));
    }

    /// Tells of those that are passed through no longer. To be called now and then.
    pub(crate) fn look(&self, thread: &Thread) {
        let shared = &thread.shared;
        let mut all = self.0.borrow_mut();
        if all.is_empty() {
            return;
        }
        let settings = shared.settings.load();
        for (host, flow) in all.extract_if(.., |(host, _)| shared.gate.ended(&settings, host)) {
            report(shared, flow, What::Proxy(Box::new(ProxyNews::BypassEnded { host })));
        }
    }
}
