//! What is told to the serial stage of a connection that is passed through.

use crate::clock;
use crate::conn::Conn;
use crate::inspect::flow;
use detect::{ContactSeen, Observation, Order, What};
use std::sync::atomic::Ordering;

/// Number of the one contact of a connection; its exchanges are numbered from below.
const CONTACT: u32 = u32::MAX;

/// What a handshake said that nobody opened.
pub(crate) fn contact(conn: &Conn, seen: Box<ContactSeen>) {
    let flow = flow(conn);
    let place = flow.opened;
    // The collector gives it its place among all others.
    let order = Order::default();
    let what = What::Contact(CONTACT, seen);
    let observation = Observation { order, ts: clock::now(), place, flow, missed: 0, what };
    let shared = &conn.thread.shared;
    if shared.reporter.report(observation).is_err() {
        shared.counters.observations_dropped.fetch_add(1, Ordering::Relaxed);
    }
}
