//! What is told of one connection to the serial stage.

use super::outbox::report;
use crate::clock;
use crate::conn::Conn;
use crate::thread::Thread;
use detect::{FlowFacts, Observation, Order, ProxyFacts, ProxyNews, Update, What};
use net::{Place, Transport};
use proto::ExchangeId;
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

/// The serial stage's view of a connection. Tells when it is over, if anything was told.
#[derive(Default)]
pub(crate) struct Line {
    next: Cell<u32>,
    told: RefCell<Option<(Rc<Thread>, Arc<FlowFacts>)>>,
}

impl Line {
    /// A number for the next exchange.
    pub(super) fn number(&self) -> ExchangeId {
        let number = self.next.get();
        // Contacts number from above.
        self.next.set((number + 1).min(u32::MAX / 2));
        ExchangeId(number)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some((thread, flow)) = self.told.take() {
            let observation = observation(flow, What::FlowEnd);
            report(&thread, observation, false);
        }
    }
}

fn observation(flow: Arc<FlowFacts>, what: What) -> Observation {
    let place = flow.opened;
    // The collector gives it its place among all others.
    Observation { order: Order::default(), ts: clock::now(), place, flow, missed: 0, what }
}

/// Whether it is known where the connection goes.
pub(super) fn is_connected(conn: &Conn) -> bool {
    !conn.server.get().ip().is_unspecified()
}

/// Address of the server; an unspecified one, with the port that was asked for, as long as none is known.
pub(super) fn server(conn: &Conn) -> SocketAddr {
    let named = || conn.authority.host.parse::<IpAddr>().ok();
    if is_connected(conn) {
        conn.server.get()
    } else {
        SocketAddr::new(named().unwrap_or(conn.server.get().ip()), conn.authority.port)
    }
}

/// Whether more than its own claim says that this is the server of that name: its certificate; or, without TLS, that the
/// proxy itself looked the name up.
pub(super) const fn is_proved(conn: &Conn) -> bool {
    conn.verified || conn.tls.is_none()
}

/// Where it began, for the serial stage.
pub(crate) fn place(conn: &Conn) -> Place {
    let file = conn.thread.shared.options.first_source.saturating_add(conn.listener);
    Place { number: conn.number, file, in_file: 0 }
}

/// What the serial stage is told of the connection.
pub(crate) fn flow(conn: &Conn) -> Arc<FlowFacts> {
    let server = server(conn);
    let mut told = conn.line.told.borrow_mut();
    if let Some((_, flow)) = told.as_ref().filter(|(_, flow)| flow.server == server) {
        return Arc::clone(flow);
    }
    let proxy = ProxyFacts { user: conn.user.clone(), tls: conn.tls.clone(), verified: is_proved(conn) };
    let flow = Arc::new(FlowFacts {
        client: conn.client,
        server,
        sender: None,
        vlan: [None; 2],
        tunnel: Vec::new(),
        opened: place(conn),
        midstream: false,
        transport: Transport::Tcp,
        inside: None,
        proxy: Some(Box::new(proxy)),
    });
    *told = Some((Rc::clone(&conn.thread), Arc::clone(&flow)));
    flow
}

/// Tells news of an exchange. `surely`: it tells of something that was stopped, and must not be lost.
pub(super) fn exchange(conn: &Conn, id: ExchangeId, update: Box<Update>, surely: bool) {
    report(&conn.thread, observation(flow(conn), What::Exchange(id, update)), surely);
}

/// Tells the serial stage something that is no exchange.
pub(crate) fn tell(conn: &Rc<Conn>, news: ProxyNews) {
    report(&conn.thread, observation(flow(conn), What::Proxy(Box::new(news))), false);
}
